"""Builds the real collaborators of one worker process, once. The only place in `workers/` that reads settings."""

import asyncio
import concurrent.futures
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from accounts.senders import SenderBook
from alarms.breakers import BreakerBook
from core.ids import uuid7
from core.logs import get_logger
from core.secrets import InstanceSecret
from core.settings import Settings, worker_name
from flags.watch import FlagWatch
from messages import claim
from messages.personal import PersonalMail
from mta.connect import reachable
from mta.deliver import Courier, CourierSettings
from mta.from_settings import known_providers, make_resolver, own_servers, rules_in_force
from mta.providers import Providers
from outcomes.journal import Journal, abandoned
from outcomes.kinds import Outcome
from outcomes.record import Recorded
from outcomes.recorder import Recorder
from pools.connections import SharedConnections
from pools.grants import Granter
from pools.health import Policy
from pools.rates import Rates
from pools.repository import PoolBook
from pools.throttle import ThrottleBook
from store.database import Database
from suppression.from_settings import soft_bounce_rule
from warmup.ledger import Ledger
from workers import trail, watch
from workers.batch import Collaborators, Limits, Shared
from workers.claims import ClaimKeeper

_log = get_logger(__name__)

SETTLE_SECONDS = 2.0
"""How long a stopping worker waits for batches whose sessions were cut."""

ADOPTION_SECONDS = 5.0
"""How long a starting worker waits for somebody who commits its journal just now."""

SIGNING_THREADS = 2
"""For large mail: hashing releases the interpreter lock; more threads only take turns with the event loop."""


async def build(settings: Settings, name: str) -> tuple[Collaborators, Journal]:
    """Open everything, commit what a killed predecessor of this name left in its journal, and take its claims over."""
    worker = uuid7()
    secret = InstanceSecret.from_text(settings.secret.get_secret_value())
    database = Database(settings.database_url, settings.database_pool_size, f"postlane-{name}", probing=True)
    await database.open()
    flags = FlagWatch(database)
    await flags.start()
    folder, own = settings.data_dir / "journals", f"{worker_name()}-{name}"
    journal = Journal(folder, own, ADOPTION_SECONDS)
    lease = timedelta(seconds=settings.lease_seconds)
    claims = ClaimKeeper(database, worker, lease)
    committed = partial(_committed, claims)
    recorder = Recorder(database, journal, settings.outcome_flush_ms / 1000, committed, soft_bounce_rule(settings))
    await _take_over(database, journal, recorder)
    _begin(journal, worker)
    await _adopt(database, folder, own, recorder)
    await recorder.start()
    await claims.start()
    providers = known_providers(settings)
    shared = Shared(
        ThrottleBook(
            database, _policy(settings), lambda site: providers.limits_of_site(site).messages_per_second,
            own,
        ),
        Rates(settings.redis_url),
        Ledger(database),
        SharedConnections(settings.redis_url),
        BreakerBook(database),
    )  # fmt: skip
    await shared.start()
    pools = PoolBook(database, secret, reachable)
    collaborators = Collaborators(
        worker=worker,
        database=database,
        secret=secret,
        senders=SenderBook(database, secret),
        pools=pools,
        granter=Granter(pools, shared.throttles, shared.rates, shared.ledger, providers),
        shared=shared,
        resolver=make_resolver(settings, providers),
        courier=_courier(settings, providers, shared.connections),
        rules=rules_in_force(settings),
        recorder=recorder,
        claims=claims,
        signing=concurrent.futures.ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="sign"),
        limits=Limits(settings.claim_batch, lease, settings.batch_seconds),
        personal=PersonalMail(),
        flags=flags,
        simulated_domain=settings.sandbox_domain,
        public_url=settings.public_url,
    )
    return collaborators, journal


async def close(c: Collaborators, journal: Journal) -> None:
    """Finish in order: no new mail, sessions closed, outcomes committed."""
    for permit in list(c.permits):
        permit.stop()
    await c.courier.close()
    settled = await _settled(c)
    await c.shared.stop()
    await c.recorder.close()
    await c.claims.stop()
    await c.flags.stop()
    if settled:
        async with c.database.connection() as connection:
            await claim.release_worker(connection, c.worker)
    await c.database.close()
    c.signing.shutdown(wait=False, cancel_futures=True)
    journal.close()


async def _settled(c: Collaborators) -> bool:
    """Let the batches see the end of their sessions and put their outcomes: a claim that is freed before its outcome is
    recorded would send its mail again at once. False when one needs too long; its claims then run out by themselves."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while c.permits and time.monotonic() < deadline:  # noqa: ASYNC110  # batches end by themselves; bounded
        await asyncio.sleep(0.01)
    return not c.permits


def _policy(settings: Settings) -> Policy:
    return replace(
        Policy(),
        step_seconds=settings.recovery_step_seconds,
        shortest_rest=timedelta(seconds=settings.shortest_rest_seconds),
    )


def _courier(settings: Settings, providers: Providers, leases: SharedConnections) -> Courier:
    return Courier(
        CourierSettings(
            port=settings.smtp_port,
            connections_per_host=settings.connections_per_host,
            messages_per_connection=settings.messages_per_connection,
            idle_seconds=settings.connection_idle_seconds,
            ca_file=settings.tls_verify_store,
            relays_at=own_servers(settings),
        ),
        providers,
        leases=leases,
    )


async def _take_over(database: Database, journal: Journal, recorder: Recorder) -> None:
    previous, outcomes = journal.left_behind()
    await recorder.replay(outcomes)
    if previous is not None:
        await _release(database, previous, len(outcomes))


async def _adopt(database: Database, folder: Path, own: str, recorder: Recorder) -> None:
    """Commit and release what workers left that do not run, whatever they were called. One that starts just now does
    the same itself, once it gets its lock."""
    for journal in abandoned(folder, own):
        try:
            await _take_over(database, journal, recorder)
            journal.settled()
        finally:
            journal.close()


async def _release(database: Database, previous: UUID, replayed: int) -> None:
    async with database.connection() as connection:
        released = await claim.release_worker(connection, previous)
    if released or replayed:
        _log.info("took_over", previous=str(previous), replayed=replayed, released=released)


def _begin(journal: Journal, worker: UUID) -> None:
    """A full disk must not keep mail back: without the journal a kill repeats more, and its claims have to run out."""
    try:
        journal.begin(worker)
    except OSError as error:
        _log.error("journal_not_begun", error=str(error))


def _committed(claims: ClaimKeeper, outcomes: Sequence[Outcome], recorded: Recorded, seconds: float) -> None:
    claims.let_go(outcome.ref for outcome in outcomes if not outcome.is_note)
    watch.COMMITS.observe(seconds)
    watch.RECORD[outcomes[0].lane].note(seconds)
    watch.COMMITTED.labels("ended").inc(recorded.ended)
    watch.COMMITTED.labels("deferred").inc(recorded.deferred)
    watch.COMMITTED.labels("repeat").inc(recorded.repeats)
    trail.recorded(outcomes, seconds)
