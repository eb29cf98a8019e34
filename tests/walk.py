"""Through the console by its links, to the first page of each kind."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from fastapi.routing import APIRoute

from console.nouns import NOUNS

LINKS: Final = "[...document.querySelectorAll('a[href^=\"/\"]')].map(one => one.getAttribute('href'))"
"""What a browser is asked for the links of its page."""
_PAGES: Final = [
    route
    for noun in NOUNS
    for route in noun.router.routes
    if isinstance(route, APIRoute) and "GET" in (route.methods or ())
]
_NO_PAGES: Final = (".csv", ".eml", "/frame", "/stream")
"""Ends of paths where there is a file, somebody's mail, or no end."""

Look = Callable[[str], Awaitable[Iterable[str]]]
"""Opens an address, and says where its page leads."""


def path_of(at: str) -> str:
    """The route that has this page. Raises LookupError."""
    path = urlsplit(at).path
    for route in _PAGES:
        if route.path_regex.match(path):
            return route.path
    raise LookupError(f"no route has {at}")


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
