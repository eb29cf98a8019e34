"""Rules: which days they name on the clock of a zone, and which are refused because they would never come."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.automations.recurrence import between, checked, following
from core.refusal import Refused

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=MO", "2026-12-01T09:00", ["2026-12-07T08:00", "2026-12-14T08:00"]),
        ("RRULE:freq=weekly;interval=2;byday=tu", "2026-12-01T09:00", ["2026-12-01T08:00", "2026-12-15T08:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-12-01T09:00", ["2026-12-31T08:00", "2027-01-31T08:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "2027-01-01T09:00", ["2027-01-31T08:00", "2027-03-31T07:00"]),
        ("FREQ=MONTHLY;BYDAY=1FR", "2026-12-01T09:00", ["2026-12-04T08:00", "2027-01-01T08:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-12-01T09:00", ["2026-12-31T08:00", "2027-01-29T08:00"]),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24", "2026-12-01T09:00", ["2026-12-24T08:00", "2027-12-24T08:00"]),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "2026-12-04T09:00", ["2026-12-04T08:00", "2026-12-07T08:00"]),
    ],
)
def test_days_of_a_rule_in_berlin(rule: str, start: str, expected: list[str]) -> None:
    found = checked(rule, start, "Europe/Berlin")
    first = following(found, at("2026-11-30T00:00"))
    assert first is not None
    second = following(found, first)

    assert [first, second] == [at(text) for text in expected]


def test_nine_in_the_morning_is_nine_on_days_when_the_clocks_change() -> None:
    found = checked("FREQ=DAILY", "2026-10-24T09:00", "Europe/Berlin")
    times = between(found, at("2026-10-24T00:00"), at("2026-10-27T00:00"))

    assert [one.astimezone(ZoneInfo("Europe/Berlin")).hour for one in times] == [9, 9, 9]
    assert times[1] - times[0] == timedelta(hours=25)


def test_a_time_that_a_day_skips_is_the_moment_after_and_one_it_has_twice_the_first() -> None:
    spring = checked("FREQ=DAILY", "2027-03-28T02:30", "Europe/Berlin")
    autumn = checked("FREQ=DAILY", "2026-10-25T02:30", "Europe/Berlin")

    assert between(spring, at("2027-03-28T00:00"), at("2027-03-28T23:00")) == [at("2027-03-28T01:30")]
    assert between(autumn, at("2026-10-24T23:00"), at("2026-10-25T23:00")) == [at("2026-10-25T00:30")]


def test_it_is_over_after_its_count_and_its_last_day() -> None:
    counted = checked("FREQ=DAILY;COUNT=3", "2026-12-01T09:00", "UTC")
    dated = checked("FREQ=DAILY;UNTIL=20261203", "2026-12-01T09:00", "UTC")
    timed = checked("FREQ=DAILY;UNTIL=20261203T085959Z", "2026-12-01T09:00", "UTC")

    assert following(counted, at("2026-12-03T08:00")) == following(dated, at("2026-12-03T08:00")) != None  # noqa: E711
    assert following(counted, at("2026-12-03T09:00")) is following(dated, at("2026-12-03T09:00")) is None
    assert following(timed, at("2026-12-02T09:00")) is None


@pytest.mark.parametrize(
    "rule",
    [
        "", "FREQ", "FREQ=", "weekly", "FREQ=SECONDLY", "FREQ=MINUTELY", "FREQ=HOURLY", "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;BYHOUR=9,10,11", "FREQ=DAILY;BYSECOND=1", "FREQ=DAILY;COUNT=100000", "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=1000000", "FREQ=DAILY;COUNT=2;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=20200101", "FREQ=DAILY;UNTIL=99991231", "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31",
        "FREQ=MONTHLY;INTERVAL=12;BYDAY=5MO", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=5", "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;BYDAY=MO;BYMONTHDAY=1", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=2",
        "FREQ=YEARLY;BYDAY=53MO", "FREQ=YEARLY;BYWEEKNO=53", "FREQ=YEARLY;BYEASTER=0", "FREQ=DAILY;WKST=XX",
        "FREQ=DAILY;X=1", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=WEEKLY;BYDAY=", "A" * 301,
    ],
)  # fmt: skip
def test_hostile_and_wrong_rules_are_refused(rule: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(rule, "2026-12-31T09:00", "UTC")

    assert refused.value.field == "rrule"


@pytest.mark.parametrize("start", ["", "soon", None, 7, "2026-12-01T09:00Z", "0001-01-01", "9999-12-31T00:00"])
def test_a_start_is_a_time_without_a_zone(start: object) -> None:
    with pytest.raises(Refused, match="start"):
        checked("FREQ=DAILY", start)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", None, "../etc/passwd"])
def test_a_zone_is_known_by_its_name(zone: object) -> None:
    with pytest.raises(Refused, match="zone"):
        checked("FREQ=DAILY", "2026-12-01T09:00", zone)


_RULES = st.one_of(
    st.builds(lambda n: f"FREQ=DAILY;INTERVAL={n}", st.integers(1, 100)),
    st.builds(
        lambda n, days: f"FREQ=WEEKLY;INTERVAL={n};BYDAY={','.join(days)}", st.integers(1, 8),
        st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
    ),
    st.builds(lambda n, day: f"FREQ=MONTHLY;INTERVAL={n};BYMONTHDAY={day}", st.integers(1, 24), st.integers(1, 28)),
    st.builds(lambda nth, day: f"FREQ=MONTHLY;BYDAY={nth}{day}", st.sampled_from((-1, 1, 4, 5)), st.sampled_from(DAYS)),
    st.builds(lambda m, day: f"FREQ=YEARLY;BYMONTH={m};BYMONTHDAY={day}", st.integers(1, 12), st.integers(1, 28)),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    rule=_RULES,
    zone=st.sampled_from(ZONES),
    start=st.dates(date(2026, 1, 1), date(2028, 12, 28)).map(lambda day: datetime.combine(day, time(2, 30))),
    ahead=st.integers(0, 800),
)
def test_every_rule_that_is_taken_comes_again(rule: str, zone: str, start: datetime, ahead: int) -> None:
    found = checked(rule, start.isoformat(), zone)
    moment = start.replace(tzinfo=UTC) + timedelta(days=ahead)
    first = following(found, moment)

    assert first is not None and first > moment
    second = following(found, first)
    assert second is not None and second > first
    assert between(found, first, second) == [first, second]
