"""What happens by the clock: due mail is found and hinted, partitions are kept, and one scheduler does it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis
from prometheus_client import REGISTRY

from core.clock import Clock
from core.ids import uuid7
from core.publish import DESTINATIONS_PER_TASK, HintPublisher, marker
from core.queues import Lane
from core.tasks import end
from messages import claim, due
from messages.accept import settle_keys
from messages.due import scan_due
from messages.model import Idempotency
from mta.rule_book import RuleBook
from pools import upkeep
from store.database import Database
from store.locks import Lock
from store.partitions import retention
from store.route_times import Counts, Route
from tests.integration.messages.emails import (
    execute,
    make_partitions,
    new_email,
    refs,
    rows,
    store,
    submission,
    waiting,
)
from tests.integration.workers.lane import new_worker
from workers import periodic
from workers.duties import Duty
from workers.periodic import DUTIES, Scheduler, lead

NOW = datetime.now(UTC)


class Noon:
    """A clock that stands."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def hints(redis_url: str) -> Iterator[HintPublisher]:
    made = HintPublisher(redis_url)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@pytest.fixture
async def second_database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url, size=4, name="second")
    await made.open()
    yield made
    await made.close()


def scheduler_of(database: Database, hints: HintPublisher, clock: Clock | None = None) -> Scheduler:
    return Scheduler(database, hints, clock or Noon(), retention(7, 90), RuleBook(None, ()))


async def do(scheduler: Scheduler, *names: str) -> None:
    """These duties of the table, once."""
    known = {duty.name: duty for duty in DUTIES}
    for name in names:
        await known[name].do(scheduler)


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


# The due scan


async def test_scan_finds_due_destinations_of_each_lane(
    database: Database, hints: HintPublisher, client: redis.Redis
) -> None:
    later = NOW + timedelta(hours=1)
    await store(
        database,
        new_email("a@due.example"),
        new_email("b@due.example"),
        new_email("c@later.example", scheduled_at=later),
        new_email("d@mixed.example", scheduled_at=later),
        new_email("e@mixed.example"),
        new_email("f@bulk.example", lane=Lane.MARKETING),
    )
    found = await scan_due(database, hints)

    assert found == {Lane.TRANSACTIONAL: 2, Lane.MARKETING: 1}
    await until(lambda: client.llen("transactional") == 1 and client.llen("marketing") == 1)
    names = ("due", "mixed", "later", "bulk")
    marked = [name for name in names if client.exists(marker(Lane.TRANSACTIONAL, f"{name}.example"))]
    assert marked == ["due", "mixed"]


async def test_what_is_claimed_is_not_due_until_its_lease_ends(database: Database, hints: HintPublisher) -> None:
    await store(database, new_email("a@due.example"))
    async with database.connection() as connection:
        await claim.claim(connection, Lane.TRANSACTIONAL, ["due.example"], new_worker(), 10, timedelta(seconds=60))
    assert (await scan_due(database, hints))[Lane.TRANSACTIONAL] == 0
    await execute(database, "UPDATE delivery_queue SET due_at = now() - interval '90 s'")

    assert (await scan_due(database, hints))[Lane.TRANSACTIONAL] == 1
    oldest = REGISTRY.get_sample_value("postlane_queue_oldest_due_seconds", {"lane": "transactional"})
    assert oldest is not None
    assert 89 < oldest < 100


