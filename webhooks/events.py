"""What an endpoint was told, how that went, and telling it again. Reads and replays; sending is `webhooks/delivery`.

Every function works on the caller's connection and never commits; whose endpoint it is was asked before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import orjson
from psycopg.rows import TupleRow

from core.ids import lowest_at
from core.paging import Page, Window, cut
from core.refusal import not_found
from store.clock import transaction_time
from store.database import Connection
from webhooks import pairs

Status = Literal["pending", "attempting", "success", "failed"]

WHICH: Final = ("failed", "unsent", "all")
"""What is replayed of a range of time: what has failed, that and what still waits, or everything."""

Which = Literal["failed", "unsent", "all"]

EVENT_STATES: Final[dict[Which, list[str]]] = {
    "failed": ["failed"],
    "unsent": ["failed", "pending"],
    "all": ["failed", "pending", "success"],
}
"""Which states each of them takes."""
_AHEAD: Final = 6
"""Among `_COLUMNS`."""
_STEP: Final = 10_000
"""Rows made ready in one transaction."""

_COLUMNS = "id, type, created_at, state, tries, CASE WHEN state = 'pending' THEN due_at END, ahead"

_ONE = f"""
SELECT {_COLUMNS}, payload FROM webhook_events
 WHERE endpoint_id = %(endpoint)s AND (id = %(id)s OR (id = %(row)s AND ahead IS NOT NULL))
"""
_TAKEN = """
SELECT taken_at, taken_url, taken_status, coalesce(taken_answer, ''), '', taken_ms FROM webhook_events
 WHERE endpoint_id = %(endpoint)s AND id = %(id)s AND taken_at IS NOT NULL
UNION ALL
SELECT ahead_at, taken_url, taken_status, coalesce(taken_answer, ''), '', ahead_ms FROM webhook_events
 WHERE endpoint_id = %(endpoint)s AND id = %(row)s AND id <> %(id)s AND ahead_at IS NOT NULL
"""

# What is made due is due together with all that waits behind it, so that everything of one key comes in its order; and
# what waits keeps its place: asking for it again never puts it behind others.
_REPLAYED = """
waiting AS (
  SELECT key, min(due_at) AS due_at FROM webhook_events
   WHERE endpoint_id = %(endpoint)s AND state = 'pending' AND key <> '' AND key IN (SELECT key FROM chosen) GROUP BY key
), made AS (
  UPDATE webhook_events e SET state = 'pending', tries = 0,
         due_at = least(w.due_at, CASE WHEN e.state = 'pending' THEN e.due_at END, %(now)s)
    FROM (SELECT id, key FROM chosen UNION
          SELECT e.id, e.key FROM webhook_events e JOIN waiting w USING (key)
           WHERE e.endpoint_id = %(endpoint)s AND e.state = 'pending') c LEFT JOIN waiting w USING (key)
   WHERE e.endpoint_id = %(endpoint)s AND e.id = c.id
)
"""
# `beyond` is the last that an earlier step has made ready.
_REPLAY_RANGE = f"""
WITH chosen AS (
  SELECT id, key, ahead FROM webhook_events WHERE endpoint_id = %(endpoint)s AND id >= %(since)s AND id < %(until)s
     AND id > %(beyond)s AND state = ANY(%(states)s) ORDER BY id LIMIT %(limit)s FOR UPDATE
), {_REPLAYED}
SELECT count(*), count(ahead), (SELECT id FROM chosen ORDER BY id DESC LIMIT 1) FROM chosen
"""
_REPLAY_ONE = f"""
WITH chosen AS (SELECT id, key FROM webhook_events WHERE endpoint_id = %(endpoint)s AND id = %(id)s), {_REPLAYED}
SELECT count(*) FROM chosen
"""


@dataclass(frozen=True, slots=True)
class EventSummary:
    """An event as a list shows it."""

    id: UUID
    type: str
    created_at: datetime
    status: Status
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventDetail:
    """An event with what is, or was, sent."""

    summary: EventSummary
    body: str
    """Letter by letter."""

    @property
    def payload(self) -> Any:
        """The body, read."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and its answer."""

    id: UUID
    sent_at: datetime
    url: str
    status: int | None
    """None: there was no answer, and `error` says why."""
    response: str
    error: str
    duration_ms: int


async def page(
    connection: Connection, endpoint_id: UUID, window: Window[UUID], status: Status | None = None
) -> Page[EventSummary]:
    """Events of an endpoint, newest first."""
    back = window.before is not None
    place = window.before or window.after
    condition = "" if place is None else f" AND id {'>' if back else '<='} %(place)s"
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM webhook_events WHERE endpoint_id = %(endpoint)s{condition}{_having(status)}"
        f" ORDER BY id {'' if back else 'DESC'} LIMIT %(limit)s",
        # Of the row at the place itself there may be the event ahead to come, or nothing.
        {"endpoint": endpoint_id, "place": place, "limit": window.limit and window.limit + 2},
    )
    found = [one for row in await cursor.fetchall() for one in _told(row, back)]
    if place is not None:
        found = [one for one in found if (one.id > place if back else one.id < place)]
    return cut(found if window.limit is None else found[: window.limit + 1], window)


