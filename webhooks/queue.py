"""The outbox as its senders see it: which endpoint has something due, what, and what became of it.

An endpoint is served by one process at a time: it is leased, and whoever holds the lease reads its events in order,
sends them and writes the results. So the order of events with one key needs no lock on them, and an endpoint that hangs
holds up nothing but itself. A lease is good while its process is heard of, and while the process holds its advisory
lock (`present`): one that is killed loses that with its connection, and the next goes on at once. What it had under way
is sent again.

Every function works on the caller's connection and never commits. Times are the database's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from core.ids import uuid7
from store import arrays
from store.database import Connection
from webhooks import pairs
from webhooks.health import Answer, Health

LEASE: Final = timedelta(seconds=30)

_CLASS: Final = 0x706C7768
"""First half of the advisory locks of processes that send ("plwh"); the second is a hash of the process's id."""

# `pg_locks` costs a look at all locks, so it is asked last, for what seems to be in somebody's hands.
_ALIVE = f"""
EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.classid = {_CLASS} AND l.objid = hashtext(n.served_by::text)::oid)
"""
_FREE = f"""
SELECT n.id FROM webhook_endpoints n
 WHERE n.status = 'enabled' AND n.url <> ''
   AND (n.rest_until IS NULL OR n.rest_until <= now())
   AND EXISTS (SELECT FROM webhook_events e WHERE e.endpoint_id = n.id AND e.state = 'pending' AND e.due_at <= now())
   AND CASE WHEN n.served_by IS NULL OR n.served_until <= now() THEN true ELSE NOT {_ALIVE} END
"""
WAIT = f"EXISTS ({_FREE})"
"""Condition: `take` would find some."""
_TAKE = f"""
UPDATE webhook_endpoints w SET served_by = %(me)s, served_until = now() + %(lease)s
 WHERE w.id IN ({_FREE} ORDER BY n.rest_until NULLS FIRST, n.id LIMIT %(room)s FOR UPDATE SKIP LOCKED)
RETURNING w.id, w.url, w.owner_id, w.failing_since, w.failures
"""
_RENEW = """
UPDATE webhook_endpoints SET served_until = now() + %(lease)s
 WHERE id = ANY(%(ids)s) AND served_by = %(me)s AND status = 'enabled' RETURNING id
"""

