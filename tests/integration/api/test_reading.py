"""GET /emails, one email, and its timeline."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from core.ids import uuid7
from core.queues import Lane
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from outcomes.kinds import AttemptFacts, Outcome
from outcomes.record import record
from store.database import Database
from tests.integration.api.account import Account, email

WORKER = uuid7()


async def happened(
    database: Database, identifier: str, position: int, state: State, kind: EventKind, attempts: int = 1
) -> None:
    """Record an outcome as a worker does."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE delivery_queue SET claimed_by = %s, claimed_at = now() WHERE email_id = %s AND position = %s",
            [WORKER, identifier, position],
        )
        facts = AttemptFacts(
            "192.0.2.1", "gmail", "mx.example.com", "TLSv1.3", "dot", 250, "2.0.0", "OK", "delivered", "ok",
            "recipient", "smtp-2xx", 120,
        )  # fmt: skip
        await record(
            connection,
            [
                Outcome(
                    MessageRef(UUID(identifier), position), "x@example.com", Lane.TRANSACTIONAL, datetime.now(UTC),
                    kind, state, attempts, WORKER, facts, datetime.now(UTC) + timedelta(minutes=5),
                )
            ],
        )  # fmt: skip


async def send(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await client.post("/emails", json=email(**changes))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def test_a_new_email(client: httpx.AsyncClient) -> None:
    identifier = await send(client, html="<p>x</p>", cc="c@example.com", tags=[{"name": "a", "value": "b"}])
    got = (await client.get(f"/emails/{identifier}")).json()
    recipients = got.pop("recipients")
    assert datetime.fromisoformat(got.pop("created_at")).utcoffset() == timedelta(0)
    assert got == {
        "object": "email", "id": identifier, "message_id": f"<{identifier.replace('-', '')}@acme.example>",
        "from": "Acme <hello@acme.example>", "to": ["bob@example.com"], "cc": ["c@example.com"], "bcc": [],
        "reply_to": [], "subject": "Your receipt", "scheduled_at": None, "last_event": "queued",
        "stream": "transactional", "html": "<p>x</p>", "text": "Thank you.", "tags": [{"name": "a", "value": "b"}],
        "expires_at": None, "topic_id": None, "template_id": None, "again_of": None, "test": False,
    }  # fmt: skip
    assert [(r["recipient"], r["kind"], r["state"], r["attempts"], r["next_attempt_at"]) for r in recipients] == [
        ("bob@example.com", "to", "queued", 0, None),
        ("c@example.com", "cc", "queued", 0, None),
    ]


async def test_every_recipient_has_its_own_outcome(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client, to=["a@example.com", "b@example.com"])
    await happened(database, identifier, 0, State.DELIVERED, EventKind.DELIVERED)
    await happened(database, identifier, 1, State.DEFERRED, EventKind.DEFERRED)
    got = (await client.get(f"/emails/{identifier}")).json()
    assert got["last_event"] == "delivery_delayed"
    delivered, deferred = got["recipients"]
    assert (delivered["state"], delivered["attempts"], delivered["next_attempt_at"]) == ("delivered", 1, None)
    assert (deferred["state"], deferred["attempts"]) == ("deferred", 1)
    assert datetime.fromisoformat(deferred["next_attempt_at"]) > datetime.now(UTC) + timedelta(minutes=4)
    await happened(database, identifier, 1, State.BOUNCED, EventKind.BOUNCED, 2)
    assert (await client.get(f"/emails/{identifier}")).json()["last_event"] == "bounced"


async def test_a_claim_is_no_next_attempt(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE delivery_queue SET claimed_by = %s, claimed_at = now(), due_at = now() + interval '1 minute'",
            [WORKER],
        )
    assert (await client.get(f"/emails/{identifier}")).json()["recipients"][0]["next_attempt_at"] is None


async def test_the_timeline(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    await happened(database, identifier, 0, State.DEFERRED, EventKind.DEFERRED)
    await happened(database, identifier, 0, State.DELIVERED, EventKind.DELIVERED, 2)
    got = (await client.get(f"/emails/{identifier}/events")).json()
    assert (got["object"], got["has_more"]) == ("list", False)
    assert [event["event"] for event in got["data"]] == ["queued", "deferred", "delivered"]
    first, _, last = got["data"]
    assert first["recipient"] is None
    assert {key: last[key] for key in last if key not in ("created_at", "next_attempt_at")} == {
        "event": "delivered", "recipient": "bob@example.com", "attempt": 2, "ip": "192.0.2.1", "provider": "gmail",
        "mx": "mx.example.com", "tls": "TLSv1.3", "phase": "dot", "code": 250, "enhanced": "2.0.0", "reply": "OK",
        "action": "delivered", "class": "ok", "scope": "recipient", "rule": "smtp-2xx", "detail": None,
        "duration_ms": 120, "link": None, "client_ip": None, "user_agent": None, "machine": None, "first": None,
    }  # fmt: skip


async def test_content_that_retention_removed(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client, html="<p>x</p>")
    async with database.connection() as connection:
        await connection.execute("DELETE FROM contents")
    got = (await client.get(f"/emails/{identifier}")).json()
    assert (got["html"], got["text"], got["subject"]) == (None, None, "Your receipt")


async def test_the_list_is_paged_newest_first(client: httpx.AsyncClient) -> None:
    sent = [await send(client, subject=str(n)) for n in range(5)]
    newest = sent[::-1]

    async def page(**query: Any) -> tuple[list[str], bool]:
        got = (await client.get("/emails", params=query)).json()
        assert got["object"] == "list"
        return [item["id"] for item in got["data"]], got["has_more"]

    assert await page() == (newest, False)
    assert await page(limit=2) == (newest[:2], True)
    assert await page(limit=2, after=newest[1]) == (newest[2:4], True)
    assert await page(limit=2, after=newest[3]) == (newest[4:], False)
    assert await page(limit=2, before=newest[3]) == (newest[1:3], True)
    assert await page(limit=2, before=newest[1]) == (newest[:1], False)
    item = (await client.get("/emails", params={"limit": 1})).json()["data"][0]
    assert (item["last_event"], item["from"], item["to"]) == (
        "queued",
        "Acme <hello@acme.example>",
        ["bob@example.com"],
    )


async def test_lists_say_what_is_wrong_with_a_parameter(client: httpx.AsyncClient) -> None:
    some = str(uuid7())
    for query, name in (
        ({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"limit": "x"}, "limit"), ({"after": "x"}, "after"),
        ({"before": "1"}, "before"), ({"after": some, "before": some}, "after"),
    ):  # fmt: skip
        answer = await client.get("/emails", params=query)
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter")
        assert f"`{name}`" in answer.json()["message"]


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        answer = await client.request(method, f"/emails/{uuid7()}{path}")
        assert (answer.status_code, answer.json()["name"]) == (404, "not_found")
        odd = await client.request(method, f"/emails/no-uuid{path}")
        assert (odd.status_code, odd.json()["name"]) == (404, "not_found")
    moved = await client.patch(f"/emails/{uuid7()}", json={"scheduled_at": "in 1 hour"})
    assert moved.status_code == 404


async def test_emails_of_another_application_are_not_there(client: httpx.AsyncClient, account: Account) -> None:
    identifier = await send(client, scheduled_at="in 1 hour")
    headers = {"authorization": f"Bearer {account.stranger}"}
    assert (await client.get("/emails", headers=headers)).json()["data"] == []
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        answer = await client.request(method, f"/emails/{identifier}{path}", headers=headers)
        assert answer.status_code == 404, path
    moved = await client.patch(f"/emails/{identifier}", json={"scheduled_at": "in 2 hours"}, headers=headers)
    assert moved.status_code == 404
    assert (await client.get(f"/emails/{identifier}")).json()["last_event"] == "scheduled"
