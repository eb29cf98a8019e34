"""Stretches of time that pages of figures look at: so many hours or days up to now, in steps, and as much before.

Days are those of whoever looks. What was not counted in a step is there all the same, as nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from store.figures import Answer, Label, beginning
from store.tally import Tally

SPANS: Final[Mapping[str, tuple[str, str, int]]] = {
    "24h": ("last 24 hours", "hour", 1),
    "7d": ("last 7 days", "day", 7),
    "30d": ("last 30 days", "day", 30),
    "90d": ("last 90 days", "week", 90),
}
"""By name: what it is called, its usual steps, its days."""

CHOICES: Final = [(name, told.capitalize()) for name, (told, *_) in SPANS.items()]
"""For a form."""


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch, in steps."""

    told: str
    since: datetime
    until: datetime
    period: str
    """hour, day, week or month."""
    zone: ZoneInfo

    @property
    def before(self) -> datetime:
        """Where as long a stretch begins that ends with the beginning of this one."""
        return self.since - (self.until - self.since)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of it."""

    label: str
    """On the axis."""
    title: str
    """In full."""
    tally: Tally


def span(name: str, now: datetime, zone: ZoneInfo, period: str = "") -> Span:
    """The stretch of this name, or of a week."""
    told, usual, days = SPANS.get(name, SPANS["7d"])
    if days == 1:
        return Span(told, (now - timedelta(hours=23)).replace(minute=0, second=0, microsecond=0), now, "hour", zone)
    first = now.astimezone(zone).date() - timedelta(days=days - 1)
    return Span(told, datetime.combine(first, time(), zone), now, period or usual, zone)


def steps(one: Span, answer: Answer) -> Sequence[Step]:
    """Every step of it, out of an answer by period alone."""
    known: Mapping[Label, Tally] = {row.period: row.tally for row in answer.rows}
    return [Step(label, title, known.get(key, Tally())) for key, label, title in places(one)]


def places(one: Span) -> Sequence[tuple[Label, str, str]]:
    """What a step is called by figures, on an axis, and in full."""
    if one.period == "hour":
        return [
            (at, f"{at:%H:%M}" if _short(one) else f"{at:%a %H}h", f"{at:%a} {at.day} {at:%b, %H:%M}")
            for at in _hours(one)
        ]
    if one.period == "month":
        return [(day, f"{day:%b}", f"{day:%B %Y}") for day in _days(one)]
    told = "week of " if one.period == "week" else ""
    return [(day, f"{day.day} {day:%b}", f"{told}{day:%a} {day.day} {day:%b %Y}") for day in _days(one)]


def _short(one: Span) -> bool:
    return one.until - one.since <= timedelta(hours=25)


def _hours(one: Span) -> list[datetime]:
    whole = int((one.until - one.since) / timedelta(hours=1)) + 1
    hours = (one.since + timedelta(hours=n) for n in range(whole))
    return [hour.astimezone(one.zone) for hour in hours if hour < one.until]


def _days(one: Span) -> list[date]:
    """Days that periods begin with; the first may lie before the beginning."""
    first, last = one.since.astimezone(one.zone).date(), one.until.astimezone(one.zone).date()
    every = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return list(dict.fromkeys(beginning(one.period, day) for day in every))
