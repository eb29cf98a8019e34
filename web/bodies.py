"""How much of a request's body is read: never more than a bound, 413 as soon as it is known to be longer, and no JSON
that would be huge once it is parsed.

Routes that FastAPI reads for take `BoundedRoute` as the `route_class` of their router. The bound is `SMALL` unless the
endpoint carries another one (`largest_body`). Routes that read by themselves call `read_body`.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

SMALL: Final = 64 * 1024
"""Bytes; a domain, a key or a suppression has a hundredth of it."""

BODY: Final = "postlane.body"
"""Key in the ASGI scope: the body that was read, up to `SMALL` bytes, else how many it has. For whoever notes requests
once they are answered."""

UNEXAMINED: Final = 4 * 1024 * 1024
"""Bytes. Not more than 300 MB can come of a body of this size; counting would cost an ordinary batch a tenth more."""
MOST_PARTS: Final = 10_000_000
"""Values of a body, lists and objects counted as ten: about 300 MB once parsed. A full batch of 1,000 ordinary emails
has a hundredth of it."""
_DEAR: Final = 10
_QUOTE, _COMMA = ord('"'), ord(",")
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{,]', re.DOTALL)

_ATTRIBUTE: Final = "postlane_largest_body"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class BodyTooLargeError(Exception):
    """The body is longer than `limit` bytes. The rest is not read: the connection cannot be used again."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit:,} bytes.")
        self.limit = limit


class BodyTooComplexError(Exception):
    """The body has more parts than any request of ours needs."""

    def __init__(self) -> None:
        super().__init__(f"The request body has more than {MOST_PARTS:,} lists, objects and values.")


def check_parts(raw: bytes) -> None:
    """Raise BodyTooComplexError for JSON that is short and would be huge once it is parsed.

    What stands in texts does not count; they are looked at only when a plain count finds too much.
    """
    if len(raw) <= UNEXAMINED or raw.count(b",") + _DEAR * (raw.count(b"[") + raw.count(b"{")) <= MOST_PARTS:
        return
    parts = 0
    for found in _TOKEN.finditer(raw):
        kind = raw[found.start()]
        parts += 0 if kind == _QUOTE else 1 if kind == _COMMA else _DEAR
        if parts > MOST_PARTS:
            raise BodyTooComplexError


async def read_body(request: Request, limit: int) -> bytes:
    """The body, or BodyTooLargeError as soon as it is known to be too long: by Content-Length, else on the way."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLargeError(limit)
        chunks.append(chunk)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    request.scope[BODY] = body if size <= SMALL else size
    return body


def largest_body(size: int) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint its own bound, in bytes. Stands below the route decorator."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, size)
        return endpoint

    return mark


class BoundedRoute(APIRoute):
    """Reads the body up to the bound, then lets FastAPI work on what was read."""

    async def before(self, request: Request) -> None:
        """What must be in order before a byte of the body is read. It raises what the request ends with."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler behind the bound."""
        handle = super().get_route_handler()
        size: int = getattr(self.endpoint, _ATTRIBUTE, SMALL)

        async def bounded(request: Request) -> Response:
            await self.before(request)
            if request.method in _WITH_BODY:
                body = await read_body(request, size)
                check_parts(body)
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
