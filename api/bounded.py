"""Routes whose body FastAPI reads, but not without end: 413 before more than the limit is in memory.

The routes that send read their bodies themselves (`api/limits.read_body`); everything else takes `BoundedRoute` as the
`route_class` of its router. The bound is `SMALL` unless the endpoint carries another one (`largest_body`).
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from api.limits import read_body

SMALL: Final = 64 * 1024
"""Bytes; a domain, a key or a suppression has a hundredth of it."""

_ATTRIBUTE: Final = "postlane_largest_body"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def largest_body(size: int) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint its own bound, in bytes. Stands below the route decorator."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, size)
        return endpoint

    return mark


class BoundedRoute(APIRoute):
    """Reads the body up to the bound, then lets FastAPI work on what was read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler behind the bound."""
        handle = super().get_route_handler()
        size: int = getattr(self.endpoint, _ATTRIBUTE, SMALL)

        async def bounded(request: Request) -> Response:
            if request.method in _WITH_BODY:
                body = await read_body(request, size)
                request = Request(request.scope, _again(body, request.receive))
            return await handle(request)

        return bounded


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever the client does (it may go away)."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
