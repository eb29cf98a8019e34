"""Several books over one store: who hears what, restarts, lost notifications, lost connections, PostgreSQL away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from pools import throttle_repository as repository
from pools.health import State
from pools.throttle import ThrottleBook
from pools.throttle_repository import CHANNEL, Key
from store.database import Database
from tests.integration.pools.throttling import (
    DOMAIN,
    IP,
    SITE,
    book,
    evidence,
    history,
    moves,
    now,
    stored,
    until,
    written,
)  # fmt: skip
from tests.servers import TestServers, disconnect_all

LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    """The connections of another process."""
    pool = Database(database_url, size=4, name="postlane-second")
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
async def pair(database: Database, second: Database) -> AsyncIterator[tuple[ThrottleBook, ThrottleBook]]:
    """Two workers that hear of each other by notifications only."""
    one, two = book(database, "worker-1"), book(second, "worker-2")
    await one.start()
    await two.start()
    await listening(database, 2)
    yield one, two
    await one.stop()
    await two.stop()


async def listening(database: Database, n: int) -> set[int]:
    """Wait until so many connections listen; their process ids in PostgreSQL."""
    for _ in range(2000):
        async with database.connection() as connection:
            pids = {row[0] for row in await (await connection.execute(LISTENERS)).fetchall()}
        if len(pids) == n:
            return pids
        await asyncio.sleep(0.005)
    raise AssertionError(f"{len(pids)} of {n} listen")


Pair = tuple[ThrottleBook, ThrottleBook]


async def test_throttle_of_one_is_known_to_the_other(pair: Pair) -> None:
    one, two = pair
    at = now()

    rest = one.throttled("ip", IP, SITE, evidence(), at, at)

    await until(lambda: two.rest(IP, SITE, at) is not None)
    assert two.rest(IP, SITE, at) == rest


async def test_end_of_a_throttle_is_known_to_the_other(pair: Pair) -> None:
    one, two = pair
    at = now()
    one.throttled("domain", DOMAIN, SITE, evidence(wait=0.1), at, at)
    await until(lambda: two.domain_rest(DOMAIN, SITE, at) is not None)
    await until(lambda: one.domain_rest(DOMAIN, SITE, now()) is None)
    while one.domain_rate(DOMAIN, SITE, now()) is not None:
        one.delivered(IP, DOMAIN, SITE, now())
        await asyncio.sleep(0.01)

    await until(lambda: two.conditions() == [])
    assert two.domain_rate(DOMAIN, SITE, now()) is None


async def test_two_that_meet_one_throttle_count_one_strike(pair: Pair, database: Database) -> None:
    one, two = pair
    at = now()

    one.throttled("ip", IP, SITE, evidence(), at, at)
    two.throttled("ip", IP, SITE, evidence(), at, at + timedelta(milliseconds=3))
    await written(one)
    await written(two)

    condition = await stored(database)
    assert condition is not None
    assert condition.strikes == 1
    assert await moves(database) == [("healthy", "throttled")]
    await until(lambda: one.rest(IP, SITE, at) == two.rest(IP, SITE, at))


async def test_end_of_a_rest_is_written_once(pair: Pair, database: Database) -> None:
    one, two = pair
    at = now()
    one.throttled("ip", IP, SITE, evidence(wait=0.2), at, at)
    await until(lambda: two.rest(IP, SITE, at) is not None)
    await asyncio.sleep(0.25)

    for each in (one, two, one, two):
        assert each.rest(IP, SITE, now()) is None
    await written(one)
    await written(two)

    assert await moves(database) == [("healthy", "throttled"), ("throttled", "probing")]


async def test_probes_of_both_count_together(pair: Pair, database: Database) -> None:
    one, two = pair
    at = now()
    one.throttled("ip", IP, SITE, evidence(wait=0.1), at, at)
    await until(lambda: two.rest(IP, SITE, at) is not None)
    await until(lambda: one.rest(IP, SITE, now()) is None and two.rest(IP, SITE, now()) is None)
    for _ in range(3):
        one.delivered(IP, DOMAIN, SITE, now())
    for _ in range(2):
        two.delivered(IP, DOMAIN, SITE, now())
    await written(one)
    await written(two)

    condition = await stored(database)
    assert condition is not None
    assert condition.state is State.RECOVERING


async def test_restart_knows_what_was_known(database: Database, second: Database) -> None:
    one = book(database)
    await one.start()
    at = now()
    rest = one.throttled("ip", IP, SITE, evidence(), at, at)
    await one.stop()  # at once: what is not written yet is written now

    again = book(second)
    await again.start()

    assert again.rest(IP, SITE, at) == rest
    await again.stop()


async def test_stopping_ends_whatever_it_interrupts(database: Database, second: Database) -> None:
    """psycopg_pool may swallow a cancellation that comes as it hands over a connection; then one is not enough."""
    for n, pause in enumerate((0.0, 0.0005, 0.001, 0.002, 0.004) * 6):
        one = book(database if n % 2 else second)
        await one.start()
        at = now()
        one.throttled("ip", IP, f"site-{n}", evidence(), at, at)
        await asyncio.sleep(pause)
        async with asyncio.timeout(10):
            await one.stop()

        assert await stored(database, Key("ip", IP, f"site-{n}")) is not None


async def test_lost_notification_is_made_good(database: Database, second: Database) -> None:
    one, deaf = book(database), book(second, "worker-2", reread=0.3)
    await one.start()
    await deaf.start()
    await listening(database, 2)
    for task in deaf._watch._tasks:
        if task.get_name() == "throttles-listen":
            task.cancel()
    await listening(database, 1)
    at = now()

    one.throttled("ip", IP, SITE, evidence(), at, at)

    await until(lambda: deaf.rest(IP, SITE, at) is not None)
    assert deaf.trouble() != ""
    await one.stop()
    await deaf.stop()


async def test_lost_connection_is_made_anew_and_nothing_is_missed(pair: Pair, database: Database) -> None:
    one, two = pair
    before = await listening(database, 2)
    async with database.connection() as connection:
        for pid in before:
            await connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    at = now()
    one.throttled("ip", IP, SITE, evidence(), at, at)  # while nobody listens

    await until(lambda: two.rest(IP, SITE, at) is not None, 5.0)
    after = await listening(database, 2)
    assert not before & after
    one.throttled("ip", IP, "yahoo", evidence(), at, at)
    await until(lambda: two.rest(IP, "yahoo", at) is not None)
    assert one.trouble() == two.trouble() == ""


async def test_nonsense_on_the_channel_does_no_harm(pair: Pair, database: Database, database_url: str) -> None:
    one, two = pair
    with psycopg.connect(database_url, autocommit=True) as connection:
        for payload in ("", "nonsense", "ip a b c", "ip  ", "planet earth gmail"):
            connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
    at = now()
    one.throttled("ip", IP, SITE, evidence(), at, at)

    await until(lambda: two.rest(IP, SITE, at) is not None)
    assert one.trouble() == two.trouble() == ""


async def test_with_postgresql_away_memory_decides_and_writes_wait(
    servers: TestServers, database_url: str, second: Database
) -> None:
    second._pool.timeout = 0.2
    one = book(second)
    await one.start()
    at = now()
    with away(servers, database_url):
        rest = one.throttled("ip", IP, SITE, evidence(wait=0.5), at, at)
        one.throttled("ip", IP, "yahoo", evidence(), at, at)
        assert one.rest(IP, SITE, at) == rest
        await asyncio.sleep(0.6)
        assert one.rest(IP, SITE, now()) is None  # its rest is over, store or no store
        one.delivered(IP, DOMAIN, SITE, now())
        await asyncio.sleep(0.6)
        assert one.depth() == 2
        assert one.trouble() == ""

    await until(lambda: one.depth() == 0, 20.0)
    condition = await stored(second)
    assert condition is not None
    assert (condition.state, condition.good, condition.strikes) == (State.PROBING, 1, 1)
    assert await moves(second) == [("healthy", "throttled"), ("throttled", "probing"), ("healthy", "throttled")]
    assert one.rest(IP, "yahoo", now()) is not None
    await one.stop()


async def test_book_starts_without_postgresql_and_reads_when_it_is_there(
    servers: TestServers, database: Database, database_url: str
) -> None:
    first = book(database)
    await first.start()
    at = now()
    rest = first.throttled("ip", IP, SITE, evidence(), at, at)
    await first.stop()
    with away(servers, database_url):
        late = Database(database_url, size=2, name="late")
        late._pool.timeout = 0.2
        await late.open()
        one = book(late)
        await one.start()
        assert one.rest(IP, SITE, at) is None

    await until(lambda: one.rest(IP, SITE, at) == rest, 20.0)
    await one.stop()
    await late.close()


@contextmanager
def away(servers: TestServers, database_url: str) -> Iterator[None]:
    """PostgreSQL ends all sessions of the test's database and takes no new ones."""
    name = sql.Identifier(urlsplit(database_url).path[1:])
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        disconnect_all(connection, urlsplit(database_url).path[1:])
        yield
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


