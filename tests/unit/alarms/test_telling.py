"""News of alarms: when a mail leaves, and what stands in it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alarms.telling import GATHER, GATHER_CRITICAL, LISTED, QUIET, News, due, letter

NOW = datetime(2026, 11, 28, 3, tzinfo=UTC)


def news(n: int = 1, **changes: Any) -> News:
    facts: dict[str, Any] = {
        "id": n, "alarm_id": UUID(int=n), "at": NOW, "change": "raised", "severity": "warning", "detail": "seen",
        "by": "", "kind": "queue_age", "subject": f"lane {n}",
    }  # fmt: skip
    return News(**{**facts, **changes})


@pytest.mark.parametrize(
    ("found", "waited", "last", "leaves"),
    [
        ([], GATHER, None, False),
        ([news()], GATHER - timedelta(seconds=1), None, False),
        ([news()], GATHER, None, True),
        ([news(), news(2, severity="critical")], GATHER_CRITICAL, None, True),
        ([news(severity="critical")], GATHER, NOW - QUIET + timedelta(minutes=3), False),
        ([news()], GATHER, NOW - QUIET, True),
    ],
)
def test_news_waits_for_its_like(found: list[News], waited: timedelta, last: datetime | None, leaves: bool) -> None:
    assert due(found, NOW + waited, last) is leaves


def test_a_storm_is_one_mail_with_the_worst_first() -> None:
    storm = [news(n) for n in range(1, 80)] + [news(90, severity="critical", kind="complaints", subject="shop")]
    made = letter(storm, "mail.example.com")

    assert made.subject == "[mail.example.com] CRITICAL complaints: shop and 79 more"
    assert made.text.startswith("CRITICAL  complaints: shop\n")
    assert "Stop the list or campaign" in made.text
    assert f"… and {80 - LISTED} more." in made.text


def test_an_alarm_stands_once_with_its_newest_change() -> None:
    both = [news(1), news(2, alarm_id=UUID(int=1), subject="lane 1", change="cleared"), news(3, subject="other")]
    made = letter(both, "host")

    assert made.subject == "[host] queue age: other and 1 more"
    assert made.text.count("queue age: lane 1") == 1
    assert "raised minutes before" in made.text


def test_all_over_says_so() -> None:
    assert letter([news(change="cleared", by="anna")], "host").subject == "[host] over: queue age: lane 1"


def test_a_kind_of_a_newer_version_is_told_too() -> None:
    assert "of_tomorrow".replace("_", " ") in letter([news(kind="of_tomorrow")], "host").text
