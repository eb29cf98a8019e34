"""The retry clock: its steps, its spread, its ends."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.retry import GIVE_UP_AFTER, LONGEST_WAIT, STEPS, UNCERTAIN_WAIT, next_attempt
from mta.model import Action, Scope, Verdict

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIDDLE = 0.5
"""Jitter that leaves a step as it is."""


def later(wait: timedelta | None = None, uncertain: bool = False) -> Verdict:
    return Verdict(Action.RETRY_LATER, "server_trouble", Scope.HOST, "test", wait=wait, uncertain=uncertain)


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


@pytest.mark.parametrize(
    ("attempts", "pause"), [(1, 1), (2, 5), (3, 15), (4, 30), (5, 60), (6, 120), (7, 240), (8, 240), (500, 240)]
)
def test_the_steps(attempts: int, pause: int) -> None:
    assert next_attempt(attempts, START, START, later(), None, MIDDLE) == START + minutes(pause)


def test_the_spread_is_ten_percent_to_both_sides() -> None:
    assert next_attempt(3, START, START, later(), None, 0.0) == START + minutes(13.5)
    latest = next_attempt(3, START, START, later(), None, 0.999999)
    assert latest is not None
    assert minutes(16.49) < latest - START <= minutes(16.5)


def test_a_whole_life_ends_within_72_hours_and_not_early() -> None:
    now, attempts = START, 1
    while (at := next_attempt(attempts, START, now, later(), None, MIDDLE)) is not None:
        now, attempts = at, attempts + 1
    assert attempts == 24
    assert GIVE_UP_AFTER - LONGEST_WAIT * 1.1 <= now - START <= GIVE_UP_AFTER


def test_an_asked_wait_is_kept_and_bounded() -> None:
    assert next_attempt(1, START, START, later(minutes(20)), None, 0.0) == START + minutes(20)
    assert next_attempt(1, START, START, later(timedelta(days=2)), None, 0.0) == START + LONGEST_WAIT


def test_an_asked_wait_shorter_than_the_step_changes_nothing() -> None:
    assert next_attempt(5, START, START, later(minutes(2)), None, MIDDLE) == START + minutes(60)


def test_an_uncertain_verdict_is_retried_late() -> None:
    assert next_attempt(1, START, START, later(uncertain=True), None, 0.0) == START + UNCERTAIN_WAIT


def test_the_attempt_at_expiry_is_left_to_the_claim() -> None:
    expires = START + minutes(3)
    assert next_attempt(2, START, START, later(), expires, MIDDLE) == expires
    assert next_attempt(2, START, expires, later(), expires, MIDDLE) is None
    assert next_attempt(1, START, START, later(), expires, MIDDLE) == START + minutes(1)


def test_an_expiry_beyond_the_clock_does_not_prolong_it() -> None:
    now = START + GIVE_UP_AFTER - minutes(1)
    assert next_attempt(20, START, now, later(), START + timedelta(days=9), MIDDLE) is None


@pytest.mark.parametrize(("attempts", "jitter"), [(0, 0.5), (-1, 0.5), (1, 1.0), (1, -0.1)])
def test_nonsense_is_a_bug(attempts: int, jitter: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        next_attempt(attempts, START, START, later(), None, jitter)


ages = st.timedeltas(timedelta(0), timedelta(hours=80))
waits = st.none() | st.timedeltas(timedelta(seconds=30), timedelta(days=3))
jitters = st.floats(0, 1, exclude_max=True)
attempt_counts = st.integers(1, 60)


@given(attempt_counts, ages, waits, st.booleans(), st.none() | ages, jitters)
def test_bounds(
    attempts: int, age: timedelta, wait: timedelta | None, uncertain: bool, life: timedelta | None, jitter: float
) -> None:
    now = START + age
    expires = None if life is None else START + life
    at = next_attempt(attempts, START, now, later(wait, uncertain), expires, jitter)
    if age >= GIVE_UP_AFTER or (expires is not None and expires <= now):
        assert at is None
    if at is None:
        return
    assert now < at <= START + GIVE_UP_AFTER
    assert expires is None or at <= expires
    if at != expires:
        step = STEPS[min(attempts, len(STEPS)) - 1]
        asked = max(min(wait or timedelta(0), LONGEST_WAIT), UNCERTAIN_WAIT if uncertain else timedelta(0))
        assert at - now >= max(step * 0.9, asked) - timedelta(microseconds=1)
        assert at - now <= max(step, asked) * 1.1


@given(attempt_counts, ages, waits, st.booleans(), jitters)
def test_more_attempts_never_mean_a_shorter_pause(
    attempts: int, age: timedelta, wait: timedelta | None, uncertain: bool, jitter: float
) -> None:
    verdict = later(wait, uncertain)
    this = next_attempt(attempts, START, START + age, verdict, None, jitter)
    following = next_attempt(attempts + 1, START, START + age, verdict, None, jitter)
    assert following is None or (this is not None and following >= this)


@given(st.lists(st.tuples(waits, jitters), min_size=1, max_size=200))
def test_a_life_always_ends(steps: list[tuple[timedelta | None, float]]) -> None:
    now, attempts = START, 0
    while attempts < 1000:
        attempts += 1
        wait, jitter = steps[attempts % len(steps)]
        at = next_attempt(attempts, START, now, later(wait), None, jitter)
        if at is None:
            break
        assert at > now
        now = at
    assert attempts < 40
    assert now <= START + GIVE_UP_AFTER
