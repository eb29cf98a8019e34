"""Through the whole console by its links, as somebody would who opens everything once."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from fastapi.routing import APIRoute

from console.nouns import NOUNS

ROUTES: Final = [route for noun in NOUNS for route in noun.router.routes if isinstance(route, APIRoute)]
PAGES: Final = [route for route in ROUTES if "GET" in (route.methods or ())]
NOT_LED_TO: Final = {
    "/sign-in": "leads whoever is signed in away",
    "/sign-in/openid": "leads to the provider",
    "/sign-in/openid/done": "where the provider leads back to",
    "/link/{token}": "stands in a mail or a terminal",
    "/overview/stream": "never ends",
    "/find/names": "fills a field while somebody types",
    "/warmup/rehearsals/{identifier}": "what a form answers with",
}
_EACH: Final = 2
"""Pages of one kind that are opened."""
_OF_ROUTE: Final = 12
"""Pages of one route: filters can be combined without an end."""
_TELLING: Final = ("tab", "status", "type", "result", "by", "width", "application")
"""Parameters each value of which shows something else."""

Look = Callable[[str], Awaitable[Iterable[str]]]
"""Opens an address, and says where its page leads."""


def route_of(at: str) -> APIRoute:
    """Whose page this is. Raises LookupError."""
    path = urlsplit(at).path
    for route in PAGES:
        if route.path_regex.match(path):
            return route
    raise LookupError(f"no route has {at}")


def is_frame(at: str) -> bool:
    """Whether a mail is shown there, in a sandbox."""
    return urlsplit(at).path.endswith("/frame")


async def tour(look: Look, begin: Sequence[str] = ("/",)) -> list[str]:
    """Follow every link of every page, but few of a kind; the addresses in their order."""
    seen, waiting, kinds = list[str](), [*begin], Counter[tuple[str, ...]]()
    while waiting:
        at = waiting.pop(0).partition("#")[0]
        route = route_of(at)
        told = sorted(parse_qsl(urlsplit(at).query))
        kind = (route.path, *(f"{name}={value}" if name in _TELLING else name for name, value in told))
        if at in seen or route.path in NOT_LED_TO or kinds[kind] >= _EACH or kinds["all of", route.path] >= _OF_ROUTE:
            continue
        kinds[kind] += 1
        kinds["all of", route.path] += 1
        seen.append(at)
        waiting += await look(at)
    return seen