async def test_every_one_of_3000_destinations_is_hinted_once(
    database: Database, hints: HintPublisher, client: redis.Redis
) -> None:
    await make_partitions(database)
    names = [f"d{number:04}.example" for number in range(3000)]
    await store(database, *(new_email(f"u@{name}", lane=Lane.MARKETING) for name in names))
    assert (await scan_due(database, hints))[Lane.MARKETING] == 3000
    tasks = -(-3000 // DESTINATIONS_PER_TASK)
    await until(lambda: client.llen("marketing") == tasks)
    started = time.monotonic()
    await scan_due(database, hints)
    took = time.monotonic() - started
    hints.stop()

    assert client.llen("marketing") == tasks, "the second scan found every marker set"
    assert all(client.exists(*(marker(Lane.MARKETING, name) for name in names[at : at + 1])) for at in (0, 1499, 2999))
    assert took < 1


async def test_scan_probes_the_index_and_never_reads_the_queue(database: Database, hints: HintPublisher) -> None:
    """Also with statistics that know nothing of what has just been accepted."""
    await make_partitions(database)
    await execute(database, "ANALYZE delivery_queue")
    await execute(database, "ALTER TABLE delivery_queue SET (autovacuum_enabled = off)")
    await execute(
        database,
        "INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at)"
        " SELECT gen_random_uuid(), 0, 'marketing', 'd' || mod(n, 100) || '.example', 'a', 'a', now()"
        " FROM generate_series(1, 30000) n",
    )
    async with database.connection() as connection:
        cursor = await connection.execute(
            "EXPLAIN (ANALYZE, TIMING OFF) " + due.DUE_DESTINATIONS, {"lane": "marketing"}
        )
        plan = "\n".join(row[0] for row in await cursor.fetchall())

    assert "Seq Scan on delivery_queue" not in plan
    assert "Sort" not in plan
    assert (await scan_due(database, hints))[Lane.MARKETING] == 100


async def test_figures_of_the_queue(database: Database, hints: HintPublisher) -> None:
    await store(database, new_email(), new_email(lane=Lane.MARKETING), new_email(lane=Lane.MARKETING))
    await do(scheduler_of(database, hints), "figures of the queue")
    depth = [
        REGISTRY.get_sample_value("postlane_queue_messages", {"lane": lane.value})
        for lane in (Lane.TRANSACTIONAL, Lane.MARKETING)
    ]

    assert depth == [1, 2]


# Partitions and keys


async def test_daily_work_keeps_scheduled_mail_and_forgets_the_rest(database: Database, hints: HintPublisher) -> None:
    await do(scheduler_of(database, hints, Noon(NOW - timedelta(days=20))), "partitions")
    old = int((NOW - timedelta(days=20)).timestamp() * 1000)
    waits, ended = new_email(id=uuid7(old), scheduled_at=NOW), new_email(id=uuid7(old + 1))
    await store(database, waits, ended)
    await execute(database, "DELETE FROM delivery_queue WHERE email_id = %s", [ended.id])
    async with database.transaction() as connection:
        await settle_keys(connection, [submission(idempotency=Idempotency(key, b"h", b"r")) for key in ("old", "new")])
        await connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 h' WHERE key = 'old'")
    await do(scheduler_of(database, hints), "partitions", "old idempotency keys")

    assert await rows(database, "SELECT id FROM contents") == [(waits.id,)]
    assert set(await waiting(database)) == set(refs(waits))
    assert await rows(database, "SELECT key FROM idempotency_keys") == [("new",)]
    async with database.connection() as connection:
        found = await claim.load(connection, [waits.id])
    assert found[waits.id][1] is not None


async def test_counters_are_kept_as_long_as_events(database: Database, hints: HintPublisher) -> None:
    for days in (1, 2000):
        await execute(
            database,
            "INSERT INTO outcome_counts (hour, lane, provider, ip, outcome, shard, n)"
            " VALUES (now() - make_interval(days => %s), 'marketing', '', '', 'accepted', 0, 1)",
            [days],
        )
    await do(scheduler_of(database, hints), "old counters")

    assert await rows(database, "SELECT hour > now() - interval '2 days' FROM outcome_counts") == [(True,)]


def test_events_are_kept_at_least_as_long_as_content() -> None:
    kept = retention(60, 1)

    assert kept.event_days >= kept.content_days == 60


# Leading


@contextlib.asynccontextmanager
async def leading(scheduler: Scheduler, *changed: Duty[Scheduler]) -> AsyncIterator[asyncio.Task[None]]:
    """A scheduler; duties of the same name are replaced by `changed`."""
    often: Duty[Scheduler] = Duty("hints for due mail", 0.05, lambda s: scan_due(s.database, s.hints))
    others = {duty.name: duty for duty in (often, *changed)}
    table = [others.get(duty.name, duty) for duty in DUTIES]
    task = asyncio.create_task(lead(scheduler, table))
    try:
        yield task
    finally:
        await end([task])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "LEAD_SECONDS", 0.05)


async def lock_holders(database: Database) -> list[int]:
    found = await rows(
        database,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (classid::bigint << 32 | objid::bigint) = %s",
        [Lock.SCHEDULING],
    )
    return [pid for (pid,) in found]


async def hinted_again(database: Database, client: redis.Redis) -> None:
    """Somebody scans: a marker that is taken away comes back."""
    client.delete(marker(Lane.TRANSACTIONAL, "due.example"))
    await until(lambda: bool(client.exists(marker(Lane.TRANSACTIONAL, "due.example"))))


