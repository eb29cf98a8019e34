"""Windows, zones and paces, on days with 23 and 25 hours too."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.plan import DAYS, Plan, Window, allowed, burst, due_locally, from_json, to_json
from campaigns.windows import shut_from
from core.refusal import Refused

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))


def naive(*date: int) -> datetime:
    """As Hypothesis wants its bounds, and as a local time is."""
    return datetime(*date, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


MOMENTS = st.one_of(
    st.datetimes(naive(2026, 1, 1), naive(2027, 12, 31), timezones=st.just(UTC)),
    st.datetimes(naive(2026, 3, 27), naive(2026, 3, 31), timezones=st.just(UTC)),
    st.datetimes(naive(2026, 10, 23), naive(2026, 11, 3), timezones=st.just(UTC)),
)
WINDOWS = st.builds(
    Window, ZONES, st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(tuple), TIMES, TIMES
).filter(lambda w: w.since != w.until)


@settings(max_examples=50)
@given(window=WINDOWS, now=MOMENTS)
def test_a_window_opens_within_a_week_and_is_open_then(window: Window, now: datetime) -> None:
    opens = window.opens(now)

    assert now <= opens <= now + timedelta(days=15)  # a week later where the clocks skip all of it
    assert window.is_open(opens)
    assert window.is_open(now) == (opens == now)


@settings(max_examples=50)
@given(window=WINDOWS, now=MOMENTS)
def test_a_window_is_open_until_it_closes(window: Window, now: datetime) -> None:
    opened = window.opens(now)
    closes = window.closes(opened)

    assert window.is_open(closes - timedelta(microseconds=1))
    assert shut_from(window, opened) is None or shut_from(window, opened) == closes
    assert window.is_open(closes) or shut_from(window, closes) == closes


@settings(max_examples=50)
@given(window=WINDOWS, now=MOMENTS)
def test_an_open_window_is_what_the_clock_on_the_wall_says(window: Window, now: datetime) -> None:
    """But for the hour that a wall clock shows twice, or never."""
    here = now.astimezone(ZoneInfo(window.zone))
    offsets = {(here + timedelta(hours=n)).utcoffset() for n in range(-26, 27)}
    if len(offsets) > 1:
        return
    today, before = DAYS[here.weekday()], DAYS[here.weekday() - 1]
    at = here.time()
    if window.since < window.until:
        expected = today in window.days and window.since <= at < window.until
    else:
        expected = (today in window.days and at >= window.since) or (before in window.days and at < window.until)
    assert window.is_open(now) == expected


@settings(max_examples=50)
@given(
    local=st.datetimes(naive(2026, 3, 25), naive(2026, 11, 5)).map(lambda at: at.replace(second=0, microsecond=0)),
    zone=ZONES,
)
def test_a_local_time_is_that_time_there_and_never_before_the_campaign_begins(local: datetime, zone: str) -> None:
    due = due_locally(local, zone)
    shown = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    begins = Plan(local=local).begins(None)

    assert begins is not None and begins <= due
    assert shown == local or timedelta(0) < shown - local <= timedelta(hours=1)  # an hour that was skipped


def test_the_day_of_23_hours_has_its_window() -> None:
    window = Window("Europe/Berlin", ("sun",), time(1), time(4))

    assert window.opens(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 0, tzinfo=UTC)
    assert not window.is_open(datetime(2026, 3, 29, 2, 0, tzinfo=UTC))  # 04:00 there: an hour was skipped


def test_a_time_that_the_clocks_skip_is_when_they_do_and_of_one_they_show_twice_the_first() -> None:
    def at(*moment: int) -> datetime:
        return due_locally(naive(*moment), "Europe/Berlin")

    change = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert [at(2026, 3, 29, *hour) for hour in ((2, 0), (2, 30), (3, 0))] == [change] * 3
    assert at(2026, 10, 25, 2, 30) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    lord_howe = due_locally(naive(2026, 10, 4, 2, 15), "Australia/Lord_Howe")
    assert lord_howe == datetime(2026, 10, 3, 15, 30, tzinfo=UTC), "half an hour is skipped there"


def test_a_window_that_begins_in_a_skipped_hour_opens_when_the_clocks_change() -> None:
    window, night = Window("Europe/Berlin", DAYS, time(2, 30), time(3, 15)), datetime(2026, 3, 29, tzinfo=UTC)

    assert window.opens(night) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert window.is_open(window.opens(night))
    assert window.closes(window.opens(night)) == datetime(2026, 3, 29, 1, 15, tzinfo=UTC)


def test_a_window_of_which_nothing_is_left_opens_the_next_time() -> None:
    skipped, saturday = Window("Europe/Berlin", ("sun",), time(2, 15), time(2, 45)), datetime(2026, 3, 28, tzinfo=UTC)

    assert skipped.opens(saturday) == datetime(2026, 4, 5, 0, 15, tzinfo=UTC)
    assert skipped.next_open(saturday)[1] == datetime(2026, 4, 5, 0, 45, tzinfo=UTC)


def test_a_pace_is_the_slower_of_the_two() -> None:
    assert Plan().pace(1000) is None
    assert Plan(per_hour=500).pace(1000) == 500
    assert Plan(per_hour=500, spread_hours=10).pace(1000) == 100
    assert Plan(spread_hours=10).pace(3) == 0.3
    assert Plan(spread_hours=10).pace(0) is None


@settings(max_examples=50)
@given(
    pace=st.one_of(st.floats(0.1, 1000), st.integers(1, 1_000_000), st.sampled_from([1, 7, 100, 359, 360, 361])),
    tick=st.sampled_from([0.25, 1.0, 7.0]),
)
def test_what_is_fed_by_and_by_is_the_pace(pace: float, tick: float) -> None:
    now = datetime(2026, 5, 1, 9, tzinfo=UTC)
    since, begun, fed = None, now, 0
    for _ in range(3000):
        if many := allowed(pace, since, now):
            earliest = now - burst(pace)
            since = max(since or earliest, earliest) + timedelta(hours=many / pace)
            fed += many
        now += timedelta(seconds=tick)
    hours, at_once = (now - begun) / timedelta(hours=1), burst(pace) / timedelta(hours=1)
    assert pace * hours - 1 - pace * tick / 3600 <= fed <= pace * (hours + at_once) + 1


def test_after_a_rest_of_any_length_one_mail_may_leave_at_least() -> None:
    now = datetime(2026, 5, 1, 9, tzinfo=UTC)
    for pace in (0.14, 1, 7, 100, 208.33, 359):
        assert allowed(pace, None, now) == 1
        assert allowed(pace, now - timedelta(days=60), now) == 1
        assert allowed(pace, now, now) == 0
    assert allowed(3600, now - timedelta(hours=1), now) == 11


def test_what_is_late_asks() -> None:
    at = datetime(2026, 5, 1, 9, tzinfo=UTC)

    assert not Plan().is_late(None, at)
    assert not Plan().is_late(at, at + timedelta(minutes=59))
    assert Plan().is_late(at, at + timedelta(minutes=61))
    assert not Plan(late_hours=3).is_late(at, at + timedelta(minutes=61))


def test_a_plan_comes_back_as_it_was_stored() -> None:
    given = {
        "window": {"zone": "Europe/Berlin", "days": ["mon", "tue"], "from": "09:00", "to": "17:30"},
        "spread_hours": 4.0,
        "per_hour": 1000,
        "late_hours": 2.0,
    }

    assert to_json(from_json(given)) == given
    local = {"local_time": "2026-12-24T09:00:00", "zone": "Europe/Berlin"}
    assert to_json(from_json(local)) == local
    assert to_json(from_json({})) == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"window": {"days": ["someday"]}}, "window.days"),
        ({"window": {"from": "09:00", "to": "09:00"}}, "window"),
        ({"window": {"from": "9 o'clock"}}, "window.from"),
        ({"window": {"zone": "Mars/Olympus"}}, "window.zone"),
        ({"per_hour": 0}, "per_hour"),
        ({"per_hour": 0.4}, "per_hour"),
        ({"per_hour": True}, "per_hour"),
        ({"spread_hours": "4"}, "spread_hours"),
        ({"local_time": "2026-12-24T09:00Z"}, "local_time"),
        ({"local_time": "tomorrow"}, "local_time"),
        ({"local_time": "0001-01-01T00:00"}, "local_time"),
        ({"window": 5}, "window"),
        ({"window": {"days": 5}}, "window.days"),
        ({"window": {"from": [9]}}, "window.from"),
        ({"zone": [1]}, "zone"),
        ({"local_time": "2026-12-24T09:00", "window": {"days": ["mon"]}}, "window"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given: dict[str, object], field: str) -> None:
    with pytest.raises(Refused) as refused:
        from_json(given)
    assert refused.value.field == field
