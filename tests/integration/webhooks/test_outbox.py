"""The outbox: who gets a row for what, in the transaction of the fact and in the order of the facts."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from core.ids import lowest_at
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.integration.webhooks.outbox import make_endpoint, plan_of, told, types
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


def event(
    kind: EventType = EventType.EMAIL_DELIVERED,
    application: UUID | None = APPLICATION,
    key: str = "",
    once: str = "",
    **data: object,
) -> OutboxEvent:
    return OutboxEvent(kind, application, datetime.now(UTC), data, key, once)


async def append(database: Database, *events: OutboxEvent) -> None:
    async with database.transaction() as connection:
        await outbox.append(connection, events)


async def test_each_endpoint_gets_what_it_wants_of_its_own_application(database: Database) -> None:
    every = await make_endpoint(database)
    bounces = await make_endpoint(database, events=["email.bounced"])
    stranger = await make_endpoint(database, UUID(int=99))
    operators = await make_endpoint(database, None)
    off = await make_endpoint(database)
    await execute(database, "UPDATE webhook_endpoints SET status = 'disabled' WHERE id = %s", [off])
    await append(
        database, event(), event(EventType.EMAIL_BOUNCED), event(EventType.IP_THROTTLED, None, ip="203.0.113.5")
    )

    assert await types(database, every) == ["email.delivered", "email.bounced"]
    assert await types(database, bounces) == ["email.bounced"]
    assert await types(database, operators) == ["ip.throttled"]
    assert await types(database, stranger) == await types(database, off) == []


async def test_an_event_has_one_id_for_all_endpoints_and_ids_follow_each_other(database: Database) -> None:
    before = datetime.now(UTC)
    await make_endpoint(database)
    await make_endpoint(database)
    for _ in range(3):
        await append(database, event(), event())
    found = await rows(
        database, "SELECT id, count(*)::int, min(xmin::text) FROM webhook_events GROUP BY id ORDER BY id"
    )

    assert [count for _, count, _ in found] == [2] * 6
    assert sorted(found, key=lambda row: int(row[2])) == found
    assert all(one.version == 7 and one.variant == "specified in RFC 4122" for one, _, _ in found)
    assert min(one for one, _, _ in found) > lowest_at(before.replace(microsecond=0))


async def test_nothing_is_told_of_what_was_rolled_back(database: Database) -> None:
    endpoint = await make_endpoint(database)
    try:
        async with database.transaction() as connection:
            await outbox.append(connection, [event()])
            raise LookupError
    except LookupError:
        pass
    assert await told(database, endpoint) == []


async def test_what_is_told_once_is_told_once_to_each(database: Database) -> None:
    """Also by writers that meet, in whatever order they name it: none waits for the other in a circle."""
    first, second = await make_endpoint(database), await make_endpoint(database)
    names = [f"sent {n}" for n in range(50)]

    async def writer(order: list[str]) -> None:
        for _ in range(5):
            await append(database, *(event(once=name) for name in order))

    await asyncio.gather(writer(names), writer(names[::-1]), writer(names[25:] + names[:25]))
    assert len(await told(database, first)) == len(await told(database, second)) == 50


async def test_events_of_one_key_keep_their_order(database: Database) -> None:
    """Whatever is told once stands among them; those of other keys come in the same order for every writer."""
    await make_endpoint(database)
    await append(
        database,
        event(key="b", n=1), event(key="a", n=1), event(key="b", once="sent b", n=2),
        event(key="a", once="sent a", n=2), event(key="b", n=3), event(key="a", once="sent a", n=3),
    )  # fmt: skip
    shown = await rows(database, "SELECT key, payload::jsonb #> '{data,n}' FROM webhook_events ORDER BY id")

    assert shown == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)]


async def test_writers_that_meet_at_several_endpoints_do_not_wait_in_a_circle(database: Database) -> None:
    """Endpoints are written again meanwhile, and so found in another place of their table."""
    made = [await make_endpoint(database) for _ in range(3)]
    keys = [f"{n:02}" for n in range(40)]

    async def writer(order: list[str]) -> None:
        for n in range(5):
            await execute(database, "UPDATE webhook_endpoints SET failures = %s WHERE id = %s", [n, made[n % 3]])
            await append(database, *(event(key=key, once=f"sent {key}") for key in order))

    await asyncio.gather(writer(keys), writer(keys[::-1]), writer(keys[20:] + keys[:20]))
    assert [len(await told(database, endpoint)) for endpoint in made] == [40] * 3


async def test_an_event_does_not_look_at_endpoints_of_others(database: Database) -> None:
    """Of a table that was never analyzed."""
    await execute(
        database,
        "WITH made AS (INSERT INTO applications (id, name) SELECT gen_random_uuid(), 'x' || n"
        " FROM generate_series(1, 2000) n RETURNING id)"
        " INSERT INTO webhook_endpoints (id, application_id, url) SELECT gen_random_uuid(), id, 'https://x' FROM made",
    )
    plan = await plan_of(database, outbox._APPEND)

    assert "webhook_endpoints_of_owner" in plan, plan
    assert "Seq Scan on webhook_endpoints" not in plan, plan


async def test_a_body_is_one_json_object_with_times_in_utc(database: Database) -> None:
    endpoint = await make_endpoint(database)
    at = datetime(2026, 11, 28, 7, 0, 0, 5000, UTC)
    data = {"when": at, "text": "a\x00b\u2028", "id": UUID(int=3)}
    await append(database, OutboxEvent(EventType.EMAIL_OPENED, APPLICATION, at, data))
    time = "2026-11-28T07:00:00.005000Z"

    assert await told(database, endpoint) == [
        {
            "type": "email.opened",
            "created_at": time,
            "data": {"when": time, "text": "a\x00b\u2028", "id": str(UUID(int=3))},
        }
    ]
