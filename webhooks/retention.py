"""What is forgotten: events past their time with what was tried, those of endpoints that are gone, listeners that went
without a word."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.ids import lowest_at
from store.database import Database

_STEP: Final = 5000
"""Rows deleted in one transaction."""

# One look into each index for each endpoint, however many rows there are.
_WALK: Final = """
{name}(id) AS (
  (SELECT endpoint_id FROM {table} ORDER BY endpoint_id LIMIT 1)
  UNION ALL
  SELECT (SELECT t.endpoint_id FROM {table} t WHERE t.endpoint_id > {name}.id ORDER BY t.endpoint_id LIMIT 1)
    FROM {name} WHERE {name}.id IS NOT NULL
)
"""
_ENDPOINTS: Final = f"""
WITH RECURSIVE {_WALK.format(name="told", table="webhook_events")},
{_WALK.format(name="tried", table="webhook_attempts")}
SELECT known.id, EXISTS (SELECT FROM webhook_endpoints w WHERE w.id = known.id)
  FROM (SELECT id FROM told UNION SELECT id FROM tried) known WHERE known.id IS NOT NULL
"""

# Both by the id of the event, which says its time: what was tried goes with its event, whoever wrote it down and when.
_FORGET_EVENTS: Final = """
DELETE FROM webhook_events WHERE endpoint_id = %(endpoint)s AND id IN (
  SELECT id FROM webhook_events WHERE endpoint_id = %(endpoint)s AND (%(before)s::uuid IS NULL OR id < %(before)s)
   ORDER BY id LIMIT %(limit)s)
"""
_FORGET_ATTEMPTS: Final = """
DELETE FROM webhook_attempts WHERE endpoint_id = %(endpoint)s AND (event_id, id) IN (
  SELECT event_id, id FROM webhook_attempts
   WHERE endpoint_id = %(endpoint)s AND (%(before)s::uuid IS NULL OR event_id < %(before)s)
   ORDER BY event_id, id LIMIT %(limit)s)
"""


async def forget(database: Database, now: datetime, days: int) -> int:
    """Delete events older than `days`; of how many rows."""
    before = lowest_at(now - timedelta(days=days))
    return sum([await _forget_of(database, endpoint, before) for endpoint in await _known(database, there=True)])


async def forget_endpoints(database: Database) -> None:
    """Listeners that have not been heard of for a while, and all that is left of endpoints that are gone."""
    async with database.connection() as connection:
        await connection.execute("DELETE FROM webhook_endpoints WHERE url = '' AND served_until < now()")
    for endpoint in await _known(database, there=False):
        await _forget_of(database, endpoint, None)


async def _known(database: Database, *, there: bool) -> list[UUID]:
    """Endpoints of which something is stored, those that are still there or those that are gone."""
    async with database.connection() as connection:
        found = await (await connection.execute(_ENDPOINTS)).fetchall()
    return [endpoint for endpoint, is_there in found if is_there is there]


async def _forget_of(database: Database, endpoint: UUID, before: UUID | None) -> int:
    names = {"endpoint": endpoint, "before": before, "limit": _STEP}
    count = await _forget(database, _FORGET_EVENTS, names)
    await _forget(database, _FORGET_ATTEMPTS, names)
    return count


async def _forget(database: Database, statement: str, names: dict[str, UUID | int | None]) -> int:
    count = 0
    while True:
        async with database.connection() as connection:
            done = (await connection.execute(statement, names)).rowcount
        count += done
        if done < _STEP:
            return count
