"""The outbox: what is to be told to whom, written in the transaction that makes it true.

    await outbox.append(connection, [OutboxEvent(EventType.TOPIC_CREATED, application_id, at, {"id": topic_id})])

One row for each event and each enabled endpoint that wants it, or for a pair of events (`webhooks/pairs`); none, and
next to no work, when nobody listens. Whether somebody does is asked of the table each time: an endpoint is told of all
that is written after it was made, and nothing is lost to a memory that is out of date.

The row holds the body that is sent, made here and never again: what is replayed is what was sent.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

import orjson
import psycopg

from store import arrays
from store.database import Connection
from webhooks.kinds import EventType
from webhooks.pairs import AHEAD

OPERATORS: Final = UUID(int=0)
"""Owner of the endpoints that belong to the installation, as the table has it."""

LISTENED: Final = "EXISTS (SELECT FROM webhook_endpoints WHERE status = 'enabled')"
"""As a condition of a statement it is asked once and first: nothing else of the statement runs when it is false."""

_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

_ONCE: Final = "sent "
"""Before the key, what `email.sent` is told once by."""

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
# The same of pairs. An endpoint that wants one of the two has a row of that alone, with its id. They are written before
# what is told alone, so that two who tell of the same mails, which have several recipients each, may wait for each
# other in a circle: one of them tries again.
_APPEND_PAIRS = f"""
INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, once, payload, ahead)
SELECT w.id, CASE WHEN w.after THEN t.id ELSE webhook_id_ahead(t.id) END,
       CASE WHEN w.after THEN t.type ELSE '{AHEAD.value}' END, t.created_at, t.key,
       CASE WHEN w.ahead THEN '{_ONCE}' || t.key END,
       CASE WHEN w.after THEN t.payload ELSE webhook_body_ahead(t.type, t.payload, t.ahead) END,
       CASE WHEN w.after AND w.ahead THEN t.ahead END
  FROM (SELECT webhook_event_id() AS id, u.*
          FROM ROWS FROM (
                 string_to_table(%(types)s, E'\\x1e'), unnest(%(owners)s::uuid[], %(times)s::timestamptz[]),
                 string_to_table(%(keys)s, E'\\x1e'), string_to_table(%(payloads)s, E'\\x1e'),
                 unnest(%(aheads)s::integer[]))
               AS u(type, owner_id, created_at, key, payload, ahead) OFFSET 0) t
 CROSS JOIN LATERAL (
   SELECT e.id, e.events IS NULL OR t.type = ANY(e.events) AS after,
          e.events IS NULL OR '{AHEAD.value}' = ANY(e.events) AS ahead
     FROM webhook_endpoints e WHERE e.owner_id = t.owner_id AND e.status = 'enabled'
      AND (e.events IS NULL OR t.type = ANY(e.events) OR '{AHEAD.value}' = ANY(e.events)) ORDER BY e.id) w
"""


class OutboxEvent(NamedTuple):
    """One thing that happened."""

    type: EventType
    application_id: UUID | None
    """Whose it is; None for what is told to the operators."""
    created_at: datetime
    """When it happened."""
    data: Mapping[str, object] | orjson.Fragment
    """What orjson can write."""
    key: str = ""
    """Events with one key arrive in the order they were written in: the email's id. "" for no order."""
    once: str = ""
    """An event that is told only once, however often it is appended, bears the same text each time, and the same key,
    which has no other such text."""


class Pair(NamedTuple):
    """`email.sent`, which is told once of its key, and the event that is told right behind it, in one row with it. The
    first of its key in a transaction."""

    type: EventType
    """That of the second."""
    application_id: UUID
    created_at: datetime
    about: Mapping[str, object]
    """The data of `email.sent`."""
    key: str
    beyond: bytes
    """What the second says beyond it, as JSON: at least one fact, and none by a name that stands in `about`."""

    @property
    def parts(self) -> tuple[OutboxEvent, OutboxEvent]:
        """The two events."""
        kind, owner, at, about, key, beyond = self
        return (
            OutboxEvent(AHEAD, owner, at, about, key, once_sent(key)),
            OutboxEvent(kind, owner, at, joined(about, beyond), key),
        )


def once_sent(key: str) -> str:
    """What an `email.sent` bears that is told once of its key."""
    return _ONCE + key


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


async def append_known(connection: Connection, events: Sequence[OutboxEvent], pairs: Sequence[Pair] = ()) -> None:
    """The same for a caller who has asked."""
    if pairs and not await _append_pairs(connection, pairs):
        events = [*(part for pair in pairs for part in pair.parts), *events]
    if events:
        events = sorted(events, key=_in_order)
        once = arrays.texts([event.once for event in events])
        bodies = arrays.json_texts([payload(event) for event in events])
        await connection.execute(_APPEND, _columns(events) | {"once": once, "payloads": bodies})


async def _append_pairs(connection: Connection, pairs: Sequence[Pair]) -> bool:
    """False: nothing is written, since something of it is there already. As a rule it was told before of one of these
    emails that it was sent. The savepoint ends with the transaction, which saves a round trip."""
    pairs = sorted(pairs, key=attrgetter("key"))
    shared = [_body(pair.type, pair.created_at, pair.about)[:-2] for pair in pairs]
    bodies = [begun + b"," + pair.beyond[1:] + b"}" for begun, pair in zip(shared, pairs, strict=True)]
    added = {"payloads": arrays.json_texts(bodies), "aheads": arrays.integers(map(len, shared))}
    columns = _columns(pairs) | added
    await connection.execute("SAVEPOINT pairs", prepare=False)
    try:
        await connection.execute(_APPEND_PAIRS, columns)
    except psycopg.errors.UniqueViolation:
        await connection.execute("ROLLBACK TO SAVEPOINT pairs", prepare=False)
        return False
    return True


def _columns(events: Sequence[OutboxEvent | Pair]) -> dict[str, object]:
    """What both have, in the same places."""
    types, owners, times, _, keys, _ = zip(*events, strict=True)
    return {
        "types": arrays.texts(types),
        "owners": arrays.uuids(owner or OPERATORS for owner in owners),
        "times": arrays.moments(times),
        "keys": arrays.texts(keys),
    }


def _in_order(event: OutboxEvent) -> str:
    """By what events are sorted before they are written: those of one key stay as they came."""
    return event.key or event.once


def payload(event: OutboxEvent) -> bytes:
    """The body that is sent."""
    return _body(event.type, event.created_at, event.data)


def _body(kind: EventType, at: datetime, data: Mapping[str, object] | orjson.Fragment) -> bytes:
    return written({"type": kind, "created_at": at, "data": data})


def written(told: Mapping[str, object]) -> bytes:
    """As JSON, as it stands in a body."""
    return orjson.dumps(told, option=_OPTIONS)


def joined(about: Mapping[str, object], beyond: bytes) -> orjson.Fragment:
    """Data of both. They are not empty, and have no name in common."""
    return orjson.Fragment(written(about)[:-1] + b"," + beyond[1:])
