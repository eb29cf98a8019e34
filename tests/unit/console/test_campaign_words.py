"""What pages of campaigns say of times and of an audience that is not there yet."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.forecast import Ending, Forecast, Hold, Pace, PutOff
from cli.campaign_checks import ends_in_words
from console.campaigns import words
from console.campaigns.words import Counts

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("away", "told"),
    [(timedelta(), "1 s"), (timedelta(seconds=4.2), "5 s"), (timedelta(minutes=3, seconds=5), "3 min 5 s"),
     (timedelta(hours=2, minutes=5), "2 h 5 min")],
)  # fmt: skip
def test_an_end_is_told_as_a_duration(away: timedelta, told: str) -> None:
    assert words.after(Forecast(NOW, NOW + away, None, ()), NOW + away) == f"{told} after it begins"
    assert words.within(NOW + away, NOW) == f"in {told}"


def test_an_end_that_is_not_in_sight_is_no_time() -> None:
    assert words.after(Forecast(NOW, None, None, ()), None) == words.within(None, NOW) == "not within 90 days"


def under_way(at_the_earliest: timedelta, pace: Pace | None, people: int = 600, put_off: int = 0) -> Forecast:
    """One with people at gmail."""
    ends = NOW + at_the_earliest
    later = PutOff(put_off, NOW + timedelta(minutes=31)) if put_off else None
    rows = (Ending("gmail", people, ends, None),) if people else ()
    return Forecast(NOW, ends, Hold.RATE, rows, pace, later)


def test_an_end_is_told_by_the_pace_that_was_measured_where_that_leads_to_a_later_one() -> None:
    slow = Pace(300, timedelta(minutes=10))
    measured, held = under_way(timedelta(minutes=1), slow), under_way(timedelta(hours=2), slow)

    assert measured.expected_at == NOW + timedelta(minutes=20)
    assert words.pace(measured) == "At the pace of the last 10 minutes (30 a minute) it is"
    assert words.out(measured, NOW) == "out in 20 min"
    assert held.expected_at == NOW + timedelta(hours=2)
    assert (words.pace(held), words.out(held, NOW)) == ("It is", "out in 2 h at the earliest")
    assert words.out(under_way(timedelta(), None, 0, 31), NOW) == "31 put off"
    assert words.out(None, NOW) == "nobody waits"


def test_the_command_line_tells_the_same_end() -> None:
    told = ends_in_words(under_way(timedelta(minutes=1), Pace(300, timedelta(minutes=10)), put_off=31), "UTC")
    assert told == (
        "At the pace of the last 10 min this ends about today 12:20 UTC."
        " 31 were put off and are tried again, next try by today 12:31 UTC."
    )
    alone = ends_in_words(under_way(timedelta(), None, 0, 1), "UTC")
    assert alone.startswith("All of it has left but for those who were put off. 1 was put off and is tried again")


def test_a_pause_says_no_noughts_while_people_are_put_together() -> None:
    nobody = dict.fromkeys(words.MEANING, 0)
    assert words.if_paused(Counts(nobody, 0, 0, 0, 0)) == (
        "Its people are still being put together; nobody gets it until you resume it."
    )
    some = nobody | {words.RowState.QUEUED: 3, words.RowState.DELIVERED: 1}
    assert words.if_paused(Counts(some, 0, 0, 0, 0)).startswith("3 people wait until you resume it; 1 already has it.")