# What follows an event that has been tried waits until that is done with, also when both are due: of those behind it
# some may be due before it, and others after. That one waits at all is asked once for all of them: as a rule none does.
_DUE = """
SELECT uuid_send(e.id), timestamptz_send(e.due_at), e.id::text, e.key, e.tries, convert_to(e.payload, 'UTF8'),
       e.taken_at IS NOT NULL, e.ahead
  FROM webhook_events e
 WHERE e.endpoint_id = %(endpoint)s AND e.state = 'pending' AND e.due_at <= now()
   AND (e.key = ''
     OR NOT EXISTS (SELECT FROM webhook_events WHERE endpoint_id = %(endpoint)s AND state = 'pending' AND tries > 0)
     OR NOT EXISTS (
     SELECT FROM webhook_events b WHERE b.endpoint_id = %(endpoint)s AND b.state = 'pending' AND b.tries > 0
        AND b.key = e.key AND b.id < e.id))
 ORDER BY e.due_at, e.id LIMIT %(limit)s
"""
_WAIT = """
UPDATE webhook_events e SET due_at = b.due_at
  FROM (SELECT key, min(id::text)::uuid AS id, max(due_at) AS due_at FROM webhook_events
         WHERE endpoint_id = %(endpoint)s AND state = 'pending' AND tries > 0 AND key <> ''
         GROUP BY key) b
 WHERE e.endpoint_id = %(endpoint)s AND e.state = 'pending' AND e.due_at <= now() AND e.key = b.key AND e.id > b.id
   AND e.due_at < b.due_at
"""
_NOTE = (
    "COPY webhook_attempts (endpoint_id, event_id, id, sent_at, url, status, response, error, duration_ms) FROM STDIN"
)
# Nearly all of what is told is taken at once. Then the event itself keeps the attempt: a row less for each, and of an
# index. The endpoint keeps when that was last, for nobody can find it among its events without a long look.
# A table of texts is taken for a thousand rows; arrays, for ten, had each event compared with all others.
# Asked by CASE, the state lets nobody look for these few among all that is pending.
_TAKE_DOWN = """
WITH endpoint AS (UPDATE webhook_endpoints SET taken_at = %(last)s WHERE id = %(endpoint)s)
UPDATE webhook_events e
   SET state = 'success', tries = 1, taken_at = u.at, taken_url = %(url)s, taken_status = u.status,
       taken_answer = nullif(u.answer, ''), taken_ms = u.ms, ahead_at = u.ahead_at, ahead_ms = u.ahead_ms
  FROM ROWS FROM (
         unnest(%(ids)s::uuid[], %(was_due)s::timestamptz[], %(at)s::timestamptz[], %(statuses)s::smallint[],
                %(ms)s::integer[], %(aheads_at)s::timestamptz[], %(aheads_ms)s::integer[]),
         string_to_table(%(answers)s, E'\\x1e')) AS u(id, was_due, at, status, ms, ahead_at, ahead_ms, answer)
 WHERE e.endpoint_id = %(endpoint)s AND e.id = ANY(%(ids)s::uuid[]) AND e.id = u.id AND e.due_at = u.was_due
   AND (e.ahead IS NULL) = (u.ahead_at IS NULL)
   AND CASE WHEN e.tries = 0 AND e.taken_at IS NULL THEN e.state = 'pending' END
"""
_LEFT_OUT = """
SELECT uuid_send(u.id) FROM unnest(%(ids)s::uuid[], %(at)s::timestamptz[]) AS u(id, at)
 WHERE NOT EXISTS (SELECT FROM webhook_events e
                    WHERE e.endpoint_id = %(endpoint)s AND e.id = u.id AND e.taken_at = u.at)
"""
# What somebody has settled or replayed meanwhile stays as it is, but is found: a replay makes it due anew.
_SAME = "e.state = 'pending' AND e.due_at = u.was_due AND e.tries = u.tries - 1"
_SETTLE = f"""
UPDATE webhook_events e
   SET state = CASE WHEN {_SAME} THEN u.state ELSE e.state END,
       tries = CASE WHEN {_SAME} THEN u.tries ELSE e.tries END,
       due_at = CASE WHEN {_SAME} THEN u.due_at ELSE e.due_at END
  FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(tries)s::smallint[], %(due)s::timestamptz[],
              %(was_due)s::timestamptz[]) AS u(id, state, tries, due_at, was_due)
 WHERE e.endpoint_id = %(endpoint)s AND e.id = ANY(%(ids)s::uuid[]) AND e.id = u.id
RETURNING uuid_send(e.id)
"""
# What the old URL answered says nothing of a new one that its owner has put there meanwhile.
_STAND = """
UPDATE webhook_endpoints SET failing_since = %(since)s, failures = %(failures)s, rest_until = %(rest)s,
       status = CASE WHEN %(why)s <> '' THEN 'disabled' ELSE status END, disabled_reason = %(why)s
 WHERE id = %(endpoint)s AND served_by = %(me)s AND url = %(url)s AND status = 'enabled'
"""


@dataclass(frozen=True, slots=True)
class Served:
    """An endpoint in our hands."""

    id: UUID
    url: str
    owner: UUID
    health: Health


class Due(NamedTuple):
    """An event to send. What goes back to PostgreSQL is as it has it itself."""

    own_id: bytes
    own_due_at: bytes
    id: str
    key: str
    tries: int
    """Made before."""
    payload: bytes
    taken: bool
    """Somebody had it replayed."""
    pair: bytes = b""
    """Of one of a pair, the id of their row: that of the second one."""


