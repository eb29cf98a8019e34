"""The shared buckets in a real Valkey: exact against a model, over processes, and with Redis away, wiped or jumping."""

import asyncio
import math
import struct
import time
from collections.abc import AsyncIterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pools.rates import SLOW, RateRequest, Rates, Taken
from pools.scripts import CLOCK_KEY, TIMEOUT_SECONDS
from tests.integration.core.front import Front
from tests.integration.pools.processes import hammers, own_valkey, result, stopped

pytestmark = pytest.mark.timeout(60)  # asyncio marks itself: the model's test runs a loop for each example

CLOCK = struct.Struct("<ddd")
PART, PARTS = 180, 20


@pytest.fixture
async def rates(redis_url: str) -> AsyncIterator[Rates]:
    made = Rates(redis_url)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def clock(client: redis.Redis) -> tuple[float, float, float]:
    """What Redis showed at the last call, what our clock showed, and the begin of unbroken calling."""
    stored = client.get(CLOCK_KEY)
    assert isinstance(stored, bytes)
    shown, ours, since = CLOCK.unpack(stored)
    return shown, ours, since


def pass_time(client: redis.Redis, seconds: float) -> None:
    """Let our clock go on."""
    shown, ours, since = clock(client)
    client.set(CLOCK_KEY, CLOCK.pack(shown, ours + seconds, since))


def jump(client: redis.Redis, seconds: float) -> None:
    """As if somebody had set Redis' clock, forward or back, since the last call."""
    shown, ours, since = clock(client)
    client.set(CLOCK_KEY, CLOCK.pack(shown - seconds, ours, since))


async def take(rates: Rates, key: str, n: int, per_second: float = 0, per_hour: int = 0, burst: int = 1) -> Taken:
    return (await rates.take([RateRequest(key, n, per_second, per_hour, burst)]))[0]


async def test_a_new_key_has_its_burst_and_then_its_rate(rates: Rates, client: redis.Redis) -> None:
    assert await take(rates, "a", 15, 0.5, 0, 10) == Taken(10, pytest.approx(2.0, abs=0.05))
    assert (await take(rates, "a", 1, 0.5, 0, 10)).granted == 0
    pass_time(client, 2.01)
    taken = await take(rates, "a", 5, 0.5, 0, 10)
    assert (taken.granted, taken.wait_seconds) == (1, pytest.approx(2.0, abs=0.1))
    pass_time(client, 1000)
    assert (await take(rates, "a", 50, 0.5, 0, 10)).granted == 10


async def test_one_batch_asks_for_many_keys_and_one_of_them_twice(rates: Rates) -> None:
    wanted = [RateRequest(f"k{number}", number, 0.01, 0, 100) for number in range(200)]
    taken = await rates.take([*wanted, RateRequest("k90", 90, 0.01, 0, 100)])
    assert [one.granted for one in taken] == [*range(200)][:101] + [100] * 99 + [10]
    assert await rates.take([]) == []


async def test_no_limit_and_nothing_wanted(rates: Rates) -> None:
    assert await take(rates, "free", 10_000) == Taken(10_000, 0.0)
    assert await take(rates, "free", 0) == Taken(0, 0.0)
    assert (await take(rates, "slow", 1, 0.05, 0, 0)).granted == 1  # a burst of 0 would never let anything through
    nothing = await take(rates, "slow", 0, 0.05, 0, 1)
    assert (nothing.granted, nothing.wait_seconds) == (0, pytest.approx(20, abs=1))


@pytest.mark.parametrize(
    ("n", "per_second", "per_hour"), [(-1, 1.0, 0), (1, -1.0, 0), (1, math.nan, 0), (1, math.inf, 0), (1, 1.0, -5)]
)
async def test_figures_that_mean_nothing_are_refused(n: int, per_second: float, per_hour: int) -> None:
    with pytest.raises(ValueError, match="of k must be"):
        RateRequest("k", n, per_second, per_hour, 1)


async def test_an_hour_is_sixty_minutes_from_any_moment(rates: Rates, client: redis.Redis) -> None:
    granted: list[tuple[float, int]] = []
    for _ in range(100):
        n = (await take(rates, "h", 4, 0, 30)).granted
        granted.append((clock(client)[1], n))
        pass_time(client, 171)
    for end, _ in granted:
        assert sum(n for at, n in granted if end - 3600 < at <= end) <= 30
    hours = 99 * 171 / 3600
    assert sum(n for _, n in granted) >= 30 * hours * 0.95


async def test_the_wait_of_an_hourly_limit_is_just_long_enough(rates: Rates, client: redis.Redis) -> None:
    assert (await take(rates, "h", 20, 0, 20)).granted == 20
    wait = (await take(rates, "h", 1, 0, 20)).wait_seconds
    assert 3600 <= wait <= 3600 + PART
    pass_time(client, wait - 1)
    assert (await take(rates, "h", 1, 0, 20)).granted == 0
    pass_time(client, 1.01)
    assert (await take(rates, "h", 30, 0, 20)).granted == 20


