"""Headers that every answer of the public pages carries, whatever went on inside.

No script runs here and nothing is loaded from or sent to another host; no page may be framed, cached or indexed, and
no link tells where the reader came from: the address of a page is a key to somebody's choices. A route that sets one of
these headers itself (a style sheet that may be cached, a picture) keeps its own.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"cache-control", b"no-store"),
)
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")


class Shield:
    """ASGI application around another one. `https`: the pages are reached by https only."""

    def __init__(self, inner: ASGIApp, *, https: bool) -> None:
        self._inner = inner
        self._headers = (*_HEADERS, _HTTPS_ONLY) if https else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in self._headers if pair[0] not in own)]
            await send(message)

        await self._inner(scope, receive, shielded)
