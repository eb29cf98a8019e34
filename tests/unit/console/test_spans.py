"""Stretches of time in steps, each there whether something was counted or not."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import console
from console.spans import CHOICES, Span, places, span, steps
from store.figures import Answer, Row
from store.tally import Tally

CONSOLE = Path(console.__path__[0])
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 28, 22, 30, tzinfo=UTC)
"""23:30 in Vienna."""


def test_hours_end_with_the_one_that_runs() -> None:
    one = span("24h", NOW, VIENNA)
    found = places(one)

    assert len(found) == 24
    assert [label for _, label, _ in (found[0], found[-1])] == ["00:00", "23:00"]
    assert found[-1][2] == "Sat 28 Nov, 23:00"
    assert one.until - one.since == one.since - one.before


@pytest.mark.parametrize(("name", "period", "first", "count"), [
    ("7d", "", date(2026, 11, 22), 7),
    ("30d", "", date(2026, 10, 30), 30),
    ("90d", "", date(2026, 8, 31), 13),
    ("90d", "month", date(2026, 8, 1), 4),
    ("what", "", date(2026, 11, 22), 7),
])  # fmt: skip
def test_days_are_those_of_who_looks(name: str, period: str, first: date, count: int) -> None:
    found = places(span(name, NOW, VIENNA, period))

    assert (found[0][0], len(found)) == (first, count)


def test_a_day_of_23_hours_is_a_day() -> None:
    """The clocks go forward on 2027-03-28 in Vienna."""
    one = span("7d", datetime(2027, 3, 29, 10, tzinfo=UTC), VIENNA)

    assert [day for day, _, _ in places(one)] == [date(2027, 3, day) for day in range(23, 30)]


def test_a_step_without_mail_is_there() -> None:
    one = Span("two days", datetime(2026, 11, 27, tzinfo=UTC), NOW, "day", ZoneInfo("UTC"))
    counted = Tally.of({("delivered", ""): 3})
    found = steps(one, Answer(counted, [Row(date(2026, 11, 28), (), counted)]))

    assert [(step.label, step.tally.measures()["delivered"]) for step in found] == [("27 Nov", 0), ("28 Nov", 3)]
    assert dict(CHOICES)["7d"] == "Last 7 days"


def test_every_question_to_figures_says_how_long_hours_are_kept() -> None:
    asking = {file: file.read_text() for file in CONSOLE.rglob("*.py") if "store.figures import" in file.read_text()}
    silent = [str(file) for file, text in asking.items() if text.count(" Question(") != text.count("hours_kept=")]

    assert sum(" Question(" in text for text in asking.values()) > 5
    assert silent == []