async def test_what_is_given_back_can_be_taken_again_and_never_more(rates: Rates, client: redis.Redis) -> None:
    await take(rates, "b", 10, 0.001, 12, 10)
    await rates.give_back([("b", 4), ("never used", 3), ("b", 0)])
    assert (await take(rates, "b", 10, 0.001, 12, 10)).granted == 4
    await rates.give_back([("b", 1000)])
    assert (await take(rates, "b", 1000, 0.001, 12, 10)).granted == 10
    assert client.exists("postlane:rate:never used") == 0
    with pytest.raises(ValueError, match="negative"):
        await rates.give_back([("b", -1)])


async def test_observed_is_the_rate_of_lately(rates: Rates, client: redis.Redis) -> None:
    for _ in range(10):
        await take(rates, "o", 50)
        pass_time(client, 1)
    assert await rates.observed(["o", "unknown"]) == [pytest.approx(50, rel=0.02), 0.0]
    for _ in range(80):
        await take(rates, "o", 20)
        pass_time(client, 1)
    assert await rates.observed(["o"]) == [pytest.approx(20, rel=0.05)]
    await rates.give_back([("o", 200)])
    assert (await rates.observed(["o"]))[0] < 18
    pass_time(client, 61)
    assert await rates.observed(["o"]) == [0.0]
    assert await rates.observed([]) == []


