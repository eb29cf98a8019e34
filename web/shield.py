"""Headers that every answer of an application carries, whatever went on inside.

A route that sets one of these headers itself (a style sheet that may be cached, a policy with the nonce of its page)
keeps its own.
"""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Sequence[tuple[bytes, bytes]]

ALWAYS: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"cache-control", b"no-store"),
)
"""No page of ours may be framed, cached or indexed, and no link tells where the reader came from: the address of a page
can be a key to somebody's choices."""
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")


class Shield:
    """ASGI application around another one. `policy`: its Content-Security-Policy; `https`: it is reached so only."""

    def __init__(self, inner: ASGIApp, policy: str, *, https: bool) -> None:
        self._inner = inner
        headers = ((b"content-security-policy", policy.encode("ascii")), *ALWAYS)
        self._headers = (*headers, _HTTPS_ONLY) if https else headers

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