class Tried(NamedTuple):
    """An event that was sent, or tried."""

    event: Due
    sent_at: datetime
    answer: Answer
    next_try: datetime | None
    """None: it is done with, for better or worse."""

    @property
    def is_plain(self) -> bool:
        """It was taken at the first try, so that its event can keep the attempt."""
        e, a = self.event, self.answer
        return a.good and not e.tries and not e.taken and arrays.SEPARATOR not in a.text


class _Taken(NamedTuple):
    """What a row keeps: the attempt at its event, and of a pair at the one ahead too."""

    last: Tried
    ahead: Tried | None = None


async def present(connection: Connection, me: UUID) -> bool:
    """Take the lock that says we are alive, for as long as this connection is open. False when another has it, whose
    name has the same hash."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s::text))", [_CLASS, me])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def take(connection: Connection, me: UUID, room: int) -> list[Served]:
    """Lease up to `room` endpoints that have something due and are in nobody's hands."""
    cursor = await connection.execute(_TAKE, {"me": me, "lease": LEASE, "room": room})
    return [Served(row[0], row[1], row[2], Health(row[3], row[4])) for row in await cursor.fetchall()]


async def renew(connection: Connection, me: UUID, endpoints: Collection[UUID]) -> set[UUID]:
    """Hold on to these; those that still are ours."""
    cursor = await connection.execute(_RENEW, {"me": me, "lease": LEASE, "ids": list(endpoints)})
    return {row[0] for row in await cursor.fetchall()}