@pytest.mark.usefixtures("quick")
async def test_of_two_schedulers_one_works_and_the_other_takes_over(
    database: Database, second_database: Database, redis_url: str, client: redis.Redis
) -> None:
    await store(database, new_email("a@due.example"))
    one, two = HintPublisher(redis_url), HintPublisher(redis_url)
    one.start()
    two.start()
    async with leading(scheduler_of(database, one)) as first:
        await until(lambda: bool(client.exists(marker(Lane.TRANSACTIONAL, "due.example"))))
        async with leading(scheduler_of(second_database, two)):
            await asyncio.sleep(0.3)
            assert len(await lock_holders(database)) == 1
            await end([first])
            await hinted_again(database, client)
            assert len(await lock_holders(database)) == 1
    one.stop()
    two.stop()


@pytest.mark.usefixtures("quick")
async def test_one_that_leads_no_more_shows_no_figures(
    database: Database, hints: HintPublisher, client: redis.Redis
) -> None:
    """They are of a moment that has passed, and whoever leads now shows the same by its own."""
    await store(database, new_email("a@due.example"))
    async with leading(scheduler_of(database, hints)):
        await hinted_again(database, client)
        await until(lambda: _shown("postlane_queue_messages") == 1 and _shown("postlane_objective_seconds") > 0)
        assert _shown("postlane_queue_destinations_due") == 1
        periodic.ANSWERING.show([(Route("api", "GET", "/x", "read"), Counts(0.25))], [])
        upkeep.ALARMS.labels("no_pool").set(1)
    held = [metric for metric in REGISTRY.collect() if metric.name in OF_THE_LEADER]
    assert len(held) == len(OF_THE_LEADER)
    assert [metric.name for metric in held if metric.samples] == []


OF_THE_LEADER = {
    "postlane_queue_messages", "postlane_queue_destinations_due", "postlane_queue_oldest_due_seconds",
    "postlane_ip_health", "postlane_rate_in_force", "postlane_warmup_cap", "postlane_warmup_used",
    "postlane_warmup_stage", "postlane_alarms_open", "postlane_route_seconds", "postlane_route_failed",
    "postlane_route_missed", "postlane_error_budget_left",
}  # fmt: skip


def _shown(name: str) -> float:
    return sum(sample.value for metric in REGISTRY.collect() if metric.name == name for sample in metric.samples)


@pytest.mark.usefixtures("quick")
async def test_leader_whose_lock_connection_is_lost_gives_up_and_leads_again(
    database: Database, hints: HintPublisher, client: redis.Redis, database_url: str
) -> None:
    await store(database, new_email("a@due.example"))
    async with leading(scheduler_of(database, hints)) as task:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
            await hinted_again(database, client)
            (holder,) = await lock_holders(database)
            await other.execute("SELECT pg_terminate_backend(%s)", [holder])
            await until(lambda: _leads_as_another(database, holder))
        await hinted_again(database, client)
        assert not task.done()


async def _leads_as_another(database: Database, before: int) -> bool:
    found = await lock_holders(database)
    return len(found) == 1 and found != [before]


@pytest.mark.usefixtures("quick")
async def test_leader_goes_on_after_a_duty_lost_its_connection(
    database: Database, hints: HintPublisher, client: redis.Redis
) -> None:
    """The lock may not stay with a connection that lies unused in the pool: nobody could lead any more."""
    await store(database, new_email("a@due.example"))
    broken = iter([True])

    async def once_broken(scheduler: Scheduler) -> None:
        if next(broken, False):
            async with scheduler.database.connection():
                raise psycopg.OperationalError("canceling statement due to user request")

    duty = Duty("figures of the queue", 0.05, once_broken)
    async with leading(scheduler_of(database, hints), duty) as task:
        await asyncio.sleep(0.3)
        await hinted_again(database, client)
        await hinted_again(database, client)
        assert len(await lock_holders(database)) == 1
        assert not task.done()


@pytest.mark.usefixtures("quick")
async def test_a_bug_in_one_duty_does_not_stop_the_due_scan(
    database: Database, hints: HintPublisher, client: redis.Redis
) -> None:
    async def broken(_scheduler: Scheduler) -> None:
        raise ValueError("a bug")

    await store(database, new_email("a@due.example"))
    async with leading(scheduler_of(database, hints), Duty("partitions", 0.05, broken)) as task:
        await hinted_again(database, client)
        await hinted_again(database, client)
        assert not task.done()


@pytest.mark.usefixtures("quick")
async def test_scheduler_waits_for_a_database_that_is_away(hints: HintPublisher) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere", name="away")
    away._pool.timeout = 0.1
    await away.open()
    async with leading(scheduler_of(away, hints)) as task:
        await asyncio.sleep(0.5)
        assert not task.done()
    await away.close()
