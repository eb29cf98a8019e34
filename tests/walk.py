"""Through the console by its links, to the first page of each kind."""

from collections.abc import Sequence
from typing import Final

from tests.tour import Look, route_of

LINKS: Final = "[...document.querySelectorAll('a[href^=\"/\"]')].map(one => one.getAttribute('href'))"
"""What a browser is asked for the links of its page."""
_NO_PAGES: Final = (".csv", ".eml", "/frame", "/stream")
"""Ends of paths where there is a file, somebody's mail, or no end."""


def path_of(at: str) -> str:
    """The route that has this page. Raises LookupError."""
    return route_of(at).path


async def one_of_each(look: Look, begin: Sequence[str] = ("/",)) -> list[str]:
    """Follow links to the first page of each route, and to the first with a panel; the addresses in their order."""
    seen, waiting = dict[tuple[str, bool], str](), [*begin]
    while waiting:
        at = waiting.pop(0).partition("#")[0]
        path = path_of(at)
        if path.endswith(_NO_PAGES) or path.startswith("/sign-in") or (path, "open=" in at) in seen:
            continue
        seen[path, "open=" in at] = at
        waiting += await look(at)
    return list(seen.values())
