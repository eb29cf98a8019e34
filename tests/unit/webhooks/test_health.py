"""When an event is tried again, how long an endpoint rests, and when it is switched off."""

from datetime import UTC, datetime, timedelta

import pytest

from webhooks.health import DELAYS, Answer, Health, after, next_try

NOW = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)

GOOD, BUSY, WRONG, SILENT = Answer(204), Answer(503), Answer(404), Answer(None, error="no answer within 15 s")


def test_tries_follow_the_standard_and_the_tenth_is_the_last() -> None:
    delays = [next_try(n, NOW, 0.5) for n in range(1, 11)]

    assert [round((at - NOW).total_seconds()) for at in delays[:-1] if at] == [
        5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
    ]  # fmt: skip
    assert delays[-1] is None


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 270), (1.0, 330)])
def test_jitter_is_a_tenth_either_way(chance: float, seconds: int) -> None:
    assert next_try(2, NOW, chance) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("wish", "seconds"), [(timedelta(seconds=1), 5), (timedelta(hours=1), 3600), (timedelta(days=30), 86_400)]
)
def test_a_wish_is_obeyed_but_neither_shortens_nor_outlasts_a_day(wish: timedelta, seconds: int) -> None:
    assert next_try(1, NOW, 0.5, wish) == NOW + timedelta(seconds=seconds)


def test_rests_grow_to_half_a_minute_and_end_with_the_first_success() -> None:
    health, rests = Health(), []
    for _ in range(8):
        health = after(health, [SILENT], NOW)
        rests.append((health.rest_until or NOW) - NOW)

    assert [rest.total_seconds() for rest in rests] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert health.failing_since == NOW
    assert after(health, [GOOD], NOW + DAY) == Health()


def test_an_event_that_is_refused_rests_nobody() -> None:
    assert after(Health(), [WRONG], NOW) == Health(NOW)


def test_among_successes_a_failure_is_its_events_own() -> None:
    old = Health(NOW - 6 * DAY, 7)

    assert after(old, [GOOD, WRONG], NOW) == Health(NOW)
    assert after(old, [GOOD, BUSY], NOW) == Health(NOW, 1, NOW + timedelta(seconds=1))


def test_retry_after_rests_the_endpoint() -> None:
    answer = Answer(429, retry_after=timedelta(minutes=10))

    assert after(Health(), [answer, BUSY], NOW).rest_until == NOW + timedelta(minutes=10)


@pytest.mark.parametrize(("days", "off"), [(4.99, False), (5, True)])
@pytest.mark.parametrize("answer", [BUSY, WRONG, SILENT])
def test_five_days_without_success_switch_it_off(answer: Answer, days: float, off: bool) -> None:
    assert bool(after(Health(NOW - days * DAY, 3), [answer], NOW).disabled) is off


def test_gone_switches_it_off_at_once() -> None:
    assert after(Health(), [GOOD, Answer(410)], NOW).disabled == "it answered 410 Gone"


def test_what_counts_as_taken_and_as_trouble() -> None:
    assert [status for status in (100, 200, 204, 299, 300, 302, 400, 500) if Answer(status).good] == [200, 204, 299]
    assert [status for status in (302, 400, 404, 408, 429, 500, 503, 599) if Answer(status).trouble] == [
        429, 500, 503, 599,
    ]  # fmt: skip
    assert len(DELAYS) == 9
