"""`scheduled_at`: what is understood, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.schedule_text import GRACE, LONGEST, ScheduleError, parse_schedule

NOW = datetime(2026, 8, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("in 10 min", 600),
        ("in 1 min", 60),
        ("in 1 hour", 3600),
        ("in an hour", 3600),
        ("in a day", 86400),
        ("In 2 Hours", 7200),
        ("in 90s", 90),
        ("in 1 hour 30 minutes", 5400),
        ("in 1 hour and 30 minutes", 5400),
        ("  in   3 days ", 259200),
        ("in 2 weeks", 1209600),
        ("in 30 days", 2592000),
    ],
)
def test_waits(text: str, seconds: int) -> None:
    assert parse_schedule(text, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-08-06T11:52:01.858Z", datetime(2026, 8, 6, 11, 52, 1, 858000, UTC)),
        ("2026-08-06T11:52:01+02:00", datetime(2026, 8, 6, 9, 52, 1, 0, UTC)),
        ("2026-08-06 11:52", datetime(2026, 8, 6, 11, 52, tzinfo=UTC)),
        ("20260806T115201Z", datetime(2026, 8, 6, 11, 52, 1, tzinfo=UTC)),
        ("2026-08-06T11:52:01.858123", datetime(2026, 8, 6, 11, 52, 1, 858123, UTC)),
    ],
)
def test_iso_8601(text: str, moment: datetime) -> None:
    assert parse_schedule(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "soon", "tomorrow", "in", "in ", "in ten minutes", "in 10", "in 10 fortnights",
        "in -5 min", "in 1.5 h",
        "in 5 min later", "2026-13-01", "1754395200", "2026-08-06T11:52:01 CEST", "in " + "9" * 60 + " s", "x" * 200,
        "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "in 10 min\0", "in \u0661\u0660 min",
    ],
)  # fmt: skip
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text, NOW)


def test_the_past_is_refused_but_for_a_difference_of_clocks() -> None:
    assert parse_schedule((NOW - GRACE).isoformat(), NOW) is None
    assert parse_schedule(NOW.isoformat(), NOW) is None
    assert parse_schedule("in 0 min", NOW) is None
    with pytest.raises(ScheduleError, match="past"):
        parse_schedule((NOW - GRACE - timedelta(milliseconds=1)).isoformat(), NOW)


def test_thirty_days_are_the_limit() -> None:
    assert parse_schedule((NOW + LONGEST).isoformat(), NOW) == NOW + LONGEST
    for text in ((NOW + LONGEST + timedelta(milliseconds=1)).isoformat(), "in 31 days", "in 999999999 weeks"):
        with pytest.raises(ScheduleError, match="30 days"):
            parse_schedule(text, NOW)


@given(st.text(max_size=60) | st.from_regex(r"in [0-9]{1,12} ?[a-z]{1,8}", fullmatch=True) | st.datetimes().map(str))
def test_any_text_gives_a_moment_in_range_or_a_reason(text: str) -> None:
    try:
        moment = parse_schedule(text, NOW)
    except ScheduleError as error:
        moment, reason = None, str(error)
    else:
        reason = "it is in range"
    assert reason
    assert moment is None or NOW < moment <= NOW + LONGEST
