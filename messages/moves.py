"""The statements that move a message by an outcome: they end it, put it off, or turn a delivery into a late bounce.

Each works on the caller's transaction and says which messages really moved, so that what follows (timeline, counters,
suppression) follows once, however often an outcome is told. Parameters come as columns, made by `outcomes/record`.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from psycopg import AsyncCursor
from psycopg.rows import TupleRow

from messages.model import MessageRef
from messages.states import Event, State, sources
from store import arrays
from store.database import Connection

# IS NOT DISTINCT FROM asks no index: all that the worker holds would be read for each.
_END = """
DELETE FROM delivery_queue q USING unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
 WHERE q.email_id = u.email_id AND q.position = u.position
RETURNING q.email_id, q.position
"""

_DEFER = """
UPDATE delivery_queue q SET due_at = u.due_at, attempts = u.attempts, last_ip = nullif(u.ip, ''),
       claimed_by = NULL, claimed_at = NULL
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(attempts)s::smallint[], %(due)s::timestamptz[],
              %(ips)s::text[], %(workers)s::uuid[]) AS u(email_id, position, attempts, due_at, ip, worker)
 WHERE q.email_id = u.email_id AND q.position = u.position AND q.claimed_by IS NOT DISTINCT FROM u.worker
RETURNING q.email_id, q.position
"""

# A statement of its own, behind the one that may wait for rows of the queue: in a statement that had to wait PostgreSQL
# 18 may find no row of a partition any more (docs/decisions/0029). This one never waits: who changes a message on its
# way has its row of the queue. First and last name the partitions; said as one range, which the planner takes for a
# 200th of any table, all mail in between would be read.
_MOVE = """
UPDATE messages m SET state = u.state, attempts = u.attempts, updated_at = u.at
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(attempts)s::smallint[],
              %(times)s::timestamptz[]) AS u(email_id, position, state, attempts, at)
 WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id >= %(first)s
   AND m.email_id <= ANY(ARRAY[%(last)s])
"""
_MOVE_THESE = f"""{_MOVE}
   AND (u.email_id, u.position) IN (SELECT * FROM unnest(%(moved)s::uuid[], %(places)s::smallint[]))
"""

# Whoever calls it takes turns (outcomes/late), and nobody else touches messages that have ended.
_LATE_BOUNCE = """
UPDATE messages m SET state = %(state)s, updated_at = u.at
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(times)s::timestamptz[]) AS u(email_id, position, at)
 WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[])
   AND m.state = ANY(%(sources)s)
RETURNING m.email_id, m.position
"""
_BOUNCES_LATE: Final = sorted(state.value for state in sources(Event.LATE_BOUNCE))


async def end(
    connection: Connection, columns: Mapping[str, object], asked: Collection[MessageRef]
) -> Collection[MessageRef]:
    """Take these messages, each `asked` once, out of the queue into their last state; returns those that were in it."""
    return await _moved(connection, _END, columns, asked)


async def defer(
    connection: Connection, columns: Mapping[str, object], asked: Collection[MessageRef]
) -> Collection[MessageRef]:
    """Let go of these messages until they are due again; returns those whose claim was the worker's."""
    return await _moved(connection, _DEFER, columns, asked)


async def bounce_late(connection: Connection, bounces: Mapping[MessageRef, datetime]) -> set[MessageRef]:
    """Turn delivered messages into bounced ones; returns those that were delivered."""
    if not bounces:
        return set()
    names: dict[str, object] = {
        "emails": arrays.uuids(ref.email_id for ref in bounces),
        "positions": arrays.integers(ref.position for ref in bounces),
        "times": arrays.moments(list(bounces.values())),
        "sources": _BOUNCES_LATE,
        "state": State.BOUNCED.value,
    }
    return await _told(await connection.execute(_LATE_BOUNCE, names))


async def _moved(
    connection: Connection, statement: str, columns: Mapping[str, object], asked: Collection[MessageRef]
) -> Collection[MessageRef]:
    """Which of them `statement` found in the queue; nearly always it is all, and none need be read."""
    cursor = await connection.execute(statement, columns)
    moved, move = asked, _MOVE
    if cursor.rowcount < len(asked):
        moved, move = await _told(cursor), _MOVE_THESE
        columns = {
            **columns,
            "moved": arrays.uuids(ref.email_id for ref in moved),
            "places": arrays.integers(ref.position for ref in moved),
        }
    if moved:
        await connection.execute(move, columns)
    return moved


async def _told(cursor: AsyncCursor[TupleRow]) -> set[MessageRef]:
    return {MessageRef(email, position) for email, position in await cursor.fetchall()}
