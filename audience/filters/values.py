"""Values in filters as they are written, the same in text and JSON: dates, times, spans. Pure."""

import re
from datetime import date, datetime
from typing import Final

from audience.filters.tree import LONGEST_SPAN, FilterError, Scalar, Span, Unit

YEARS: Final = range(1800, 2200)
"""People have birthdays, and contracts an end."""
UNITS: Final = {word: unit for unit in Unit for word in (unit.value, f"{unit.value}s")}
_SPAN: Final = re.compile(r"(\d{1,6}) +([a-z]+)", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def span_of(number: int, word: str, where: str = "") -> Span:
    """`30` and `days`. Raises FilterError."""
    unit = UNITS.get(word.lower())
    if unit is None or number < 1:
        raise FilterError("a span is a number with hours, days, weeks, months or years, such as 30 days", where)
    found = Span(number, unit)
    if number > LONGEST_SPAN.days * 24 or found.length > LONGEST_SPAN:
        raise FilterError("a span is at most 100 years", where)
    return found


def span_from(text: object, where: str = "") -> Span:
    """`30 days`. Raises FilterError."""
    read = _SPAN.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    return span_of(int(read[1]) if read else 0, read[2] if read else "", where)


def date_from(text: str, where: str = "") -> date | datetime:
    """`2026-01-31`, or a time with its zone, such as `2026-01-31T09:00:00Z`. Raises FilterError."""
    try:
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else datetime.fromisoformat(text)
    except ValueError:
        raise FilterError("a date is written as 2026-01-31, a time as 2026-01-31T09:00:00Z", where) from None
    if isinstance(found, datetime) and found.tzinfo is None:
        raise FilterError("a time needs its zone: Z for UTC, or such as +02:00", where)
    if found.year not in YEARS:
        raise FilterError(f"a year lies between {YEARS.start} and {YEARS.stop}", where)
    return found


def date_text(moment: date | datetime) -> str:
    """The same as text."""
    return moment.isoformat().replace("+00:00", "Z")


def plain(value: Scalar) -> str | int | float | bool:
    """As JSON has it."""
    return date_text(value) if isinstance(value, date) else value