async def still(connection: Connection, me: UUID, endpoint: UUID) -> str | None:
    """The URL of an endpoint as it stands now; None when it is no longer ours, or nothing is to be sent there."""
    cursor = await connection.execute(
        "SELECT url FROM webhook_endpoints WHERE id = %s AND served_by = %s AND status = 'enabled'", [endpoint, me]
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def release(connection: Connection, me: UUID, endpoint: UUID) -> None:
    """Let go of an endpoint; whatever comes due next is for whoever sees it first."""
    await connection.execute(
        "UPDATE webhook_endpoints SET served_by = NULL, served_until = NULL WHERE id = %s AND served_by = %s",
        [endpoint, me],
    )


async def due(connection: Connection, endpoint: UUID, limit: int) -> tuple[list[Due], bool]:
    """Events whose time has come, in the order they are to arrive in, out of so many rows; whether there may be more.
    The two of a pair follow each other."""
    rows = await (await connection.execute(_DUE, {"endpoint": endpoint, "limit": limit}, binary=True)).fetchall()
    found: list[Due] = []
    for own, due_at, text, key, tries, body, taken, ahead in sorted(rows):  # by their ids
        if ahead is None:
            found.append(Due(own, due_at, text, key, tries, body, taken))
        else:
            first, its_text = pairs.ids_ahead(own, text)
            shared = pairs.body_ahead(body, ahead)
            found.append(Due(first, due_at, its_text, key, tries, shared, taken, own))
            found.append(Due(own, due_at, text, key, tries, body, taken, own))
    return found, len(rows) == limit


async def put_behind(connection: Connection, endpoint: UUID) -> None:
    """Events that follow one that waits are due together with it, so that they are not found again and again."""
    await connection.execute(_WAIT, {"endpoint": endpoint})


async def insists(connection: Connection, endpoint: UUID) -> bool:
    """Whether an event waits for another try."""
    cursor = await connection.execute(
        "SELECT FROM webhook_events WHERE endpoint_id = %s AND state = 'pending' AND tries > 0 LIMIT 1", [endpoint]
    )
    return await cursor.fetchone() is not None


async def settle(connection: Connection, served: Served, tried: Sequence[Tried]) -> None:
    """Write down where events stand, and the attempts at those that are still there: what was swept away meanwhile,
    with its endpoint or by its age, leaves nothing behind."""
    await pairs.take_turn(connection, served.id)
    plain, others = _apart(tried)
    if plain:
        others += await _take_down(connection, served, plain)
    if others:
        await pairs.part(connection, served.id, {UUID(bytes=one.event.pair) for one in others if one.event.pair})
        await _settle(connection, served, others)


def _apart(tried: Sequence[Tried]) -> tuple[list[_Taken], list[Tried]]:
    """What its row can keep, and what it cannot: of a pair, if both were taken with the same answer."""
    plain: list[_Taken] = []
    others: list[Tried] = []
    ahead: dict[bytes, Tried] = {}
    for one in tried:
        pair = one.event.pair
        if not pair:
            if one.is_plain:
                plain.append(_Taken(one))
            else:
                others.append(one)
        elif one.event.own_id != pair:
            ahead[pair] = one
        else:
            first = ahead.pop(pair)  # it goes first, and the other one only when it was taken
            if first.is_plain and one.is_plain and first.answer[:2] == one.answer[:2]:
                plain.append(_Taken(one, first))
            else:
                others += (first, one)
    return plain, [*others, *ahead.values()]


async def _take_down(connection: Connection, served: Served, taken: Sequence[_Taken]) -> list[Tried]:
    """Write down what was taken at the first try; what is no longer as it was when it was sent."""
    columns = {
        "endpoint": served.id,
        "url": served.url,
        "last": max(one.last.sent_at for one in taken),
        "ids": arrays.sent_uuids([one.event.own_id for one, _ in taken]),
        "was_due": arrays.sent_moments([one.event.own_due_at for one, _ in taken]),
        "at": arrays.moments([one.sent_at for one, _ in taken]),
        "statuses": arrays.integers(one.answer.status or 0 for one, _ in taken),
        "ms": arrays.integers(one.answer.milliseconds for one, _ in taken),
        "answers": arrays.texts([one.answer.text for one, _ in taken]),
        "aheads_at": arrays.moments([first and first.sent_at for _, first in taken]),
        "aheads_ms": arrays.integers(first.answer.milliseconds if first else 0 for _, first in taken),
    }
    if (await connection.execute(_TAKE_DOWN, columns)).rowcount == len(taken):
        return []
    left = {row[0] for row in await (await connection.execute(_LEFT_OUT, columns, binary=True)).fetchall()}
    return [one for both in taken if both.last.event.own_id in left for one in both[::-1] if one is not None]


async def _settle(connection: Connection, served: Served, tried: Sequence[Tried]) -> None:
    columns = {
        "endpoint": served.id,
        "ids": arrays.sent_uuids([one.event.own_id for one in tried]),
        "states": [_state(one) for one in tried],
        "tries": arrays.integers(one.event.tries + 1 for one in tried),
        "due": arrays.moments([one.next_try or one.sent_at for one in tried]),
        "was_due": arrays.sent_moments([one.event.own_due_at for one in tried]),
    }
    found = {row[0] for row in await (await connection.execute(_SETTLE, columns, binary=True)).fetchall()}
    async with connection.cursor() as cursor, cursor.copy(_NOTE) as copy:
        for one in tried:
            if one.event.own_id in found:
                await copy.write_row(_noted(served, one))


def _noted(served: Served, one: Tried) -> tuple[object, ...]:
    a = one.answer
    return served.id, one.event.id, uuid7(), one.sent_at, served.url, a.status, a.text, a.error, a.milliseconds


async def stand(connection: Connection, me: UUID, served: Served, health: Health) -> None:
    """Write down how an endpoint stands, while it is ours."""
    names = {
        "me": me, "endpoint": served.id, "url": served.url, "since": health.failing_since, "failures": health.failures,
        "rest": health.rest_until, "why": health.disabled,
    }  # fmt: skip
    await connection.execute(_STAND, names)


def _state(one: Tried) -> str:
    if one.answer.good:
        return "success"
    return "failed" if one.next_try is None else "pending"
