"""Parts of long lists: which one is wanted, and what came back. The one pair of types for every list.

Pure. Repositories take a `Window` and return a `Page`; `web/paging` reads the one from a request and writes the other
as JSON. A list goes in one fixed order; `after` and `before` name an entry of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")
U = TypeVar("U")
Id = TypeVar("Id", UUID, str)


@dataclass(frozen=True, slots=True)
class Window(Generic[Id]):
    """Which part: `limit` entries (None: all) behind `after` or in front of `before`; at most one of the two."""

    limit: int | None = None
    after: Id | None = None
    before: Id | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Entries in the order of the list, and whether more follow in the direction of the question."""

    entries: Sequence[T]
    has_more: bool = False

    def map(self, show: Callable[[T], U]) -> "Page[U]":
        """The page with every entry shown another way."""
        return Page([show(entry) for entry in self.entries], self.has_more)


def cut(rows: Sequence[T], window: Window[Id]) -> Page[T]:
    """The page out of `limit + 1` rows, read in the direction of the question: backwards for `before`."""
    more = window.limit is not None and len(rows) > window.limit
    kept = rows[: window.limit]
    return Page(kept[::-1] if window.before is not None else kept, more)


def page_within(entries: Sequence[T], identify: Callable[[T], Id], window: Window[Id]) -> Page[T] | None:
    """The page of a list that is small enough to be read whole. None when the entry it is counted from is gone."""
    cursor = window.before if window.before is not None else window.after
    at = -1
    if cursor is not None:
        at = next((n for n, entry in enumerate(entries) if identify(entry) == cursor), -1)
        if at < 0:
            return None
    size = len(entries) if window.limit is None else window.limit
    if window.before is not None:
        return Page(entries[max(0, at - size) : at], at > size)
    return Page(entries[at + 1 : at + 1 + size], len(entries) > at + 1 + size)
