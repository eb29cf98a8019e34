"""Requests a second and bytes a request."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api.limits import Budget, RateLimiter, body_limit

KEY, OTHER = UUID(int=1), UUID(int=2)


class Stopwatch:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_one_second_passes_and_comes_back_with_time() -> None:
    clock = Stopwatch()
    limiter = RateLimiter(2, clock)
    assert limiter.take(KEY) == Budget(2, 1, 1)
    assert limiter.take(KEY) == Budget(2, 0, 1)
    assert limiter.take(KEY) == Budget(2, -1, 1)
    assert limiter.take(OTHER) == Budget(2, 1, 1), "each key has its own"
    clock.now += 0.5
    assert limiter.take(KEY) == Budget(2, 0, 1)
    assert limiter.take(KEY) == Budget(2, -1, 1)
    clock.now += 3600
    assert limiter.take(KEY) == Budget(2, 1, 1), "an hour of rest is worth one second"


def test_zero_is_no_limit() -> None:
    limiter = RateLimiter(0)
    assert {limiter.take(KEY) for _ in range(10_000)} == {None}


@given(st.integers(1, 50), st.lists(st.floats(0, 2, allow_nan=False), max_size=200))
def test_no_second_lets_more_through_than_twice_the_rate(rate: int, pauses: list[float]) -> None:
    """A full bucket and what flows in during the second: the known bound of a token bucket."""
    clock = Stopwatch()
    limiter = RateLimiter(rate, clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        budget = limiter.take(KEY)
        assert budget is not None
        assert -1 <= budget.remaining < rate
        assert budget.reset >= 0
        if budget.remaining >= 0:
            passed.append(clock.now)
    for moment in passed:
        assert sum(moment <= other < moment + 1 for other in passed) <= 2 * rate


def test_a_body_may_hold_the_largest_email_in_base64() -> None:
    assert body_limit(40 * 1024 * 1024) > 40 * 1024 * 1024 * 4 / 3
