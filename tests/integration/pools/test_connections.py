"""Connection leases through a real Valkey: limits over processes, fair shares, the dead, the wiped and the stopped."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import redis

from mta.connect import Connector, Session
from mta.connection_leases import Key
from mta.session import SessionPool
from mta.session_slots import Ceiling
from mta.tls import TlsPolicy
from pools.connections import SharedConnections
from pools.scripts import CLOCK_KEY
from tests.integration.mta.couriers import FIRST, QUICK
from tests.integration.pools.hammer import HOSTS
from tests.integration.pools.processes import hammers, own_valkey, result, stopped
from tests.smtp_sink import SmtpSink

pytestmark = pytest.mark.timeout(60)

KEY = ("127.0.1.1", "127.0.0.1")
FOUR = Ceiling(4, 1000)


@asynccontextmanager
async def process(url: str, lease: float = 10.0, warm: bool = True) -> AsyncIterator[SharedConnections]:
    """What one worker process has. `warm`: after the first seconds of a new Redis, in which nobody knows anything."""
    made = SharedConnections(url, lease)
    made.attach(lambda key, n: 0)
    await made.start()
    if warm:
        with redis.Redis.from_url(url) as client:
            stored = client.get(CLOCK_KEY)
            assert isinstance(stored, bytes)
            client.set(CLOCK_KEY, stored[:16] + b"\0" * 8)
    yield made
    await made.stop()


async def acquired(connections: SharedConnections, n: int, limit: int = 4) -> int:
    return sum([await connections.acquire(KEY, limit) for _ in range(n)])


async def eventually(condition: object, seconds: float = 5.0) -> float:
    """Seconds until it was so."""
    assert callable(condition)
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + seconds, "never came true"
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


async def test_all_processes_together_hold_no_more_than_the_limit(redis_url: str) -> None:
    async with process(redis_url) as first, process(redis_url) as second:
        assert await acquired(first, 3) == 3
        assert await acquired(second, 3) == 1
        assert (first.held, second.held) == (3, 1)
        first.release(KEY)
        await asyncio.sleep(0.05)
        assert await acquired(second, 1) == 1
        assert await second.acquire(("127.0.1.2", "127.0.0.1"), 1)
        assert not await second.acquire(("127.0.1.3", "127.0.0.1"), 0)


async def test_a_hundred_ask_at_once_in_one_call(redis_url: str) -> None:
    async with process(redis_url) as connections:
        granted = await asyncio.gather(*(connections.acquire(KEY, 40) for _ in range(100)))
        assert granted == [True] * 40 + [False] * 60


async def test_who_waits_gets_what_another_process_gives_back(redis_url: str) -> None:
    async with process(redis_url) as first, process(redis_url) as second:
        await acquired(first, 4)
        waiting = asyncio.ensure_future(second.wait(KEY, 4))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        first.release(KEY)
        await asyncio.wait_for(waiting, 1)
        assert (first.held, second.held) == (3, 1)


async def test_who_was_refused_asks_again_at_a_pace_whoever_comes_and_goes(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(redis_url) as first, process(redis_url) as second:
        await acquired(first, 4)
        assert not await second.acquire(KEY, 4)
        rounds, sync = [], second._sync

        async def counted(keys: Sequence[Key]) -> bool:
            rounds.append(keys)
            return await sync(keys)

        monkeypatch.setattr(second, "_sync", counted)
        for _ in range(30):
            waiting = asyncio.ensure_future(second.wait(KEY, 4))
            await asyncio.sleep(0.01)
            waiting.cancel()
        assert len(rounds) <= 15, "of 60 occasions"
        first.release(KEY)
        await asyncio.wait_for(second.wait(KEY, 4), 1)


async def test_a_lease_given_back_goes_straight_to_who_waits_here(redis_url: str) -> None:
    async with process(redis_url) as connections:
        await acquired(connections, 4)
        waiting = [asyncio.ensure_future(connections.wait(KEY, 4)) for _ in range(2)]
        await asyncio.sleep(0.05)
        connections.release(KEY)
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [True, False]
        waiting[1].cancel()
        connections.release(KEY)
        assert connections.held == 3


async def test_a_waiter_cancelled_as_it_is_served_gives_the_lease_back(redis_url: str) -> None:
    async with process(redis_url) as connections:
        await acquired(connections, 4)
        waiting = asyncio.ensure_future(connections.wait(KEY, 4))
        await asyncio.sleep(0.05)
        connections.release(KEY)  # served, but it has not run yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert connections.held == 3


async def test_a_process_with_more_is_asked_to_end_half_of_the_difference(redis_url: str) -> None:
    async with process(redis_url) as first, process(redis_url) as second:
        asked: list[tuple[tuple[str, str], int]] = []

        def unused(key: tuple[str, str], n: int) -> int:
            asked.append((key, n))
            first.release(key)
            return 1  # one unused; the second is to be ended when it is handed back

        first.attach(unused)
        await acquired(first, 4)
        waiting = [asyncio.ensure_future(second.wait(KEY, 4)) for _ in range(3)]
        assert await eventually(lambda: first.wanted(KEY)) < 2.5
        assert asked == [(KEY, 2)]
        assert not first.wanted(KEY)
        first.release(KEY)
        await eventually(lambda: second.held == 2)
        await asyncio.sleep(2.2)
        assert len(asked) == 1, "an even share is left alone"
        for one in waiting:
            one.cancel()


async def test_a_free_connection_goes_to_who_has_fewest(redis_url: str) -> None:
    async with process(redis_url) as rich, process(redis_url) as poor:
        await acquired(rich, 4)
        wishes = [asyncio.ensure_future(rich.wait(KEY, 4)) for _ in range(2)]
        await asyncio.sleep(0.15)
        wishes.append(asyncio.ensure_future(poor.wait(KEY, 4)))
        await eventually(lambda: rich.wanted(KEY))
        rich.release(KEY)
        await asyncio.wait_for(wishes[2], 1)
        assert (rich.held, poor.held) == (3, 1)
        for wish in wishes:
            wish.cancel()


async def test_a_new_redis_gives_everyone_one_until_all_have_called(redis_url: str) -> None:
    async with process(redis_url, warm=False) as connections:
        begun = time.monotonic()
        assert await acquired(connections, 4) == 1
        await asyncio.wait_for(connections.wait(KEY, 4), 4)
        assert 1 < time.monotonic() - begun < 4


async def test_a_wiped_redis_is_told_again_and_the_surplus_is_ended(redis_url: str) -> None:
    async with process(redis_url) as first, process(redis_url) as second:
        first_asked: list[int] = []
        second_asked: list[int] = []
        first.attach(lambda key, n: first_asked.append(n) or n)  # type: ignore[func-returns-value]
        second.attach(lambda key, n: second_asked.append(n) or n)  # type: ignore[func-returns-value]
        await acquired(first, 4)
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        assert await acquired(second, 4) <= 1
        await eventually(lambda: first_asked or second_asked or second.held == 0, 3)
        assert first.held + second.held - len(first_asked) - len(second_asked) <= 4
        await asyncio.sleep(1.1)
        assert await acquired(second, 1) == 0


async def test_a_flushed_script_is_there_again(redis_url: str) -> None:
    async with process(redis_url) as connections:
        with redis.Redis.from_url(redis_url) as client:
            client.script_flush()
        assert await acquired(connections, 5) == 4


async def test_a_jump_of_the_clock_ends_no_lease(redis_url: str) -> None:
    async with process(redis_url) as first, process(redis_url) as second:
        await acquired(first, 4)
        with redis.Redis.from_url(redis_url) as client:
            stored = client.get(CLOCK_KEY)
            assert isinstance(stored, bytes)
            client.set(CLOCK_KEY, b"\0" * 8 + stored[8:])  # Redis' clock has jumped by half a century
        assert await acquired(second, 4) == 0


async def test_a_dead_process_gives_back_within_the_lease(redis_url: str) -> None:
    async with process(redis_url) as living, process(redis_url, lease=3.0) as dying:
        assert await acquired(dying, 4) == 4
        await asyncio.sleep(0.05)
        assert dying._task is not None
        dying._task.cancel()  # it says nothing any more, as if it had been killed
        dying._task = None
        begun = time.monotonic()
        await asyncio.wait_for(living.wait(KEY, 4), 5)
        assert 1.5 < time.monotonic() - begun <= 3.3
        assert await acquired(living, 3) == 3


async def test_without_redis_one_connection_per_key() -> None:
    with own_valkey() as server:
        async with process(server.url, lease=3.0) as connections:
            assert await acquired(connections, 3) == 3
            ended: list[int] = []
            connections.attach(lambda key, n: ended.append(n) or 0)  # type: ignore[func-returns-value]
            with stopped(server):
                other = ("127.0.1.2", "127.0.0.1")
                assert await asyncio.wait_for(connections.acquire(other, 4), 3)
                assert not await asyncio.wait_for(connections.acquire(other, 4), 1)
                assert not await connections.acquire(KEY, 4)
                connections.release(other)
                await asyncio.wait_for(connections.wait(other, 4), 1)
                await eventually(lambda: ended, 4)
                assert ended[0] == 2
                assert [connections.wanted(KEY) for _ in range(3)] == [True, True, False]
            connections.release(KEY)
            connections.release(KEY)
            waiting = [asyncio.ensure_future(connections.wait(other, 4)) for _ in range(3)]
            await asyncio.wait_for(asyncio.gather(*waiting), 6)
            assert connections.held == 5


# With real sessions


@asynccontextmanager
async def sessions(url: str, sink: SmtpSink) -> AsyncIterator[SessionPool]:
    async with process(url) as leases:
        pool = SessionPool(Connector(sink.port, QUICK, TlsPolicy()).open, leases=leases)
        yield pool
        await pool.close()
        assert (leases.held, pool.stats().open) == (0, 0)


async def use(pool: SessionPool, ceiling: Ceiling = FOUR, host: int = 0) -> Session:
    session = await pool.take(FIRST, HOSTS[host], ceiling)
    assert isinstance(session, Session)
    return session


async def test_an_unused_session_ends_for_another_process(redis_url: str) -> None:
    one = Ceiling(1, 1000)
    async with (
        SmtpSink(address="0.0.0.0") as sink,
        sessions(redis_url, sink) as idle,
        sessions(redis_url, sink) as busy,
    ):
        idle.give_back(await use(idle, one))
        begun = time.monotonic()
        busy.give_back(await asyncio.wait_for(use(busy, one), 4))
        assert time.monotonic() - begun < 2.5
        assert sink.journal.most_open["127.0.1.1"] == 1
        assert not idle.has_idle(FIRST, HOSTS[0])


async def test_a_session_in_use_ends_for_another_process_when_it_comes_back(redis_url: str) -> None:
    one = Ceiling(1, 1000)
    async with (
        SmtpSink(address="0.0.0.0") as sink,
        sessions(redis_url, sink) as here,
        sessions(redis_url, sink) as there,
    ):
        held = await use(here, one)
        waiting = asyncio.ensure_future(use(there, one))
        await asyncio.sleep(1.5)
        here.give_back(held)
        there.give_back(await asyncio.wait_for(waiting, 1))
        assert sink.journal.most_open["127.0.1.1"] == 1


@pytest.mark.parametrize(("limit", "processes", "provider"), [(3, 3, ""), (1, 3, ""), (4, 3, "big")])
async def test_processes_share_their_connections(redis_url: str, limit: int, processes: int, provider: str) -> None:
    """Each process wants more than all may have together; nobody exceeds the limit and nobody starves."""
    extra = (provider,) if provider else ()
    async with (
        SmtpSink(address="0.0.0.0") as sink,
        hammers(processes, "connections", redis_url, 8.0, sink.port, limit, 6, 5, *extra) as started,
    ):
        results = await asyncio.gather(*map(result, started))
    assert sink.journal.most_open["127.0.1.1"] <= limit
    assert min(one["served"] for one in results) > 50, results
    assert all(one["left"] == 0 for one in results)


async def test_a_killed_process_gives_its_connections_back(redis_url: str) -> None:
    async with (
        SmtpSink(address="0.0.0.0") as sink,
        hammers(1, "connections", redis_url, 30.0, sink.port, 4, 8, 5) as started,
        sessions(redis_url, sink) as living,
    ):
        await eventually(lambda: sink.journal.open["127.0.1.1"] == 4, 8)
        os.kill(started[0].pid, signal.SIGKILL)
        begun = time.monotonic()
        taken = await asyncio.wait_for(asyncio.gather(*(use(living) for _ in range(4))), 15)
        assert time.monotonic() - begun <= 10.5
        assert sink.journal.most_open["127.0.1.1"] <= 4
        for session in taken:
            living.give_back(session)
