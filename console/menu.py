"""The navigation: what a noun adds to it, and what of it somebody sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from accounts.roles import Right
from console.visit import Visit

GROUPS: Final = ("", "Send", "Reach", "Operate", "Administer")
"""In this order. The first has no heading."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation."""

    group: str
    place: int
    """Within the group; numbers leave room for others."""
    title: str
    path: str
    icon: str
    """Its name in `assets/icons.svg`."""
    right: Right | None = None
    """Who sees it; None: everybody."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry on one page."""

    entry: Entry
    here: bool


_entries: list[Entry] = []


def add(entry: Entry) -> None:
    """Called once for each entry by `console/nouns`."""
    _entries.append(entry)
    _entries.sort(key=lambda one: (GROUPS.index(one.group), one.place))


def menu_of(visit: Visit, path: str = "") -> Sequence[tuple[str, list[Line]]]:
    """Groups with what this person may open; groups without any are left out. `path`: where they are, if not
    where the address says."""
    if visit.user is None:
        return []
    mine = [one for one in _entries if one.right is None or visit.may(one.right)]
    path = path or visit.path
    groups = ((group, [Line(one, _is_here(one, path)) for one in mine if one.group == group]) for group in GROUPS)
    return [(group, lines) for group, lines in groups if lines]


def _is_here(entry: Entry, path: str) -> bool:
    return path == entry.path or (entry.path != "/" and path.startswith(f"{entry.path}/"))
