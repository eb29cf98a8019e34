"""Which sender domains are looked at again, and when: nobody waits at a button until DNS has spread.

A domain that somebody has asked to be checked is looked at again until all is well, at growing intervals: a record that
was published a minute ago is soon there, one that was not there for a week rarely comes within the hour. A verified one
is looked at too, since its records may vanish; then it is looked at more often until they are back.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from accounts.records import HELD, RecordKind
from store.database import Database

SOONEST_SECONDS: Final = 60
LATEST_SECONDS: Final = 6 * 3600
VERIFIED_SECONDS: Final = 6 * 3600
LOST_SECONDS: Final = 15 * 60
"""After a record was missed: seen missing twice it stops the domain, which then sends nothing until it is back."""
BATCH: Final = 20

# Who takes a domain moves its time on, so that several workers look at different ones, and a killed one at most misses
# one look. The interval grows by a third each time: it is a quarter of the domain's age at its last check.
_TAKE: Final = """
UPDATE domains SET checked_at = now() WHERE id IN (
  SELECT id FROM domains
   WHERE status <> 'not_started' AND checked_at < now() - CASE status
     WHEN 'verified' THEN make_interval(secs => CASE WHEN EXISTS (
         SELECT FROM unnest(%(held)s::text[]) kind WHERE record_status->kind->>'status' IN ('pending', 'failed'))
       THEN %(lost)s ELSE %(verified)s END)
     WHEN 'temporary_failure' THEN make_interval(secs => %(lost)s)
     ELSE least(greatest((checked_at - created_at) / 4, make_interval(secs => %(soonest)s)),
                make_interval(secs => %(latest)s)) END
   ORDER BY checked_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""


async def take_due(database: Database) -> list[UUID]:
    """Domains to look at now, taken by this call: whoever asks next gets others."""
    given = {
        "verified": VERIFIED_SECONDS,
        "lost": LOST_SECONDS,
        "soonest": SOONEST_SECONDS,
        "latest": LATEST_SECONDS,
        "batch": BATCH,
        "held": sorted(HELD | {RecordKind.TRACKING}),
    }
    async with database.connection() as connection:
        cursor = await connection.execute(_TAKE, given)
        return [row[0] for row in await cursor.fetchall()]


async def recheck(database: Database, check: Callable[[UUID], Awaitable[object]]) -> int:
    """Have every due domain checked, one after the other; returns how many there were."""
    done = 0
    while due := await take_due(database):
        for domain_id in due:
            await check(domain_id)
        done += len(due)
    return done
