"""A stream that a breaker stopped goes on: the breaker ends, and its mail that waits is due at once.

A worker may hold mail for a breaker moments after it has ended: it had claimed the mail, or had not heard. So what
waits for a breaker that does not hold is looked for again and again (`release`, a duty), however it came to wait.
"""

from typing import Final

from alarms import breakers
from alarms.breakers import Key
from store.database import Connection, Database

# Due a little later: workers read breakers again every two seconds, and one that has not yet would hold the mail anew.
_DUE: Final = """
WITH waiting AS (
  SELECT email_id, position FROM delivery_queue
   WHERE application_id = %(application)s AND lane = %(lane)s AND breaker = %(provider)s AND claimed_by IS NULL
   LIMIT %(most)s FOR UPDATE SKIP LOCKED)
UPDATE delivery_queue q SET due_at = least(q.due_at, now() + %(later)s), hold = NULL, breaker = NULL
  FROM waiting w WHERE q.email_id = w.email_id AND q.position = w.position
"""
_LATER: Final = 2.5 * breakers.REREAD
_STEP: Final = 10_000
"""Mails of one transaction."""


async def let_go(connection: Connection, key: Key, by: str) -> int:
    """End a breaker; returns how many mails had waited for it. Raises Refused."""
    await breakers.finish(connection, key, by)
    return await _due(connection, key, None)


async def release(database: Database) -> int:
    """Mail that waits for a breaker that has ended, by an operator's word or its time, is due; returns how many."""
    async with database.connection() as connection:
        over = await breakers.over(connection)
    return sum([await _release(database, key) for key in over])


async def _release(database: Database, key: Key) -> int:
    count = 0
    while True:
        async with database.connection() as connection:
            done = await _due(connection, key, _STEP)
        count += done
        if done < _STEP:
            return count


async def _due(connection: Connection, key: Key, most: int | None) -> int:
    application, lane, provider = key
    names = {"application": application, "lane": lane, "provider": provider, "most": most, "later": _LATER}
    return (await connection.execute(_DUE, names)).rowcount
