"""Pixel, links and the hidden link: answered before any framework is asked, without the database.

`/o/<token>.gif` is the picture of one pixel, `/c/<token>` leads on to where the token says, `/t/<token>` is the link
that no person sees. GET and HEAD only. What is no token of ours goes on to the pages, which say so in the reader's
language: nothing here leads anywhere that a sender of ours did not sign.

Links of one sender count on his tracking host, on the name of these pages, and on names we know nothing of (a proxy
that passes on another `Host`), but never on the tracking host of another sender.
"""

from base64 import b64decode
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from prometheus_client import Histogram
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from core.metrics import STEP_BUCKETS
from messages.link_tokens import Kind, LinkTokens, Token
from messages.model import MessageRef
from outcomes.hits import Hit
from pages.deps import Deps
from web.connections import client_of

AGENT: Final = 300
"""Characters that are kept of what a client calls itself."""

PIXEL: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A transparent GIF of one pixel."""

_Headers = tuple[tuple[bytes, bytes], ...]

_ALWAYS: Final[_Headers] = (
    (b"cache-control", b"no-store"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"x-content-type-options", b"nosniff"),
)
_PICTURE: Final[_Headers] = (
    (b"content-type", b"image/gif"),
    (b"content-length", str(len(PIXEL)).encode()),
    (b"cross-origin-resource-policy", b"cross-origin"),
    *_ALWAYS,
)
"""Webmail shows it on a page of its own origin."""
_NOTHING: Final[_Headers] = ((b"content-length", b"0"), *_ALWAYS)
_REFUSED: Final[_Headers] = ((b"allow", b"GET, HEAD"), *_NOTHING)

SECONDS: Final = Histogram(
    "postlane_link_seconds", "Time to answer a pixel or a link", ["kind"], buckets=(0.0001, *STEP_BUCKETS)
)
_SECONDS: Final = {kind: SECONDS.labels(kind.name.lower()) for kind in Kind}
_KINDS: Final = {f"/{kind.value}/": kind for kind in Kind}


class Links:
    """ASGI application around the pages. `deps` are there once the pages have started."""

    def __init__(self, inner: ASGIApp, deps: Callable[[], Deps]) -> None:
        self._inner = inner
        self._deps = deps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = _KINDS.get(scope["path"][:3]) if scope["type"] == "http" else None
        if kind is None:
            await self._inner(scope, receive, send)
            return
        with _SECONDS[kind].time():
            if scope["method"] not in ("GET", "HEAD"):
                await _answer(send, 405, _REFUSED)
                return
            token = self._token(kind, scope)
            if token is None:
                await self._inner(scope, receive, send)
                return
            self._note(kind, token, scope)
            await _follow(kind, token, send)

    def _token(self, kind: Kind, scope: Scope) -> Token | None:
        deps = self._deps()
        text = scope["path"][3:]
        found = deps.tokens.read(kind, text.removesuffix(".gif") if kind is Kind.OPEN else text)
        if found is None:
            return None
        host = _host(scope)
        if found.place != _place(deps.tokens, host) and deps.tracking_hosts.has(host):
            return None
        return found if kind is not Kind.CLICK or _is_web(found.target) else None

    def _note(self, kind: Kind, token: Token, scope: Scope) -> None:
        deps = self._deps()
        request = Request(scope)
        agent = _printable(request.headers.get("user-agent", "")[:AGENT])
        ip = deps.clients.address(request)
        ref = MessageRef(token.email_id, token.position)
        hit = Hit(kind, ref, deps.clock.now(), token.target, ip, agent, scope["method"] == "HEAD")
        deps.engagement.put(hit, client_of(ip))


async def _follow(kind: Kind, token: Token, send: Send) -> None:
    if kind is Kind.OPEN:
        await _answer(send, 200, _PICTURE, PIXEL)
    elif kind is Kind.CLICK:
        await _answer(send, 302, ((b"location", token.target.encode("ascii")), *_NOTHING))
    else:
        await _answer(send, 204, _ALWAYS)


async def _answer(send: Send, status: int, headers: _Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def _host(scope: Scope) -> str:
    """The name a request came to as it is registered: in lower case, without port and without the dot of the root."""
    given = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    if given.startswith("["):
        return given.partition("]")[0] + "]"
    return given.partition(":")[0].removesuffix(".")


@lru_cache(1024)
def _place(tokens: LinkTokens, host: str) -> bytes:
    return tokens.place_of(host)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def _is_web(target: str) -> bool:
    """What we sign is; it is looked at once more, for it becomes a header."""
    return target.startswith(("http://", "https://")) and target.isascii() and target.isprintable()
