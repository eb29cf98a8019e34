"""What a template may do with a value: `{{ name | upper }}`. Pure; what is too large is refused before it is made.

Only these: each of Jinja's own was either written with trusted templates in mind (`center`, `indent` and `format` make
texts of any length) or has no use in a mail. A missing value reaches `default` and `safe` alone; all others fail with
its name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Undefined
from markupsafe import Markup, escape

from templates.limits import MAX_VALUE

_DIRECTIVE: Final = re.compile(r"%(-?)(.?)", re.DOTALL)
_DIRECTIVES: Final = frozenset("aAbBdHIjmMpSUwWyYZ%")
_MOST_DECIMALS: Final = 12


def bounded(text: str) -> str:
    """The text, if it is not too long. Raises ValueError."""
    if len(text) > MAX_VALUE:
        raise ValueError(f"a value has more than {MAX_VALUE} characters")
    return text


def text_of(value: object) -> str:
    """A value as it is printed. Raises TypeError for lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined | int | float | Decimal | date):
        return str(value)  # an undefined value fails here, with its name
    raise TypeError(f"{_kind(value)} cannot be printed: name an entry of it, or use a loop or `join`")


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, Sequence) else f"a value of type {type(value).__name__}"


def _list(value: object) -> Sequence[Any]:
    if isinstance(value, Undefined):
        str(value)
    if isinstance(value, Sequence):
        return value
    raise TypeError(f"{_kind(value)} is not a list")


def _number(value: object) -> int | float | Decimal:
    if isinstance(value, int | float | Decimal):
        return value
    text = text_of(value).strip()
    if len(text) > 40:
        raise ValueError("it is not a number")
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def default(value: object, instead: object = "", *_: object) -> object:
    """`instead` of a value that is missing, null or empty: nobody wants to read "Dear ,"."""
    empty = isinstance(value, Undefined) or value is None or (isinstance(value, str) and not value.strip())
    return instead if empty else value


def truncate(value: object, length: int = 255, end: str = "…") -> str:
    """At most `length` characters, cut between words where there are some."""
    text, length = text_of(value), max(0, int(length) - len(end))
    if len(text) <= length + len(end):
        return text
    cut = text[:length]
    return (cut.rsplit(" ", 1)[0] if not text[length].isspace() else cut).rstrip() + end


def replace(value: object, old: str, new: str) -> str:
    """Each `old` as `new`."""
    text, old, new = text_of(value), text_of(old), text_of(new)
    if not old:
        raise ValueError("replace needs a text to look for")
    if len(text) + text.count(old) * max(0, len(new) - len(old)) * 5 > MAX_VALUE:  # escaping makes five of one
        raise ValueError(f"a value has more than {MAX_VALUE} characters")
    return bounded(text.replace(old, new))


def join(value: object, between: str = "", attribute: str | None = None) -> str:
    """The entries of a list as one text."""
    parts = []
    for entry in _list(value):
        if attribute is not None:
            entry = entry.get(attribute, "") if isinstance(entry, Mapping) else ""
        parts.append(text_of(entry))
    between = text_of(between)
    if sum(map(len, parts)) + len(between) * len(parts) > MAX_VALUE:
        raise ValueError(f"a value has more than {MAX_VALUE} characters")
    return between.join(parts)


def rounded(value: object, precision: int = 0) -> int | float:
    """A number with so many decimals; none makes it a whole one."""
    if not 0 <= int(precision) <= _MOST_DECIMALS:
        raise ValueError(f"round takes 0 to {_MOST_DECIMALS} decimals")
    number = float(_number(value))
    return round(number, int(precision)) if precision else round(number)


def number(value: object, decimals: int = 0, thousands: str = ",", point: str = ".") -> str:
    """`1,234.50`, with the marks of your language."""
    if not 0 <= int(decimals) <= _MOST_DECIMALS:
        raise ValueError(f"number takes 0 to {_MOST_DECIMALS} decimals")
    if len(thousands) > 5 or len(point) > 5:
        raise ValueError("the marks of a number are single characters")
    written = f"{_number(value):,.{int(decimals)}f}"
    return bounded(written.replace(",", "\0").replace(".", point).replace("\0", thousands))


def dated(value: object, form: str = "%Y-%m-%d") -> str:
    """A date or a time as `form` says (strftime); a text is read as ISO 8601."""
    when = value if isinstance(value, date) else datetime.fromisoformat(text_of(value).strip())
    if len(form) > 100:
        raise ValueError("a form of a date has at most 100 characters")
    return _DIRECTIVE.sub(lambda found: _directive(when, *found.groups()), form)


def _directive(when: date, bare: str, letter: str) -> str:
    if letter not in _DIRECTIVES or not letter:
        raise ValueError(f"%{letter} is not known in the form of a date")
    written = when.strftime(f"%{letter}")
    return written.lstrip("0") or "0" if bare else written


def length(value: object) -> int:
    """Characters of a text, entries of a list or an object."""
    return len(value) if isinstance(value, Mapping) else len(_list(value))


def items(value: object) -> list[tuple[str, Any]]:
    """Keys and values of an object, for a loop."""
    if isinstance(value, Undefined):
        str(value)
    if not isinstance(value, Mapping):
        raise TypeError(f"{_kind(value)} is not an object")
    return list(value.items())


def ordered(value: object, reverse: bool = False, attribute: str | None = None) -> list[Any]:
    """A list in order, by itself or by an attribute of its entries."""
    entries = _list(value)
    if attribute is None:
        return sorted(entries, reverse=bool(reverse))
    return sorted(entries, key=lambda entry: entry[attribute], reverse=bool(reverse))


def first(value: object) -> object:
    """The first entry. Raises ValueError for an empty list."""
    return _entry(value, 0)


def last(value: object) -> object:
    """The last entry. Raises ValueError for an empty list."""
    return _entry(value, -1)


def _entry(value: object, at: int) -> object:
    entries = _list(value)
    if not entries:
        raise ValueError("the list is empty")
    return entries[at]


def safe(value: object) -> object:
    """The value as markup: not escaped in HTML. For what the application itself has written."""
    return value if isinstance(value, Undefined) else Markup(text_of(value))  # noqa: S704


def line_breaks(value: object) -> str:
    """A text of several lines as HTML."""
    return Markup(bounded(str(escape(text_of(value)))).replace("\n", "<br />\n"))  # noqa: S704


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": lambda value: abs(_number(value)),
    "capitalize": lambda value: text_of(value).capitalize(),
    "count": length,
    "d": default,
    "date": dated,
    "default": default,
    "e": lambda value: escape(text_of(value)),
    "escape": lambda value: escape(text_of(value)),
    "first": first,
    "float": lambda value: float(_number(value)),
    "int": lambda value: int(_number(value)),
    "items": items,
    "join": join,
    "last": last,
    "length": length,
    "lower": lambda value: text_of(value).lower(),
    "nl2br": line_breaks,
    "number": number,
    "replace": replace,
    "reverse": lambda value: _list(value)[::-1],
    "round": rounded,
    "safe": safe,
    "sort": ordered,
    "string": text_of,
    "title": lambda value: text_of(value).title(),
    "trim": lambda value: text_of(value).strip(),
    "truncate": truncate,
    "upper": lambda value: text_of(value).upper(),
    "urlencode": lambda value: quote(text_of(value), safe=""),
}
