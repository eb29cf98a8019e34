"""What a filter of contacts is made of: rules, joined by and, or and not. Pure values, the same for both written forms.

A rule asks one thing of one field, and holds or does not: of somebody about whom the field says nothing it does not
hold. `not` turns exactly that round, so whoever is not in a filter is in its `not`, and nobody is in neither.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from core.errors import PostlaneError

MOST_RULES: Final = 100
DEEPEST: Final = 20
"""Levels of and, or and not within each other."""
MOST_VALUES: Final = 200
"""In one `in (…)`."""
LONGEST_TEXT: Final = 20_000
"""Characters of a filter as text."""
LONGEST_VALUE: Final = 500
LARGEST_NUMBER: Final = 10**15
"""Up to here whole numbers are exact in whatever reads JSON."""

PROPERTY: Final = "properties."
"""In front of the key of a property, in the name of its field."""


class Operator(StrEnum):
    """What is asked of a field. The values are stored, and those that Resend has too are its words."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    EXISTS = "exists"
    IS_EMPTY = "is_empty"
    WITHIN = "within"
    """In the last 30 days."""
    AHEAD = "ahead"
    """In the next 30 days."""
    OLDER = "older"
    """More than 30 days ago."""
    GOT = "got"
    OPENED = "opened"
    CLICKED = "clicked"
    """What became of an earlier campaign, as are the two before."""


NEGATED: Final = {
    Operator.NEQ: Operator.EQ,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
    Operator.IS_EMPTY: Operator.EXISTS,
}
"""These hold exactly where the other one does not."""


class Unit(StrEnum):
    """What spans of time are counted in."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


_HOURS: Final = {Unit.HOUR: 1, Unit.DAY: 24, Unit.WEEK: 7 * 24, Unit.MONTH: 30 * 24, Unit.YEAR: 365 * 24}
LONGEST_SPAN: Final = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Span:
    """`30 days`. A month is 30 days and a year 365, so that a filter means the same whenever it is asked."""

    number: int
    unit: Unit

    @property
    def length(self) -> timedelta:
        """How long that is; one beyond `LONGEST_SPAN` is no span."""
        return timedelta(hours=self.number * _HOURS[self.unit])

    def __str__(self) -> str:
        return f"{self.number} {self.unit}{'' if self.number == 1 else 's'}"


Scalar = str | int | float | bool | date | datetime
Value = Scalar | Span | tuple[Scalar, ...] | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One question."""

    field: str
    """Of the contact, `properties.` with a key, or `topic`, `list`, `campaign`."""
    operator: Operator
    value: Value = None
    where: str = dataclasses.field(default="", compare=False)
    """Where it stands in what somebody wrote: for complaints about it."""


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Filter"


Filter = Rule | All | Any | Not


class FilterError(PostlaneError, ValueError):
    """What somebody wrote is no filter. `where` is the place, `reason` what is wrong there and what would be right."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason = reason
        self.where = where


def rules(tree: Filter) -> Iterator[Rule]:
    """Every rule of it, from left to right."""
    if isinstance(tree, Rule):
        yield tree
    else:
        for part in parts(tree):
            yield from rules(part)


def parts(tree: Filter) -> tuple[Filter, ...]:
    """What it joins."""
    if isinstance(tree, Rule):
        return ()
    return (tree.part,) if isinstance(tree, Not) else tree.parts