@given(
    rate=st.sampled_from([0.0, 0.05, 0.7, 3.0]),
    per_hour=st.sampled_from([0, 7, 100]),
    burst=st.integers(1, 20),
    steps=st.lists(
        st.tuples(st.integers(-6, 25), st.sampled_from([0.0, 0.3, 1.0, 19.0, 170.0, 1800.0])), min_size=1, max_size=25
    ),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_bucket_is_that_of_the_model(
    redis_url: str, rate: float, per_hour: int, burst: int, steps: list[tuple[int, float]]
) -> None:
    """Negative numbers are given back. The model takes its time from what the script counted by, so it is exact."""

    async def run() -> None:
        rates, client = Rates(redis_url), redis.Redis.from_url(redis_url)
        client.flushdb()
        tokens, at, parts, used = float(burst), None, {}, []
        for n, pause in steps:
            if n < 0:
                await rates.give_back([("m", -n)])
                if at is not None and used:
                    tokens, left = min(tokens - n, burst), -n
                    for part in sorted(parts, reverse=True):
                        out = min(left, parts[part])
                        parts[part], left = parts[part] - out, left - out
                continue
            granted = (await take(rates, "m", n, rate, per_hour, burst)).granted
            now = clock(client)[1]
            if at is not None and used:
                tokens = min(tokens + (now - at) * rate, burst)
            counted = sum(count for part, count in parts.items() if part >= now // PART - PARTS)
            expected = min(n, int(tokens + 1e-6)) if rate else n
            if per_hour:
                expected = min(expected, max(per_hour - counted, 0))
            assert granted == expected
            if granted:
                at, used = now, [*used, (now, granted)]
                tokens -= granted if rate else 0
                parts[now // PART] = parts.get(now // PART, 0) + granted
            elif not used:
                tokens, at = float(burst), None
            else:
                at = now
            pass_time(client, pause)
        client.close()
        await rates.stop()

    asyncio.run(run())


async def test_a_forward_jump_of_the_clock_gives_a_second_at_most(rates: Rates, client: redis.Redis) -> None:
    await take(rates, "j", 1000, 2.0, 1000, 1000)
    for _ in range(3):
        jump(client, 7200)
        assert (await take(rates, "j", 1000, 2.0, 0, 1000)).granted <= 3
        assert (await take(rates, "j", 1000, 0.0, 1000, 1000)).granted == 0


async def test_a_backward_jump_of_the_clock_stops_nothing(rates: Rates, client: redis.Redis) -> None:
    await take(rates, "j", 10, 100.0, 0, 10)
    jump(client, -7200)
    assert (await take(rates, "j", 1, 100.0, 0, 10)).wait_seconds <= 0.011
    await asyncio.sleep(0.05)
    assert (await take(rates, "j", 1, 100.0, 0, 10)).granted == 1


async def test_a_lost_clock_gives_nothing_away(rates: Rates, client: redis.Redis) -> None:
    """Ours was an hour ahead of Redis' when its key was lost."""
    pass_time(client, 3600)
    await take(rates, "l", 10, 0.1, 10, 10)
    client.delete(CLOCK_KEY)
    assert (await take(rates, "l", 10, 0.1, 0, 10)).granted == 0
    assert (await take(rates, "l", 10, 0.0, 10, 10)).granted == 0
    pass_time(client, 3600 + PART)
    assert (await take(rates, "l", 10, 0.0, 10, 10)).granted == 10


async def test_a_flushed_script_is_there_again(rates: Rates, client: redis.Redis) -> None:
    assert (await take(rates, "f", 6, 0.01, 0, 10)).granted == 6
    client.script_flush()
    assert (await take(rates, "f", 6, 0.01, 0, 10)).granted == 4


async def test_idle_keys_go(rates: Rates, client: redis.Redis) -> None:
    await take(rates, "idle", 1, 1.0, 0, 10)
    await take(rates, "slow", 1, 0.01, 0, 100)
    await take(rates, "hourly", 1, 1.0, 5, 10)
    await rates.give_back([("idle", 1)])
    lives = [client.ttl(f"postlane:rate:{key}") for key in ("idle", "slow", "hourly")]
    assert lives == [pytest.approx(expected, abs=5) for expected in (3600, 20_000, 86_400)]


async def test_processes_together_stay_within_the_rate(redis_url: str) -> None:
    async with hammers(4, "rates", redis_url, 2.0, 100.0, 20) as processes:
        results = [await result(process) for process in processes]
    seconds = max(one["ended"] for one in results) - min(one["begun"] for one in results)
    granted = sum(one["granted"] for one in results)
    assert 100 <= granted <= 100 * seconds + 20
    assert sum(one["calls"] for one in results) > 200


async def test_a_stopped_redis_makes_it_slow_and_holds_nobody() -> None:
    with own_valkey() as server:
        rates = Rates(server.url)
        await rates.start()
        await take(rates, "s", 10, 50.0, 0, 10)
        with stopped(server):
            begun, granted = time.monotonic(), 0
            slowest = 0.0
            while time.monotonic() < begun + 2.0:
                asked = time.monotonic()
                taken = await take(rates, "s", 10, 50.0, 0, 10)
                slowest = max(slowest, time.monotonic() - asked)
                assert taken.wait_seconds <= 5
                granted += taken.granted
                await asyncio.sleep(0.02)
            assert 1 <= granted <= SLOW * 50 * (time.monotonic() - begun) + 1
            assert slowest < 0.5
            assert (await rates.observed(["s"]))[0] == pytest.approx(granted / (time.monotonic() - begun), rel=0.3)
            await rates.give_back([("s", 5)])
        await asyncio.sleep(0.6)
        assert (await take(rates, "s", 10, 50.0, 0, 10)).granted == 10
        await rates.stop()


async def test_a_slow_redis_keeps_the_rate_and_holds_nobody_for_long(redis_url: str) -> None:
    """Answers that take longer than a call may are none: memory decides, with its own part of the rate."""
    for seconds, most in ((TIMEOUT_SECONDS / 2, 1.0), (TIMEOUT_SECONDS * 2, SLOW)):
        with Front(redis_url, seconds=seconds) as slow:
            rates = Rates(slow.url)
            await rates.start()
            begun, granted, slowest = time.monotonic(), 0, 0.0
            while time.monotonic() < begun + 1.5:
                asked = time.monotonic()
                granted += (await take(rates, f"s{seconds}", 10, 50.0, 0, 10)).granted
                slowest = max(slowest, time.monotonic() - asked)
            await rates.stop()
        assert 1 <= granted <= 10 + most * 50 * (time.monotonic() - begun) + 1
        assert slowest < 1.0


async def test_a_killed_redis_comes_back_by_itself() -> None:
    with own_valkey() as server:
        rates = Rates(server.url)
        await take(rates, "k", 4, 0.001, 0, 10)
        await asyncio.sleep(1.1)  # the append-only file is synced each second
        server.process.stop()
        assert (await take(rates, "k", 10, 0.001, 0, 10)).granted == 0
        assert (await take(rates, "unlimited", 10)).granted == 10
        server.process.start()
        for _ in range(100):
            taken = await take(rates, "k", 10, 0.001, 0, 10)
            if taken.granted:
                break
            await asyncio.sleep(0.05)
        assert taken.granted == 6
        await rates.stop()


async def test_a_cancelled_caller_is_cancelled_whenever_it_comes(rates: Rates) -> None:
    for turns in range(12):
        asking = asyncio.ensure_future(take(rates, "c", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        if asking.cancel():
            with pytest.raises(asyncio.CancelledError):
                await asking
    assert (await take(rates, "c", 1)).granted == 1


async def test_who_takes_ahead_is_served_now_and_the_others_wait_for_it(rates: Rates, client: redis.Redis) -> None:
    assert (await take(rates, "a", 10, 1.0, 0, 10)).granted == 10
    urgent = (await rates.take([RateRequest("a", 3, 1.0, 0, 10, ahead=2)]))[0]
    assert urgent.granted == 2
    pass_time(client, 2.01)
    assert (await take(rates, "a", 1, 1.0, 0, 10)).granted == 0, "the two seconds were taken ahead"
    pass_time(client, 1.0)
    assert (await take(rates, "a", 5, 1.0, 0, 10)).granted == 1
