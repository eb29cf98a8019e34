"""What happens by the clock: hints for due mail, partitions, retention, figures of the queue. Run by the scheduler.

Any number of schedulers may run; the one that holds a PostgreSQL advisory lock works, the others wait for it to go.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from prometheus_client import Counter, Gauge

from core.clock import Clock
from core.logs import get_logger
from core.publish import HintPublisher
from core.queues import Lane
from core.tasks import heed_cancellation
from messages.accept import KEY_LIFETIME
from mta.rule_book import RuleBook
from outcomes.inbound import forget_inbound
from store import partitions
from store.database import Connection, Database, DatabaseUnavailableError
from suppression.repository import remove_expired
from workers import upkeep

_log = get_logger(__name__)

LEADER_LOCK = 0x706F73746C6E01
SCAN_SECONDS = 1.0
DAILY_CHECK_SECONDS = 600.0
FIGURES_SECONDS = 15.0
FIGURES_SHARE = 0.01
"""Counting the queue may take one percent of the scheduler's time: a long queue is counted less often."""

DUE = Gauge("postlane_queue_destinations_due", "Destinations with due mail at the last scan", ["lane"])
DEPTH = Gauge("postlane_queue_messages", "Messages on their way", ["lane"])
OLDEST = Gauge("postlane_queue_oldest_due_seconds", "Age of the oldest due message", ["lane"])
SCANS = Counter("postlane_scans_total", "Due scans done by this scheduler")

# One probe of the index per destination, whatever the number of rows (a "loose index scan").
_DUE_DESTINATIONS = """
WITH RECURSIVE walk AS (
  (SELECT destination, due_at FROM delivery_queue WHERE lane = %(lane)s ORDER BY destination, due_at LIMIT 1)
  UNION ALL
  SELECT next.destination, next.due_at FROM walk, LATERAL (
    SELECT destination, due_at FROM delivery_queue q
     WHERE q.lane = %(lane)s AND q.destination > walk.destination ORDER BY destination, due_at LIMIT 1) next
)
SELECT destination, extract(epoch FROM now() - due_at)::float8 FROM walk WHERE due_at <= now()
"""


@dataclass(frozen=True, slots=True)
class Duties:
    """What the scheduler works with."""

    database: Database
    hints: HintPublisher
    clock: Clock
    retention: partitions.Retention
    rules: RuleBook


async def scan_due(duties: Duties) -> dict[Lane, int]:
    """Hint every destination that has due mail; hints already waiting are coalesced. Returns destinations by lane."""
    found: dict[Lane, int] = {}
    async with duties.database.connection() as connection:
        for lane in Lane:
            cursor = await connection.execute(_DUE_DESTINATIONS, {"lane": lane.value})
            rows = await cursor.fetchall()
            found[lane] = len(rows)
            DUE.labels(lane.value).set(len(rows))
            OLDEST.labels(lane.value).set(max((age for _, age in rows), default=0.0))
            if rows:
                duties.hints.hint(lane, [destination for destination, _ in rows])
    SCANS.inc()
    return found


async def keep_partitions(duties: Duties) -> None:
    """Make the partitions of the coming days, drop those past retention, forget old keys and counters."""
    today = duties.clock.now().date()
    async with duties.database.connection() as connection:
        made = await partitions.ensure(connection, today)
        dropped = await partitions.drop_old(connection, today, duties.retention)
        await connection.execute("DELETE FROM idempotency_keys WHERE created_at < now() - %s", [KEY_LIFETIME])
        await connection.execute(
            "DELETE FROM outcome_counts WHERE hour < now() - make_interval(days => %s)", [duties.retention.event_days]
        )
        await forget_inbound(connection)
        while await remove_expired(connection):
            pass
    if made or dropped:
        _log.info("partitions", made=len(made), dropped=dropped)


async def count_queue(duties: Duties) -> None:
    """Exact figures of the queue."""
    async with duties.database.connection() as connection:
        cursor = await connection.execute("SELECT lane, count(*) FROM delivery_queue GROUP BY lane")
        counts = {str(lane): int(n) for lane, n in await cursor.fetchall()}
    for lane in Lane:
        DEPTH.labels(lane.value).set(counts.get(lane.value, 0))


async def lead(duties: Duties) -> None:
    """Wait to become the leader, then work until the database connection that holds the lock is lost; again."""
    while True:
        try:
            async with duties.database.connection() as connection:
                if await _locked(connection):
                    _log.info("scheduler_leads")
                    try:
                        await _work(duties, connection)
                    finally:
                        # The lock is the connection's: back in the pool it would keep everybody from leading.
                        await connection.close()
        except* DatabaseUnavailableError as errors:
            _log.warning("scheduler_waits_for_database", error=str(errors.exceptions[0]))
        await asyncio.sleep(SCAN_SECONDS)


async def _locked(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _work(duties: Duties, holder: Connection) -> None:
    """All duties side by side; the first that loses the database ends them all."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_repeat(lambda: scan_due(duties), SCAN_SECONDS))
        group.create_task(_repeat(lambda: keep_partitions(duties), DAILY_CHECK_SECONDS))
        group.create_task(_repeat(lambda: count_queue(duties), FIGURES_SECONDS, FIGURES_SHARE))
        group.create_task(_repeat(lambda: upkeep.judge_warmups(duties.database), upkeep.WARMUP_SECONDS))
        group.create_task(_repeat(lambda: upkeep.show_pools(duties.database), upkeep.FIGURES_SECONDS))
        group.create_task(_repeat(lambda: upkeep.watch_rules(duties.database, duties.rules), upkeep.FIGURES_SECONDS))
        group.create_task(_repeat(lambda: upkeep.forget(duties.database), upkeep.FORGET_SECONDS))
        group.create_task(_hold(holder))


async def _hold(holder: Connection) -> None:
    """End the leadership when the connection with the lock is lost: from then on another scheduler may lead."""
    while True:
        try:
            await holder.execute("SELECT 1")
        except psycopg.Error as error:
            raise DatabaseUnavailableError(f"the lock of the leading scheduler is lost: {error}") from error
        await asyncio.sleep(SCAN_SECONDS)


async def _repeat(duty: Callable[[], Awaitable[object]], seconds: float, share: float = 1.0) -> None:
    """Do a duty every `seconds`, or more rarely when it takes more than its share of the time.

    What fails is logged and tried again next time: one duty's trouble may not stop the due scan. Only a database that
    is away ends them all, and with them the leadership.
    """
    while True:
        started = time.monotonic()
        try:
            await duty()
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # a bug in one duty may not stop the others
            _log.error("duty_failed", exc_info=error)
        heed_cancellation()
        took = time.monotonic() - started
        await asyncio.sleep(max(seconds - took, took / share - took, 0.0))


def retention(content_days: int, event_days: int) -> partitions.Retention:
    """Retention from settings, in days."""
    return partitions.Retention(content_days, max(event_days, content_days, timedelta(days=30).days))
