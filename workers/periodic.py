"""What happens by the clock, as a table: hints for due mail, partitions, retention, warm-ups, figures.

Any number of schedulers may run; the one that holds a PostgreSQL advisory lock works, the others wait for it to go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg

from accounts import audit, sessions
from alarms import breakers, seeds
from alarms import repository as alarm_repository
from audience import confirmations, contact_retention, topics
from audience.contact_retention import ContactDays
from audience.importing import uploads
from campaigns.automations import forgetting as automations
from core.clock import Clock
from core.logs import get_logger
from core.publish import HintPublisher
from messages import due
from messages.accept import forget_keys
from messages.due import count_queue, scan_due
from mta.rule_book import RuleBook
from outcomes import engagement
from outcomes.inbound import forget_inbound
from pools import standing, throttle_repository, upkeep
from requestlog import repository as request_log
from sandbox import mailbox
from store import counters, folding, heartbeats, partitions, route_times
from store.database import Connection, Database, DatabaseUnavailableError
from store.locks import Lock
from suppression import soft_bounces
from suppression.removing import forget_expired
from warmup.repository import forget_days
from workers.door_metrics import ANSWERING
from workers.duties import Duty, do_all

_log = get_logger(__name__)

LEAD_SECONDS = 1.0
"""Between two looks at the lock, by the one that holds it and by those that want it."""


@dataclass(frozen=True, slots=True)
class Scheduler:
    """What the scheduler works with."""

    database: Database
    hints: HintPublisher
    clock: Clock
    retention: partitions.Retention
    rules: RuleBook
    kept_captured: mailbox.Bounds = field(default_factory=mailbox.Bounds)
    kept_inbound_bytes: int | None = None
    kept_contacts: ContactDays = field(default_factory=ContactDays)
    request_days: int = 7

    async def partitions(self) -> None:
        """Make the partitions of the coming days and drop those past retention."""
        async with self.database.connection() as connection:
            await partitions.keep(connection, self.clock.now().date(), self.retention)

    async def old_counters(self) -> None:
        """Counters by the hour live as long as events, those by the day as long as the story of an IP; the audit log
        and sessions as long as they say themselves."""
        async with self.database.transaction() as connection:
            await counters.forget(connection, self.retention.event_days)
            await folding.forget(connection, self.retention.event_days, partitions.STORY_DAYS)
            await audit.forget(connection)
            await sessions.forget(connection)

    async def old_reports(self) -> None:
        """What came back is kept for a while, and so much of it."""
        async with self.database.transaction() as connection:
            await forget_inbound(connection, self.kept_inbound_bytes)

    async def old_captured_mail(self) -> None:
        """The mailbox of the sandbox keeps what is new, and so much of each application."""
        async with self.database.transaction() as connection:
            await mailbox.trim(connection, self.kept_captured)

    async def old_contacts(self) -> None:
        """People whom nobody confirmed, and the history of contacts that are gone."""
        await contact_retention.forget_unconfirmed(self.database, self.kept_contacts.unconfirmed)
        await contact_retention.forget_history(self.database, self.kept_contacts.history)

    async def old_requests(self) -> None:
        """What applications asked the API for is kept for some days."""
        await request_log.forget(self.database, self.clock.now(), self.request_days)

    async def old_runs(self) -> None:
        """Runs that are over and events, as long as mail."""
        await automations.forget_old(self.database, self.retention.event_days)


def _transaction(do: Callable[[Connection], Awaitable[object]]) -> Callable[[Scheduler], Awaitable[object]]:
    """What needs no more than that."""

    async def in_transaction(scheduler: Scheduler) -> None:
        async with scheduler.database.transaction() as connection:
            await do(connection)

    return in_transaction


DUTIES: Final[Sequence[Duty[Scheduler]]] = (
    Duty("hints for due mail", 1.0, lambda s: scan_due(s.database, s.hints)),
    Duty("figures of the queue", 15.0, _transaction(count_queue), share=0.01),
    Duty("figures of the pools", 15.0, lambda s: upkeep.show_pools(s.database)),
    Duty("response times", 15.0, _transaction(ANSWERING.read), share=0.01),
    Duty("reply rules", 15.0, lambda s: upkeep.watch_rules(s.database, s.rules)),
    Duty("what is about nobody", 60.0, lambda s: upkeep.forget_gone(s.database)),
    Duty("warm-ups", 60.0, lambda s: upkeep.judge_warmups(s.database)),
    Duty("partitions", 600.0, Scheduler.partitions),
    # Retention: each package deletes its own old rows.
    Duty("processes gone", 15.0, _transaction(heartbeats.forget)),
    Duty("old counters", 600.0, Scheduler.old_counters),
    Duty("old idempotency keys", 600.0, _transaction(forget_keys)),
    Duty("old reports", 60.0, Scheduler.old_reports, share=0.05),
    Duty("old response times", 3600.0, _transaction(route_times.forget)),
    Duty("old captured mail", 60.0, Scheduler.old_captured_mail, share=0.05),
    Duty("old requests", 60.0, Scheduler.old_requests, share=0.05),
    Duty("expired suppressions", 600.0, lambda s: forget_expired(s.database)),
    Duty("old soft bounces", 3600.0, _transaction(soft_bounces.forget)),
    Duty("old sign-ups", 600.0, _transaction(confirmations.forget)),
    Duty("uploads that nobody began", 600.0, _transaction(uploads.forget)),
    Duty("old contacts", 3600.0, Scheduler.old_contacts),
    Duty("old runs of automations", 600.0, Scheduler.old_runs),
    Duty("deleted topics", 3600.0, _transaction(topics.forget_deleted)),
    Duty("old throttles", 3600.0, _transaction(throttle_repository.forget)),
    Duty("old warm-up days", 3600.0, _transaction(forget_days)),
    Duty("old engagement", 3600.0, _transaction(engagement.forget)),
    Duty("old alarms", 3600.0, _transaction(alarm_repository.forget)),
    Duty("old breakers", 3600.0, _transaction(breakers.forget)),
    Duty("old probes", 3600.0, _transaction(seeds.forget)),
    Duty("old figures of providers", 3600.0, _transaction(standing.forget)),
)


async def lead(scheduler: Scheduler, duties: Sequence[Duty[Scheduler]] = DUTIES) -> None:
    """Wait to become the leader, then work until the database connection that holds the lock is lost; again."""
    while True:
        try:
            async with scheduler.database.connection() as connection:
                if await _locked(connection):
                    _log.info("scheduler_leads")
                    try:
                        await do_all([*duties, _holding(connection)], scheduler)
                    finally:
                        _forget_figures()
                        # The lock is the connection's: back in the pool it would keep everybody from leading.
                        await connection.close()
        except* DatabaseUnavailableError as errors:
            _log.warning("scheduler_waits_for_database", error=str(errors.exceptions[0]))
        await asyncio.sleep(LEAD_SECONDS)


def _forget_figures() -> None:
    """What this one saw last is no figure of now; the next leader shows its own, and a sum would count both."""
    due.forget_figures()
    upkeep.forget_figures()
    ANSWERING.show((), ())


async def _locked(connection: Connection) -> bool:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [Lock.SCHEDULING])
    row = await cursor.fetchone()
    return bool(row and row[0])


def _holding(holder: Connection) -> Duty[Scheduler]:
    """Ends the leadership when the connection with the lock is lost: from then on another scheduler may lead."""

    async def hold(_scheduler: Scheduler) -> None:
        try:
            await holder.execute("SELECT 1")
        except psycopg.Error as error:
            raise DatabaseUnavailableError(f"the lock of the leading scheduler is lost: {error}") from error

    return Duty("lock", LEAD_SECONDS, hold)
