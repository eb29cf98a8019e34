"""The statements that move a message by an outcome: they end it, put it off, or turn a delivery into a late bounce.

Each works on the caller's transaction and says which messages really moved, so that what follows (timeline, counters,
suppression) follows once, however often an outcome is told. Parameters come as columns, made by `outcomes/record`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from messages.model import MessageRef
from messages.states import Event, State, sources
from store import arrays
from store.database import Connection

# What moves a message comes with the queue's row: joined to it again, each would be compared with each of its batch.
# IS NOT DISTINCT FROM asks no index: all that the worker holds would be read for each. First and last name the
# partitions; said as one range, which the planner takes for a 200th of any table, all mail in between would be read.
_END = """
WITH ended AS (
  SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(attempts)s::smallint[],
                       %(times)s::timestamptz[]) AS u(email_id, position, state, attempts, at)
), gone AS (
  DELETE FROM delivery_queue q USING ended u WHERE q.email_id = u.email_id AND q.position = u.position
  RETURNING u.*
), moved AS (
  UPDATE messages m SET state = u.state, attempts = u.attempts, updated_at = u.at FROM gone u
   WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id >= %(first)s
     AND m.email_id <= ANY(ARRAY[%(last)s]))
SELECT email_id, position FROM gone
"""

_DEFER = """
WITH later AS (
  SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(attempts)s::smallint[],
                       %(times)s::timestamptz[], %(due)s::timestamptz[], %(ips)s::text[], %(workers)s::uuid[])
                AS u(email_id, position, state, attempts, at, due_at, ip, worker)
), kept AS (
  UPDATE delivery_queue q SET due_at = u.due_at, attempts = u.attempts, last_ip = nullif(u.ip, ''),
         claimed_by = NULL, claimed_at = NULL
    FROM later u
   WHERE q.email_id = u.email_id AND q.position = u.position AND q.claimed_by IS NOT DISTINCT FROM u.worker
  RETURNING u.*
), moved AS (
  UPDATE messages m SET state = u.state, attempts = u.attempts, updated_at = u.at FROM kept u
   WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id >= %(first)s
     AND m.email_id <= ANY(ARRAY[%(last)s]))
SELECT email_id, position FROM kept
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
    connection: Connection, columns: Mapping[str, object], asked: Sequence[MessageRef] = ()
) -> Collection[MessageRef]:
    """Take these messages out of the queue into their last state; returns those that were in it. `asked`: the same
    messages, each once, for a caller who has them at hand: nearly always it is all of them, and none need be read."""
    return await _moved(connection, _END, columns, asked)


async def defer(
    connection: Connection, columns: Mapping[str, object], asked: Sequence[MessageRef] = ()
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
    return set(await _moved(connection, _LATE_BOUNCE, names))


async def _moved(
    connection: Connection, statement: str, columns: Mapping[str, object], asked: Sequence[MessageRef] = ()
) -> Collection[MessageRef]:
    cursor = await connection.execute(statement, columns)
    if asked and cursor.rowcount == len(asked):
        return asked
    return {MessageRef(email, position) for email, position in await cursor.fetchall()}
