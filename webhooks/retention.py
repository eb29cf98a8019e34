"""What is forgotten: events past their time, those of endpoints that are gone, listeners that went without a word."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.ids import lowest_at
from store.database import Database

_STEP: Final = 5000
"""Events deleted in one transaction."""

# One look into the index for each endpoint, however many events there are.
_ENDPOINTS: Final = """
WITH RECURSIVE known(id) AS (
  (SELECT endpoint_id FROM webhook_events ORDER BY endpoint_id LIMIT 1)
  UNION ALL
  SELECT (SELECT e.endpoint_id FROM webhook_events e WHERE e.endpoint_id > known.id ORDER BY e.endpoint_id LIMIT 1)
    FROM known WHERE known.id IS NOT NULL
)
SELECT known.id, EXISTS (SELECT FROM webhook_endpoints w WHERE w.id = known.id) FROM known WHERE known.id IS NOT NULL
"""
_FORGET: Final = """
WITH gone AS (
  DELETE FROM webhook_events WHERE endpoint_id = %(endpoint)s AND id IN (
    SELECT id FROM webhook_events WHERE endpoint_id = %(endpoint)s AND (%(before)s::uuid IS NULL OR id < %(before)s)
     ORDER BY id LIMIT %(limit)s)
  RETURNING id
), attempts AS (
  DELETE FROM webhook_attempts a USING gone WHERE a.endpoint_id = %(endpoint)s AND a.event_id = gone.id
)
SELECT count(*) FROM gone
"""


async def forget(database: Database, now: datetime, days: int) -> int:
    """Delete events older than `days`, and all of endpoints that are gone; how many there were."""
    before = lowest_at(now - timedelta(days=days))
    async with database.connection() as connection:
        found = await (await connection.execute(_ENDPOINTS)).fetchall()
    return sum([await _forget(database, endpoint, before if there else None) for endpoint, there in found])


async def forget_listeners(database: Database) -> None:
    """Listeners that have not been heard of for a while; their events follow with the next sweep."""
    async with database.connection() as connection:
        await connection.execute("DELETE FROM webhook_endpoints WHERE url = '' AND served_until < now()")


async def _forget(database: Database, endpoint: UUID, before: UUID | None) -> int:
    count = 0
    names = {"endpoint": endpoint, "before": before, "limit": _STEP}
    while True:
        async with database.connection() as connection:
            row = await (await connection.execute(_FORGET, names)).fetchone()
        done = int(row[0]) if row else 0
        count += done
        if done < _STEP:
            return count
