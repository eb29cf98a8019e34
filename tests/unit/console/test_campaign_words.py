"""What pages of campaigns say of times and of an audience that is not there yet."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.forecast import Forecast
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


def test_a_pause_says_no_noughts_while_people_are_put_together() -> None:
    nobody = dict.fromkeys(words.MEANING, 0)
    assert words.if_paused(Counts(nobody, 0, 0, 0, 0)) == (
        "Its people are still being put together; nobody gets it until you resume it."
    )
    some = nobody | {words.RowState.QUEUED: 3, words.RowState.DELIVERED: 1}
    assert words.if_paused(Counts(some, 0, 0, 0, 0)).startswith("3 people wait until you resume it; 1 already has it.")
