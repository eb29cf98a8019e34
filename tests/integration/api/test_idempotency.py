"""Idempotency-Key: the same request twice is one email."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from core.settings import Settings
from store.database import Database
from tests.integration.api.account import Account, email

KEY = {"idempotency-key": "receipt/42"}


async def emails_stored(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM emails")).fetchone()
        assert row
        return int(row[0])


async def test_the_same_request_gets_the_same_answer(client: httpx.AsyncClient, database: Database) -> None:
    first = await client.post("/emails", json=email(), headers=KEY)
    second = await client.post("/emails", json=email(), headers=KEY)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert await emails_stored(database) == 1


async def test_order_of_keys_and_blanks_do_not_matter(client: httpx.AsyncClient) -> None:
    first = await client.post(
        "/emails", content=b'{"from":"a@acme.example","to":"b@b.example","subject":"x","text":"y"}', headers=KEY
    )
    second = await client.post(
        "/emails", content=b'{ "text":"y", "subject":"x", "to":"b@b.example", "from":"a@acme.example" }', headers=KEY
    )
    assert first.json()["id"] == second.json()["id"]


async def test_another_request_under_the_key_is_refused(client: httpx.AsyncClient, database: Database) -> None:
    await client.post("/emails", json=email(), headers=KEY)
    others = [
        await client.post("/emails", json=email(subject="Another"), headers=KEY),
        await client.post("/emails/batch", json=[email()], headers=KEY),
        await client.post("/emails", json={"from": "broken"}, headers=KEY),
    ]
    for other in others:
        assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
    assert await emails_stored(database) == 1


async def test_keys_belong_to_an_application(client: httpx.AsyncClient, database: Database, account: Account) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO domains (id, application_id, name, return_path_domain, status) SELECT gen_random_uuid(), id,"
            " 'acme.example', 'bounce.acme.example', 'verified' FROM applications WHERE name = 'stranger'"
        )
    mine = await client.post("/emails", json=email(), headers=KEY)
    theirs = await client.post("/emails", json=email(), headers={**KEY, "authorization": f"Bearer {account.stranger}"})
    assert mine.status_code == theirs.status_code == 200
    assert mine.json()["id"] != theirs.json()["id"]


async def test_a_batch_is_repeated_whole(client: httpx.AsyncClient, database: Database) -> None:
    headers = {**KEY, "x-batch-validation": "permissive"}
    batch = [email(), email(to="wrong"), email()]
    first = await client.post("/emails/batch", json=batch, headers=headers)
    second = await client.post("/emails/batch", json=batch, headers=headers)
    assert first.status_code == 200
    assert first.content == second.content
    assert await emails_stored(database) == 2


async def test_a_mistake_is_not_kept_as_the_answer(client: httpx.AsyncClient, database: Database) -> None:
    wrong = await client.post("/emails", json=email(to="wrong"), headers=KEY)
    assert wrong.status_code == 422
    right = await client.post("/emails", json=email(), headers=KEY)
    assert right.status_code == 200, "the key is still free"
    assert await emails_stored(database) == 1


async def test_what_was_accepted_is_answered_although_it_would_not_be_now(
    client: httpx.AsyncClient, database: Database
) -> None:
    first = await client.post("/emails", json=email(), headers=KEY)
    async with database.connection() as connection:
        await connection.execute("UPDATE domains SET status = 'failed'")
    client._transport.app.state.deps.directory.forget()  # type: ignore[attr-defined]
    again = await client.post("/emails", json=email(), headers=KEY)
    fresh = await client.post("/emails", json=email(), headers={"idempotency-key": "another"})
    assert again.content == first.content
    assert fresh.status_code == 403


async def test_a_key_is_free_again_after_a_day(client: httpx.AsyncClient, database: Database) -> None:
    first = await client.post("/emails", json=email(), headers=KEY)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE idempotency_keys SET created_at = created_at - %s", [timedelta(hours=24, seconds=1)]
        )
    other = await client.post("/emails", json=email(subject="Another"), headers=KEY)
    assert other.status_code == 200
    assert other.json()["id"] != first.json()["id"]
    assert await emails_stored(database) == 2


async def test_requests_that_race_in_one_process_send_once(client: httpx.AsyncClient, database: Database) -> None:
    answers = await asyncio.gather(*(client.post("/emails", json=email(), headers=KEY) for _ in range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200
    assert {(a.status_code, a.json().get("name")) for a in answers} <= {
        (200, None),
        (409, "concurrent_idempotent_requests"),
    }
    assert len({a.json()["id"] for a in answers if a.status_code == 200}) == 1
    assert await emails_stored(database) == 1


async def test_a_key_that_another_process_is_committing_is_in_flight(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{account.application_id}/receipt/42"]
        )
        answer = await client.post("/emails", json=email(), headers=KEY)
    assert (answer.status_code, answer.json()["name"]) == (409, "concurrent_idempotent_requests")
    assert answer.headers["retry-after"] == "1"
    assert (await client.post("/emails", json=email(), headers=KEY)).status_code == 200
    assert await emails_stored(database) == 1


class TestRateLimit:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"api_requests_per_second": 3})

    async def test_requests_over_the_limit_are_refused_and_not_kept(
        self, client: httpx.AsyncClient, database: Database
    ) -> None:
        answers = [await client.post("/emails", json=email(), headers={"idempotency-key": str(n)}) for n in range(5)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused, "five requests at once are more than three a second"
        for answer in refused:
            assert answer.json()["name"] == "rate_limit_exceeded"
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["ratelimit-remaining"] == "0"
        assert answers[0].headers["ratelimit-limit"] == "3"
        assert answers[0].headers["ratelimit-remaining"] == "2"
        assert await emails_stored(database) == 5 - len(refused)
        async with database.connection() as connection:
            kept = await (await connection.execute("SELECT count(*) FROM idempotency_keys")).fetchone()
        assert kept == (5 - len(refused),)

    async def test_keys_do_not_share_their_limit(self, client: httpx.AsyncClient, account: Account) -> None:
        for _ in range(4):
            await client.get("/emails")
        other = await client.post("/emails", json=email(), headers={"authorization": f"Bearer {account.sending}"})
        assert other.status_code == 200

    async def test_a_wrong_key_takes_nothing(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/emails", headers={"authorization": "Bearer pl_wrong"})
        assert "ratelimit-limit" not in answer.headers
