"""The bucket of one process, for the time without Redis: slow, from the first moment, and never faster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pools.rates import LONGEST_WAIT, LocalBuckets, RateRequest, Taken


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_begins_empty_and_then_keeps_its_share() -> None:
    time = Time()
    local = LocalBuckets(0.1, time)
    assert local.take(RateRequest("k", 5, 10.0, 0, 50)) == Taken(0, 1.0)
    time.now += 3
    assert local.take(RateRequest("k", 5, 10.0, 0, 50)).granted == 3
    time.now += 100
    assert local.take(RateRequest("k", 50, 10.0, 0, 50)).granted == 5
    assert local.observed("k") == pytest.approx(8 / 103)
    assert local.observed("unknown") == 0.0


def test_the_stricter_limit_counts_and_none_is_none() -> None:
    time = Time()
    local = LocalBuckets(0.1, time)
    for key, per_second, per_hour in (("a", 10.0, 3600), ("b", 1.0, 36_000), ("c", 0.0, 3600), ("d", 1.0, 0)):
        local.take(RateRequest(key, 1, per_second, per_hour, 100))
        time.now += 30
        assert local.take(RateRequest(key, 9, per_second, per_hour, 100)).granted == 3
    assert local.take(RateRequest("free", 500, 0.0, 0, 1)) == Taken(500, 0.0)


def test_nobody_is_sent_away_for_long() -> None:
    assert LocalBuckets(0.1, Time()).take(RateRequest("k", 1, 0.05, 0, 1)).wait_seconds == LONGEST_WAIT


def test_memory_is_bounded() -> None:
    local = LocalBuckets(0.1, Time())
    for number in range(50_100):
        local.take(RateRequest(f"k{number}", 1, 1.0, 0, 1))
    assert len(local._buckets) <= 50_000


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 200), st.floats(0, 600)), max_size=50),
)
def test_never_more_than_its_share(rate: float, burst: int, steps: list[tuple[int, float]]) -> None:
    time = Time()
    local = LocalBuckets(0.1, time)
    total = 0
    for n, pause in steps:
        taken = local.take(RateRequest("k", n, rate, 0, burst))
        total += taken.granted
        assert 0 <= taken.granted <= n
        assert total <= (time.now - 1000) * rate * 0.1 + 1e-6 * len(steps) + 1e-6
        time.now += pause
