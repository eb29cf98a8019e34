"""`POST /emails/{id}/again`: the same once more, as a new email."""

from uuid import UUID

import httpx

from store.database import Database
from tests.integration.api.account import Account, email
from tests.integration.api.test_reading import send
from tests.integration.messages.emails import delivered, rows


async def test_an_email_is_sent_again_and_both_say_so(client: httpx.AsyncClient, database: Database) -> None:
    old = await send(client, tags=[{"name": "kind", "value": "receipt"}], headers={"X-Order": "7"})
    await delivered(database, UUID(old))

    answer = await client.post(f"/emails/{old}/again")

    assert answer.status_code == 201
    assert list(answer.json()) == ["id"]
    got = (await client.get(f"/emails/{answer.json()['id']}")).json()
    assert (got["again_of"], got["to"], got["last_event"]) == (old, ["bob@example.com"], "queued")
    assert (got["subject"], got["text"], got["tags"]) == (
        "Your receipt", "Thank you.", [{"name": "kind", "value": "receipt"}],
    )  # fmt: skip
    told = (await client.get(f"/emails/{old}/events")).json()["data"][-1]
    assert (told["event"], told["recipient"]) == ("sent_again", "bob@example.com")
    assert told["detail"] == f"as {got['id']}, through the API"
    assert (await client.get(f"/emails/{old}")).json()["last_event"] == "delivered"


async def test_one_key_is_one_mail_and_another_recipient_is_another_request(
    client: httpx.AsyncClient, database: Database
) -> None:
    old = await send(client, to=["bob@example.com", "ann@example.com"])
    await delivered(database, UUID(old))
    bob, ann = {"recipient": "bob@example.com"}, {"recipient": "ann@example.com"}
    key = {"idempotency-key": "again-7"}

    first = await client.post(f"/emails/{old}/again", json=bob, headers=key)
    second = await client.post(f"/emails/{old}/again", json=bob, headers=key)
    other = await client.post(f"/emails/{old}/again", json=ann, headers=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
    assert await rows(database, "SELECT count(*) FROM emails") == [(2,)]
    without = [(await client.post(f"/emails/{old}/again", json=ann)).json()["id"] for _ in range(2)]
    assert len({first.json()["id"], *without}) == 3, "without a key each request is a mail"


async def test_what_cannot_be_is_refused_with_what_to_do(client: httpx.AsyncClient, database: Database) -> None:
    old = await send(client, to=["bob@example.com", "ann@example.com"])
    waiting = await client.post(f"/emails/{old}/again", json={"recipient": "bob@example.com"})
    await delivered(database, UUID(old))
    nobody = await client.post(f"/emails/{old}/again", json={})
    unknown = await client.post(f"/emails/{UUID(int=7)}/again")

    assert (waiting.status_code, waiting.json()["name"]) == (409, "conflict")
    assert waiting.json()["message"] == "It is still on its way. Wait until it has ended, or cancel it."
    assert (nobody.status_code, nobody.json()["name"]) == (422, "validation_error")
    assert "2 recipients" in nobody.json()["message"]
    assert (unknown.status_code, unknown.json()["name"]) == (404, "not_found")


async def test_keys_send_again_what_they_may_see(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    live = await send(client)
    mine = {"authorization": f"Bearer {account.test}"}
    test = (await client.post("/emails", json=email(), headers=mine)).json()["id"]
    for one in (live, test):
        await delivered(database, UUID(one))

    answers = [
        await client.post(f"/emails/{which}/again", headers={"authorization": f"Bearer {key}"})
        for which, key in (
            (live, account.sending),
            (live, account.stranger),
            (live, account.test),
            (test, account.test),
        )
    ]

    assert [answer.status_code for answer in answers] == [401, 404, 404, 201]
    captured = "SELECT capture FROM emails WHERE again_of IS NOT NULL"
    assert await rows(database, captured) == [(True,)]


async def test_it_counts_for_the_quota_of_the_application(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    old = await send(client)
    await delivered(database, UUID(old))
    async with database.connection() as connection:
        await connection.execute("UPDATE applications SET messages_per_day = 1 WHERE id = %s", [account.application_id])

    answers = [await client.post(f"/emails/{old}/again") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 429]
    assert answers[1].json()["name"] == "daily_quota_exceeded"
    assert int(answers[1].headers["retry-after"]) > 0
