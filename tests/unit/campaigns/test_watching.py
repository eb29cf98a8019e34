"""When a campaign is stopped by itself."""

import pytest

from campaigns.states import RowState
from campaigns.tallies import COMPLAINED, HARD_BOUNCED
from campaigns.watching import Figures, forgiven, too_many

COMPLAINTS = {"enabled": True, "stop_marketing": True, "least": 100, "least_complaints": 3, "stop": 0.003}
BOUNCES = {"enabled": True, "least": 100, "critical": 0.1}
DELIVERED, BOUNCED = RowState.DELIVERED.value, RowState.BOUNCED.value


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (Figures(1_000, 0, 0, 3), "3 of 1,000 people complained: 0.30%, and 0.30% is the limit"),
        (Figures(1_001, 0, 0, 3), ""),
        (Figures(100, 0, 0, 2), ""),
        (Figures(99, 0, 0, 50), ""),
        (Figures(0, 0, 0, 5), ""),
        (Figures(90, 10, 10, 0), "10 of 100 addresses are dead: 10.00%, and 10.00% is the limit"),
        (Figures(90, 10, 9, 0), ""),
        (Figures(0, 99, 99, 0), ""),
    ],
)
def test_it_stops_at_the_limit_once_there_is_enough_to_judge(figures: Figures, reason: str) -> None:
    assert too_many(figures, COMPLAINTS, BOUNCES) == reason


@pytest.mark.parametrize("off", ["enabled", "stop_marketing"])
def test_a_limit_that_is_off_stops_nothing(off: str) -> None:
    assert not too_many(Figures(1_000, 0, 0, 500), COMPLAINTS | {off: False}, BOUNCES)
    assert not too_many(Figures(0, 500, 500, 0), COMPLAINTS, BOUNCES | {"enabled": False})


def test_what_somebody_has_seen_counts_no_more() -> None:
    tallies = {DELIVERED: 1_000, COMPLAINED: 3, BOUNCED: 200, HARD_BOUNCED: 200}
    assert too_many(Figures.of(tallies), COMPLAINTS, BOUNCES)
    seen = tallies | forgiven(tallies)
    assert Figures.of(seen) == Figures(0, 0, 0, 0)
    later = {name: n + seen.get(name, 0) for name, n in {DELIVERED: 1_000, COMPLAINED: 5}.items()}
    assert "5 of 1,000 people complained" in too_many(Figures.of(seen | later), COMPLAINTS, BOUNCES)
