"""`POST /broadcasts/{id}/checks` and tests to seed accounts: what is said, to whom, and what is refused by its name."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.ids import uuid7
from core.queues import Lane
from core.settings import Settings
from mta.model import EgressIp
from pools.repository import ensure_pool
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.messages.emails import execute, rows

LEAVE = "<a href='{{{RESEND_UNSUBSCRIBE_URL}}}'>leave</a>"
NOBODY = "127.0.0.1:9"
"""No name server, which says so at once."""


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(
        database_url=database_url, redis_url=redis_url, secret="5" * 64, database_pool_size=4, dns_servers=(NOBODY,)
    )  # fmt: skip


@pytest.fixture
async def segment(database: Database, account: Account) -> UUID:
    """A list with two people, one of whom did not confirm."""
    identifier = uuid7()
    await execute(
        database,
        "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'all')",
        [identifier, account.application_id],
    )
    for name, status in (("ann", "confirmed"), ("eve", "unconfirmed")):
        contact, address = uuid7(), f"{name}@one.example"
        await execute(
            database,
            "INSERT INTO contacts (id, application_id, address, email, status) VALUES (%s, %s, %s, %s, %s)",
            [contact, account.application_id, address, address, status],
        )
        await execute(database, "INSERT INTO segment_members VALUES (%s, %s, 'confirmed')", [identifier, contact])
    async with database.transaction() as connection:
        await ensure_pool(connection, "bulk", Lane.MARKETING, [EgressIp("127.0.1.9", "127.0.1.9", "mta9.example")])
    return identifier


async def made(client: httpx.AsyncClient, segment: UUID, **changes: Any) -> str:
    words = {"from": "Acme <news@acme.example>", "subject": "News", "html": f"<p>{{{{ first_name }}}}</p>{LEAVE}"}
    answer = await client.post("/broadcasts", json={**words, "segment_id": str(segment), **changes})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_broadcast_is_checked_before_it_begins(client: httpx.AsyncClient, segment: UUID) -> None:
    identifier = await made(client, segment)
    without = (await client.post(f"/broadcasts/{identifier}/checks")).json()
    assert (without["can_start"], without["findings"][0]["code"]) == (False, "missing_variables"), "nobody has a name"
    somebody = (await client.get("/contacts")).json()["data"][0]["id"]
    await client.patch(f"/contacts/{somebody}", json={"first_name": "Ann"})
    answer = await client.post(f"/broadcasts/{identifier}/checks")
    found = answer.json()

    assert (answer.status_code, found["object"], found["can_start"]) == (200, "broadcast_checks", True)
    skipped = [{"reason": "unconfirmed", "people": 1}]
    assert found["people"] == {"total": 2, "reached": 1, "skipped": skipped, "exact": True}
    codes = {one["code"]: one for one in found["findings"]}
    assert {"missing_variables", "topic", "one_click", "dns_silent", "dkim"} == codes.keys(), "its domain has no keys"
    assert codes["missing_variables"]["people"] == 1
    assert all(one["severity"] == "warns" and one["found"] and one["advice"] for one in found["findings"])
    (provider,) = found["forecast"]["providers"]
    assert (provider["provider"], provider["people"], provider["held_by"]) == ("other", 1, None)
    assert found["forecast"]["ends_at"] is not None
    assert (await client.post(f"/broadcasts/{identifier}/send")).status_code == 200


async def test_what_refuses_a_start_is_said_and_the_start_is_refused(client: httpx.AsyncClient, segment: UUID) -> None:
    identifier = await made(client, segment, subject="", html="")
    found = (await client.post(f"/broadcasts/{identifier}/checks")).json()

    assert found["can_start"] is False
    assert (found["findings"][0]["code"], found["findings"][0]["severity"]) == ("content", "refuses")
    assert (await client.post(f"/broadcasts/{identifier}/send")).status_code == 422


async def test_nobody_checks_what_is_not_theirs(client: httpx.AsyncClient, segment: UUID, account: Account) -> None:
    identifier = await made(client, segment)
    for key, status in ((account.stranger, 404), (account.sending, 401), (account.operator, 401)):
        headers = {"authorization": f"Bearer {key}"}
        assert (await client.post(f"/broadcasts/{identifier}/checks", headers=headers)).status_code == status
    assert (await client.post(f"/broadcasts/{uuid7()}/checks")).status_code == 404
    assert (await client.post("/broadcasts/none/checks")).status_code == 404


async def test_an_application_has_one_check_at_a_time(client: httpx.AsyncClient, segment: UUID) -> None:
    path = f"/broadcasts/{await made(client, segment)}/checks"
    answers = await asyncio.gather(client.post(path), client.post(path))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert (await client.post(path)).status_code == 200


async def _seed(database: Database, address: str, lane: str = "marketing", *, active: bool = True) -> UUID:
    identifier = uuid7()
    await execute(
        database,
        "INSERT INTO seeds (id, address, provider, host, port, tls, login, sealed_password, sender, lane,"
        " every_minutes, active)"
        " VALUES (%s, %s, 'gmail', 'imap.example', 993, 'tls', 'me', '', 'a@acme.example', %s, 60, %s)",
        [identifier, address, lane, active],
    )
    return identifier


async def test_a_test_goes_to_seed_accounts_as_a_probe(
    client: httpx.AsyncClient, segment: UUID, database: Database
) -> None:
    identifier = await made(client, segment, html=LEAVE)
    assert (await client.post(f"/broadcasts/{identifier}/test", json={"seeds": True})).status_code == 409
    assert (await client.post(f"/broadcasts/{identifier}/test", json={})).status_code == 422
    seed = await _seed(database, "seed@gmail.example")
    await _seed(database, "paused@gmail.example", active=False)
    await _seed(database, "receipts@gmail.example", "transactional")
    answer = await client.post(f"/broadcasts/{identifier}/test", json={"to": "me@one.example", "seeds": True})

    assert answer.status_code == 200 and len(answer.json()["emails"]) == 2
    sent = await rows(database, "SELECT address FROM messages ORDER BY address")
    assert sent == [("me@one.example",), ("seed@gmail.example",)]
    probes = await rows(
        database, "SELECT p.seed_id, e.subject FROM seed_probes p JOIN emails e ON e.message_id = p.message_id"
    )
    assert probes == [(seed, "[Test] News")]


async def test_what_is_captured_is_looked_for_in_no_mailbox(
    client: httpx.AsyncClient, segment: UUID, database: Database, account: Account
) -> None:
    await _seed(database, "seed@gmail.example")
    await execute(
        database,
        "INSERT INTO capture_rules (id, application_id, pattern) VALUES (%s, %s, '*@gmail.example')",
        [uuid7(), account.application_id],
    )
    identifier = await made(client, segment, html=LEAVE)
    answer = await client.post(f"/broadcasts/{identifier}/test", json={"seeds": True})

    assert len(answer.json()["emails"]) == 1
    assert await rows(database, "SELECT count(*) FROM seed_probes") == [(0,)]