async def get(connection: Connection, endpoint_id: UUID, event_id: UUID) -> EventDetail:
    """One event. Raises Refused."""
    names = {"endpoint": endpoint_id, "id": event_id, "row": pairs.row_of(event_id)}
    row = await (await connection.execute(_ONE, names)).fetchone()
    if row is None:
        raise _unknown(event_id)
    if row[0] == event_id:
        return EventDetail(_summary(row), row[-1])
    return EventDetail(_ahead(_summary(row)), pairs.body_ahead(row[-1].encode(), row[_AHEAD]).decode())


async def attempts(connection: Connection, endpoint_id: UUID, event_id: UUID, window: Window[UUID]) -> Page[Attempt]:
    """What was tried, newest first. Raises Refused."""
    await get(connection, endpoint_id, event_id)
    back = window.before is not None
    place = window.before or window.after
    condition = "" if place is None else f" AND id {'>' if back else '<'} %(place)s"
    cursor = await connection.execute(
        "SELECT id, sent_at, url, status, response, error, duration_ms FROM webhook_attempts"
        f" WHERE endpoint_id = %(endpoint)s AND event_id = %(event)s{condition}"
        f" ORDER BY id {'' if back else 'DESC'} LIMIT %(limit)s",
        {
            "endpoint": endpoint_id, "event": event_id, "place": place,
            "limit": window.limit and window.limit + 1,
        },
    )  # fmt: skip
    found = [Attempt(*row) for row in await cursor.fetchall()]
    names = {"endpoint": endpoint_id, "id": event_id, "row": pairs.row_of(event_id)}
    row = await (await connection.execute(_TAKEN, names)).fetchone()
    if row is not None:
        kept = Attempt(_id_of_kept(event_id, row[0]), *row)
        if place is None or (kept.id > place if back else kept.id < place):
            found = sorted([*found, kept], key=lambda one: one.id, reverse=not back)
    return cut(found, window)


def _id_of_kept(event_id: UUID, at: datetime) -> UUID:
    """The id of the attempt that its event keeps, in order among those that have rows."""
    return UUID(int=lowest_at(at).int | event_id.int & (1 << 80) - 1)


async def replay(connection: Connection, endpoint_id: UUID, event_id: UUID) -> None:
    """Send an event (again), at once and with all its tries, together with all of the same email that waits: what is
    older comes before it. Raises Refused."""
    now = await transaction_time(connection)
    names = {"endpoint": endpoint_id, "id": event_id, "now": now}
    async with connection.transaction():
        await pairs.take_turn(connection, endpoint_id)
        await pairs.part(connection, endpoint_id, [pairs.row_of(event_id)])
        ((found,),) = await (await connection.execute(_REPLAY_ONE, names)).fetchall()
        if not found:
            raise _unknown(event_id)


async def replay_some(connection: Connection, endpoint_id: UUID, since: datetime, until: datetime, which: Which) -> int:
    """The same for what was written in a range of time; how many there are. On a connection in autocommit mode each
    step is a transaction of its own, so that nothing waits for all of them."""
    now = await transaction_time(connection)
    names = {
        "endpoint": endpoint_id, "since": lowest_at(since), "until": lowest_at(until), "states": EVENT_STATES[which],
        "now": now, "limit": _STEP, "beyond": UUID(int=0),
    }  # fmt: skip
    count = 0
    while True:
        done: int
        ahead: int
        async with connection.transaction():
            await pairs.take_turn(connection, endpoint_id)
            ((done, ahead, names["beyond"]),) = await (await connection.execute(_REPLAY_RANGE, names)).fetchall()
        count += done + ahead
        if done < _STEP:
            return count


def _having(status: Status | None) -> str:
    return {
        None: "",
        "pending": " AND state = 'pending' AND tries = 0",
        "attempting": " AND state = 'pending' AND tries > 0",
        "success": " AND state = 'success'",
        "failed": " AND state = 'failed'",
    }[status]


def _told(row: TupleRow | Sequence[Any], back: bool) -> Sequence[EventSummary]:
    """The events of a row, in the order of ids or against it."""
    last = _summary(row)
    if row[_AHEAD] is None:
        return (last,)
    return (_ahead(last), last) if back else (last, _ahead(last))


def _summary(row: TupleRow | Sequence[Any]) -> EventSummary:
    identifier, kind, created_at, state, tries, due = row[:_AHEAD]
    status: Status = "attempting" if state == "pending" and tries else state
    return EventSummary(identifier, kind, created_at, status, due)


def _ahead(last: EventSummary) -> EventSummary:
    return replace(last, id=pairs.id_ahead(last.id), type=pairs.AHEAD.value)


def _unknown(event_id: UUID) -> Exception:
    return not_found(f"there is no event {event_id} of this webhook")