async def test_reading_everything_keeps_what_is_not_written_yet(database: Database) -> None:
    one = book(database)
    at = now()
    rest = one.throttled("ip", IP, SITE, evidence(), at, at)

    await one._reread(None)

    assert one.rest(IP, SITE, at) == rest


# By hand


async def test_override_ends_the_rest_for_all(pair: Pair, database: Database) -> None:
    one, two = pair
    at = now()
    one.throttled("ip", IP, SITE, evidence(), at, at)
    await until(lambda: two.rest(IP, SITE, at) is not None)

    async with database.transaction() as connection:
        after = await repository.override(connection, "ip", IP, SITE, "they lifted it by phone", "olga")

    assert after is not None and after.state is State.PROBING
    await until(lambda: one.rest(IP, SITE, now()) is None and two.rest(IP, SITE, now()) is None)
    last = (await history(database))[-1]
    assert (last.became, last.reason, last.by) == ("probing", "override: they lifted it by phone", "olga")
    assert two.throttled("ip", IP, SITE, evidence(), at, now()).until is not None
    assert two.rest(IP, SITE, now()) is None  # that mail was sent before


async def test_override_of_what_does_not_rest_is_told(database: Database) -> None:
    async with database.transaction() as connection:
        assert await repository.override(connection, "ip", IP, SITE, "why not", "olga") is None
    assert await moves(database) == []


async def test_rest_by_hand_is_known_to_all(pair: Pair, database: Database) -> None:
    one, two = pair
    end = now() + timedelta(days=2)

    async with database.transaction() as connection:
        await repository.rest_now(connection, "ip", IP, SITE, until=end, reason="removal is asked for", by="olga")

    await until(lambda: one.rest(IP, SITE, now()) is not None and two.rest(IP, SITE, now()) is not None)
    rest = one.rest(IP, SITE, now())
    assert rest is not None
    assert (rest.until, rest.reason) == (end, "operator: removal is asked for")
    assert [change.reason for change in await history(database)] == ["by hand: removal is asked for"]


async def test_rest_by_hand_that_is_over_already_is_refused(database: Database) -> None:
    async with database.transaction() as connection:
        with pytest.raises(ValueError, match="over already"):
            await repository.rest_now(connection, "ip", IP, SITE, until=now(), reason="late", by="olga")
