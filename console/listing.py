"""Long lists on pages: the part that is asked for, and the links to the next and the last one.

The address of a page holds everything: filters and the entry it is counted from, so Back always returns to the same
rows. Repositories take the `Window`; `Listed` makes the links out of the `Page` that comes back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from console.visit import Visit
from core.paging import Page, Window

ROWS: Final = 40
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """Rows of a page, and where those before and behind them are; "" where there are none."""

    rows: Sequence[T]
    newer: str = ""
    older: str = ""


def window(visit: Visit, rows: int = ROWS) -> Window[UUID]:
    """Which part is asked for; the first one where that cannot be read."""
    after, before = _id(visit.asked("after")), _id(visit.asked("before"))
    return Window(rows, None, before) if before is not None else Window(rows, after)


def text_window(visit: Visit, rows: int = ROWS) -> Window[str]:
    """The same of a list whose entries are named by texts."""
    after, before = visit.asked("after"), visit.asked("before")
    return Window(rows, None, before) if before else Window(rows, after or None)


def listed(visit: Visit, page: Page[T], wanted: Window[Any], identify: Callable[[T], object]) -> Listed[T]:
    """The rows with their links."""
    if not page.entries:
        return Listed(page.entries, newer=here(visit) if wanted.after else "")
    first, last = identify(page.entries[0]), identify(page.entries[-1])
    newer = wanted.after is not None or (wanted.before is not None and page.has_more)
    older = wanted.before is not None or page.has_more
    return Listed(page.entries, here(visit, before=first) if newer else "", here(visit, after=last) if older else "")


def here(visit: Visit, **changes: object) -> str:
    """The address of this page with other parameters; where it is counted from is left out unless it is given."""
    known: Mapping[str, Any] = visit.request.query_params
    kept = {name: value for name, value in known.items() if name not in ("after", "before", "open")}
    merged = {**kept, **{name: str(value) for name, value in changes.items()}}
    return _at(visit, {name: value for name, value in merged.items() if value})


def with_more(visit: Visit, **changes: str) -> str:
    """The address of this very part of the list, with other parameters."""
    known = {name: value for name, value in visit.request.query_params.items() if value}
    return f"{visit.path}?{urlencode({**known, **changes})}"


def opened(visit: Visit, identifier: object) -> str:
    """The address of this page, rows and all, with one entry open in its panel ("" closes it)."""
    kept = {name: value for name, value in visit.request.query_params.items() if value and name != "open"}
    return _at(visit, {**kept, **({"open": str(identifier)} if identifier else {})})


def _at(visit: Visit, parameters: Mapping[str, str]) -> str:
    """This page with these; where it answers a form that was refused, whose address takes none but forms, the list of
    the noun."""
    path = visit.path if visit.request.method == "GET" else f"/{visit.path.split('/')[1]}"
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
