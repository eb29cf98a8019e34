"""The outbox: what is to be told to whom, written in the transaction that makes it true.

    await outbox.append(connection, [OutboxEvent(EventType.TOPIC_CREATED, application_id, at, {"id": topic_id})])

One row for each event and each enabled endpoint that wants it; none, and next to no work, when nobody listens. Whether
somebody does is asked of the table each time: an endpoint is told of all that is written after it was made, and nothing
is lost to a memory that is out of date.

The row holds the body that is sent, made here and never again: what is replayed is what was sent.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from store import arrays
from store.database import Connection
from webhooks.kinds import EventType

OPERATORS: Final = UUID(int=0)
"""Owner of the endpoints that belong to the installation, as the table has it."""

LISTENED: Final = "EXISTS (SELECT FROM webhook_endpoints WHERE status = 'enabled')"
"""As a condition of a statement it is asked once and first: nothing else of the statement runs when it is false."""

_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

EVERY_TYPE: Final[Collection[str]] = frozenset(EventType)

_WANTED = """
SELECT owner_id, events FROM webhook_endpoints
 WHERE status = 'enabled' AND (%(owners)s::uuid[] IS NULL OR owner_id = ANY(%(owners)s::uuid[]))
"""
# The id is the event's, the same for all endpoints: OFFSET 0 has it made once, ORDER BY has endpoints looked for event
# by event. As events come sorted, two writers who tell the same never wait for each other in a circle. Ids are
# new, so only `once` can be there already.
_APPEND = """
INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, once, payload)
SELECT w.id, t.id, t.type, t.created_at, coalesce(t.key, ''), nullif(t.once, ''), t.payload
  FROM (SELECT webhook_event_id() AS id, u.*
          FROM unnest(string_to_array(%(types)s, E'\\x1e'), %(owners)s::uuid[], %(times)s::timestamptz[],
                      string_to_array(%(keys)s, E'\\x1e'), string_to_array(%(once)s, E'\\x1e'),
                      string_to_array(%(payloads)s, E'\\x1e')) AS u(type, owner_id, created_at, key, once, payload)
        OFFSET 0) t
 CROSS JOIN LATERAL (SELECT e.id FROM webhook_endpoints e WHERE e.owner_id = t.owner_id AND e.status = 'enabled'
                        AND (e.events IS NULL OR t.type = ANY(e.events)) ORDER BY e.id) w
ON CONFLICT (endpoint_id, once) WHERE once IS NOT NULL DO NOTHING
"""


class OutboxEvent(NamedTuple):
    """One thing that happened."""

    type: EventType
    application_id: UUID | None
    """Whose it is; None for what is told to the operators."""
    created_at: datetime
    """When it happened."""
    data: Mapping[str, object]
    """What orjson can write."""
    key: str = ""
    """Events with one key arrive in the order they were written in: the email's id. "" for no order."""
    once: str = ""
    """An event that is told only once, however often it is appended, bears the same text each time, and the same key,
    which has no other such text."""


async def append(connection: Connection, events: Sequence[OutboxEvent]) -> None:
    """Write these events for those who want them, within the caller's transaction."""
    if events and await listened(connection):
        await append_known(connection, events)


async def tell(
    connection: Connection, kind: EventType, application_id: UUID | None, data: Mapping[str, object], key: str = ""
) -> None:
    """Write one event that happens now, the same way."""
    at = await moment(connection)
    if at is not None:
        await append_known(connection, [OutboxEvent(kind, application_id, at, data, key)])


async def moment(connection: Connection) -> datetime | None:
    """Now, by the database; None when nobody wants to be told of anything, and nothing need be prepared."""
    row = await (await connection.execute(f"SELECT clock_timestamp() WHERE {LISTENED}")).fetchone()
    return row[0] if row else None


async def listened(connection: Connection) -> bool:
    """Whether anybody wants to be told of anything, for whoever would have much to prepare."""
    row = await (await connection.execute(f"SELECT {LISTENED}")).fetchone()
    return bool(row and row[0])


async def wanted(connection: Connection, owners: Collection[UUID] | None) -> dict[UUID, Collection[str]]:
    """Which types these owners want to be told of, or all owners; an owner whom nobody tells is left out."""
    cursor = await connection.execute(_WANTED, {"owners": None if owners is None else arrays.uuids(owners)})
    found: dict[UUID, Collection[str]] = {}
    for owner, types in await cursor.fetchall():
        found[owner] = EVERY_TYPE if types is None else {*found.get(owner, ()), *types}
    return found


async def append_known(connection: Connection, events: Sequence[OutboxEvent]) -> None:
    """The same for a caller who has asked."""
    if not events:
        return
    events = sorted(events, key=_in_order)
    await connection.execute(
        _APPEND,
        {
            "types": arrays.texts([event.type.value for event in events]),
            "owners": arrays.uuids(event.application_id or OPERATORS for event in events),
            "times": arrays.moments([event.created_at for event in events]),
            "keys": arrays.texts([event.key for event in events]),
            "once": arrays.texts([event.once for event in events]),
            "payloads": arrays.texts([payload(event) for event in events]),
        },
    )


def _in_order(event: OutboxEvent) -> str:
    """By what events are sorted before they are written: those of one key stay as they came."""
    return event.key or event.once


def payload(event: OutboxEvent) -> str:
    """The body that is sent."""
    told = {"type": event.type, "created_at": event.created_at, "data": event.data}
    return orjson.dumps(told, option=_OPTIONS).decode()
