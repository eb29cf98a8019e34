"""The spread of a day: hours, slices, days on which clocks change, and when more opens."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from warmup.plan import Plan, parse
from warmup.shares import Used, available, local_day, next_opening, opened, share, window

BERLIN = ZoneInfo("Europe/Berlin")


def plan_of(zone: str = "UTC", hours: tuple[int, int] = (0, 24), hour_limit: float = 0.5) -> Plan:
    return parse(
        {
            "name": "a",
            "stages": [240],
            "weights": {"*": 1},
            "zone": zone,
            "hours": list(hours),
            "hour_limit": hour_limit,
        }
    )


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)])
def test_days_on_which_clocks_change(day: date, hours: int) -> None:
    assert window(plan_of("Europe/Berlin"), day).hours == hours
    assert window(plan_of("Europe/Berlin", (6, 22)), day).hours == 16


def test_a_window_that_begins_in_the_hour_that_is_not_there() -> None:
    gap = window(plan_of("Europe/Berlin", (2, 4)), date(2026, 3, 29))
    assert (gap.opens, gap.closes) == (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC))
    twice = window(plan_of("Europe/Berlin", (2, 4)), date(2026, 10, 25))
    assert (twice.opens, twice.hours) == (datetime(2026, 10, 25, 1, tzinfo=UTC), 2)


def test_half_hour_changes_make_a_longer_last_hour() -> None:
    day = window(plan_of("Australia/Lord_Howe"), date(2026, 4, 5))
    assert (day.closes - day.opens, day.hours) == (timedelta(hours=24, minutes=30), 24)
    assert (day.hour_at(day.closes - timedelta(minutes=1)), day.slice_at(day.closes - timedelta(minutes=1))) == (23, 11)


def test_an_hours_share_is_rounded_up_and_limited() -> None:
    assert share(240, 240, 24, 24, 0.5) == 10
    assert share(240, 239, 24, 24, 0.5) == 10
    assert share(240, 5, 24, 24, 0.5) == 1
    assert share(240, 240, 24, 1, 0.5) == 120
    assert share(240, 240, 1, 1, 0.5) == 240  # the only hour of the day
    assert [opened(10, number) for number in (0, 1, 5, 11)] == [1, 2, 5, 10]


def test_whose_turn_it_is_within_an_hour() -> None:
    plan, at = plan_of(), datetime(2026, 7, 1, 10, 0, tzinfo=UTC)
    fresh = Used(240, 100)
    assert available(plan, fresh, at) == 1
    assert available(plan, fresh, at, at_once=True) == 10
    used = Used(240, 101, 10, 100)
    assert next_opening(plan, used, at) == at + timedelta(minutes=5)
    assert next_opening(plan, Used(240, 110, 10, 100), at) == at + timedelta(hours=1)
    assert next_opening(plan, Used(240, 240, 10, 100), at) == datetime(2026, 7, 2, tzinfo=UTC)
    assert next_opening(plan_of(hours=(12, 14)), fresh, at) == at + timedelta(hours=2)
    assert available(plan_of(hours=(12, 14)), fresh, at) == 0


moments = st.integers(0, 366 * 86400).map(lambda second: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Kiritimati"])


@given(moments, zones, st.integers(0, 23), st.integers(1, 24), st.data())
def test_more_opens_exactly_then(at: datetime, zone: str, first: int, long: int, data: st.DataObject) -> None:
    """When nothing is left now, something is at the next opening, and nothing just before it.

    With a clock that goes on: a row of an hour to come exists only after a jump back, and then one asks again early.
    """
    plan = plan_of(zone, (first, min(24, first + long)))
    today = window(plan, local_day(plan, at))
    granted = data.draw(st.integers(0, 240 if at >= today.opens else 0))
    hour = data.draw(st.integers(-1, today.hour_at(at) if at >= today.opens else -1))
    used = Used(240, granted, hour, data.draw(st.integers(0, granted)))
    taken = available(plan, used, at)
    assert 0 <= taken <= 240 - granted
    if today.opens <= at < today.closes:
        base = used.hour_base if hour == today.hour_at(at) else granted
        used = Used(240, granted + taken, today.hour_at(at), base)
    opens = next_opening(plan, used, at)
    assert opens > at
    fresh = Used(240, 0) if local_day(plan, opens) != local_day(plan, at) else used
    assert available(plan, fresh, opens) > 0
    if opens - timedelta(seconds=1) >= at:
        assert available(plan, used, opens - timedelta(seconds=1)) == 0


@given(zones, st.dates(date(2026, 1, 1), date(2026, 12, 31)), st.sampled_from([7, 240, 5000]), st.floats(0.05, 1))
@example(zone="America/Havana", day=date(2026, 10, 31), cap=240, limit=1.0)
def test_a_day_that_is_always_asked_for_is_used_to_the_last_mail(zone: str, day: date, cap: int, limit: float) -> None:
    plan = plan_of(zone, hour_limit=limit)
    today = window(plan, day)
    used, at, most = Used(cap, 0), today.opens, 0
    while at < today.closes:
        taken, hour = available(plan, used, at), today.hour_at(at)
        base = used.hour_base if hour == used.hour else used.granted
        used = Used(cap, used.granted + taken, hour, base)
        most = max(most, taken)
        at += timedelta(minutes=5)
    if local_day(plan, today.closes - timedelta(seconds=1)) == day:
        assert used.granted == cap
    else:  # clocks went back over midnight: the last hour is not sent in
        assert cap - -(-cap // today.hours) - 1 <= used.granted <= cap
    assert most <= max(1, -(-cap // 24 // 12) + 1)  # never burned in one moment
