"""Cancelling an email and moving its schedule, against a worker that claims it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from core.ids import uuid7
from core.queues import Lane
from messages.claim import claim
from messages.states import State
from messages.timeline import EventKind
from store.database import Database
from tests.integration.api.account import email
from tests.integration.api.test_reading import happened, send

LEASE = timedelta(seconds=60)


async def row(database: Database, statement: str, *values: object) -> Any:
    async with database.connection() as connection:
        return await (await connection.execute(statement, values)).fetchone()


async def claim_all(database: Database) -> int:
    async with database.connection() as connection:
        claimed, _ = await claim(connection, Lane.TRANSACTIONAL, ["example.com"], uuid7(), 100, LEASE)
    return len(claimed)


async def test_a_scheduled_email_is_cancelled(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client, scheduled_at="in 1 hour", to=["a@example.com", "b@example.com"])
    answer = await client.post(f"/emails/{identifier}/cancel")
    assert (answer.status_code, answer.json()) == (200, {"object": "email", "id": identifier})
    got = (await client.get(f"/emails/{identifier}")).json()
    assert got["last_event"] == "canceled"
    assert {r["state"] for r in got["recipients"]} == {"cancelled"}
    assert await row(database, "SELECT count(*) FROM delivery_queue") == (0,)
    events = (await client.get(f"/emails/{identifier}/events")).json()["data"]
    assert [(e["event"], e["recipient"]) for e in events] == [
        ("scheduled", None), ("cancelled", "a@example.com"), ("cancelled", "b@example.com"),
    ]  # fmt: skip
    assert await row(database, "SELECT sum(n)::int FROM outcome_counts WHERE outcome = 'cancelled'") == (2,)
    again = await client.post(f"/emails/{identifier}/cancel")
    assert again.status_code == 200, "cancelled is cancelled"
    assert await row(database, "SELECT sum(n)::int FROM outcome_counts WHERE outcome = 'cancelled'") == (2,)


async def test_mail_that_waits_for_its_next_attempt_is_cancelled(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    await happened(database, identifier, 0, State.DEFERRED, EventKind.DEFERRED)
    assert (await client.post(f"/emails/{identifier}/cancel")).status_code == 200
    assert (await client.get(f"/emails/{identifier}")).json()["last_event"] == "canceled"


async def test_what_is_delivered_cannot_be_cancelled(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    await happened(database, identifier, 0, State.DELIVERED, EventKind.DELIVERED)
    answer = await client.post(f"/emails/{identifier}/cancel")
    assert (answer.status_code, answer.json()["name"]) == (409, "conflict")
    assert "too late" in answer.json()["message"]
    assert "delivered" in answer.json()["message"]


async def test_only_those_who_do_not_have_it_yet_are_cancelled(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client, to=["a@example.com", "b@example.com"])
    await happened(database, identifier, 0, State.DELIVERED, EventKind.DELIVERED)
    assert (await client.post(f"/emails/{identifier}/cancel")).status_code == 200
    got = (await client.get(f"/emails/{identifier}")).json()
    assert [r["state"] for r in got["recipients"]] == ["delivered", "cancelled"]


async def test_what_a_worker_holds_cannot_be_changed(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    assert await claim_all(database) == 1
    answer = await client.post(f"/emails/{identifier}/cancel")
    assert (answer.status_code, answer.json()["name"]) == (409, "conflict")
    assert "being sent" in answer.json()["message"]
    assert (await client.get(f"/emails/{identifier}")).json()["recipients"][0]["state"] == "queued"


async def test_what_a_dead_worker_held_can_be_cancelled(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    assert await claim_all(database) == 1
    async with database.connection() as connection:
        await connection.execute("UPDATE delivery_queue SET due_at = now() - interval '1 second'")
    assert (await client.post(f"/emails/{identifier}/cancel")).status_code == 200
    assert await claim_all(database) == 0


async def test_cancel_and_claim_that_race_agree(client: httpx.AsyncClient, database: Database) -> None:
    """Each mail is claimed or cancelled, never both, never neither."""
    sent = [await send(client) for _ in range(30)]

    async def take_some() -> int:
        async with database.connection() as connection:
            claimed, _ = await claim(connection, Lane.TRANSACTIONAL, ["example.com"], uuid7(), 5, LEASE)
        return len(claimed)

    cancels = [client.post(f"/emails/{identifier}/cancel") for identifier in sent]
    claims = [take_some() for _ in range(6)]
    done: list[Any] = await asyncio.gather(
        *[job for pair in zip(cancels, claims, strict=False) for job in pair], *cancels[6:]
    )
    claimed = sum(result for result in done if isinstance(result, int))
    cancelled = sum(1 for result in done if isinstance(result, httpx.Response) and result.status_code == 200)
    assert claimed + cancelled + await claim_all(database) == 30
    refused = [result for result in done if isinstance(result, httpx.Response) and result.status_code != 200]
    assert {answer.status_code for answer in refused} <= {409}
    assert claimed >= len(refused)
    assert await row(database, "SELECT count(*) FROM messages WHERE state = 'cancelled'") == (cancelled,)


async def test_a_schedule_is_moved_and_the_expiry_with_it(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client, scheduled_at="in 1 hour", expires_in=600)
    target = datetime.now(UTC) + timedelta(hours=5)
    answer = await client.patch(f"/emails/{identifier}", json={"scheduled_at": target.isoformat()})
    assert (answer.status_code, answer.json()) == (200, {"object": "email", "id": identifier})
    got = (await client.get(f"/emails/{identifier}")).json()
    assert datetime.fromisoformat(got["scheduled_at"]) == target
    assert datetime.fromisoformat(got["expires_at"]) == target + timedelta(seconds=600)
    assert datetime.fromisoformat(got["recipients"][0]["next_attempt_at"]) == target
    assert got["last_event"] == "scheduled"
    queue = await row(database, "SELECT due_at, expires_at FROM delivery_queue")
    assert queue == (target, target + timedelta(seconds=600))
    events = (await client.get(f"/emails/{identifier}/events")).json()["data"]
    assert [e["event"] for e in events] == ["scheduled", "rescheduled"]


async def test_moves_that_race_leave_one_consistent_schedule(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client, scheduled_at="in 1 hour", expires_in=600)
    await asyncio.gather(
        *(client.patch(f"/emails/{identifier}", json={"scheduled_at": f"in {n} hours"}) for n in range(2, 10))
    )
    found = await row(
        database,
        "SELECT e.scheduled_at = q.due_at, extract(epoch FROM q.expires_at - q.due_at)::int,"
        " extract(epoch FROM e.expires_at - e.scheduled_at)::int"
        " FROM emails e JOIN delivery_queue q ON q.email_id = e.id",
    )
    assert found == (True, 600, 600)


async def test_only_a_schedule_can_be_moved(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await send(client)
    answer = await client.patch(f"/emails/{identifier}", json={"scheduled_at": "in 1 hour"})
    assert (answer.status_code, answer.json()["name"]) == (409, "conflict")
    cancelled = await send(client, scheduled_at="in 1 hour")
    await client.post(f"/emails/{cancelled}/cancel")
    answer = await client.patch(f"/emails/{cancelled}", json={"scheduled_at": "in 2 hours"})
    assert (answer.status_code, answer.json()["name"]) == (409, "conflict")
    assert await row(database, "SELECT count(*) FROM delivery_queue") == (1,)


async def test_a_bad_move_changes_nothing(client: httpx.AsyncClient) -> None:
    identifier = await send(client, scheduled_at="in 1 hour")
    before = (await client.get(f"/emails/{identifier}")).json()
    for body, status in (
        ({}, 422), ({"scheduled_at": None}, 422), ({"scheduled_at": 5}, 422), ({"scheduled_at": "2020-01-01"}, 422),
        ({"scheduled_at": "in 40 days"}, 422), ([], 422),
    ):  # fmt: skip
        answer = await client.patch(f"/emails/{identifier}", json=body)
        assert answer.status_code == status, answer.text
    assert (await client.patch(f"/emails/{identifier}", content=b"{")).status_code == 400
    assert (await client.patch(f"/emails/{identifier}", content=b" " * 70_000)).status_code == 413
    assert (await client.get(f"/emails/{identifier}")).json() == before


async def test_a_batch_in_each_mode(client: httpx.AsyncClient, database: Database) -> None:
    batch = [email(subject=str(n), scheduled_at="in 1 hour" if n == 1 else None) for n in range(3)]
    answer = await client.post("/emails/batch", json=batch)
    assert answer.status_code == 200
    assert list(answer.json()) == ["data"]
    subjects = [(await client.get(f"/emails/{item['id']}")).json()["subject"] for item in answer.json()["data"]]
    assert subjects == ["0", "1", "2"], "in the order of the request"

    batch[1] = email(to="wrong")
    batch.append({"to": 5})
    permissive = await client.post("/emails/batch", json=batch, headers={"x-batch-validation": "permissive"})
    assert permissive.status_code == 200
    got = permissive.json()
    assert len(got["data"]) == 2
    assert [error["index"] for error in got["errors"]] == [1, 3]
    assert "`to`" in got["errors"][0]["message"]

    none = await client.post("/emails/batch", json=[email(to="x")], headers={"x-batch-validation": "permissive"})
    assert (none.status_code, none.json()["data"], len(none.json()["errors"])) == (200, [], 1)
    fine = await client.post("/emails/batch", json=[email()], headers={"x-batch-validation": "permissive"})
    assert fine.json()["errors"] == []
    assert await row(database, "SELECT count(*) FROM emails") == (6,)


async def test_a_thousand_emails_at_once(client: httpx.AsyncClient, database: Database) -> None:
    answer = await client.post("/emails/batch", json=[email(subject=str(n)) for n in range(1000)])
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 1000
    assert await row(database, "SELECT count(*), count(DISTINCT subject) FROM emails") == (1000, 1000)


async def test_a_schedule_that_has_led_to_an_attempt_cannot_be_moved(
    client: httpx.AsyncClient, database: Database
) -> None:
    identifier = await send(client, scheduled_at="in 1 hour")
    await happened(database, identifier, 0, State.DEFERRED, EventKind.DEFERRED)
    answer = await client.patch(f"/emails/{identifier}", json={"scheduled_at": "in 2 hours"})
    assert (answer.status_code, answer.json()["name"]) == (409, "conflict")
    assert "deferred" in answer.json()["message"]
