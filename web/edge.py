"""What surrounds every request: the clock, added headers, metrics, the log, and the last net for bugs.

The outermost ASGI layer of an application. It runs the direct routes (`web/direct`) itself and hands everything else
to FastAPI. It logs only what somebody should look at: answers of 500 and above, and slow requests; a line for each of
3,000 requests a second would cost more than it tells. It never logs bodies, keys or addresses.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.ids import uuid7
from core.logs import get_logger
from store.route_times import Counts, Times
from web import traced
from web.direct import Endpoint
from web.objectives import objective_of

_log = get_logger(__name__)

SLOW_SECONDS: Final = 1.0
"""A request that took longer is logged: the database or the machine is in trouble."""

ADDED_HEADERS: Final = "postlane.headers"
"""Key in the ASGI scope of header pairs that go onto whatever this request is answered with."""
LASTS: Final = "postlane.lasts"
"""Key in the ASGI scope of an answer that goes on until its client leaves: how long is no figure, and when the process
ends (`web/protocol`) nobody waits for it."""
_REQUEST_ID: Final = "postlane.request_id"
GONE: Final = 499
"""What nginx counts when the client left before the answer. Nobody reads it."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How an application answers what went wrong, and where it is counted."""

    seconds: Histogram
    answers: Counter
    expected: tuple[type[Exception], ...]
    """Exceptions that are part of how requests end. Any other is a bug."""
    answer: Callable[[Request, Exception], Awaitable[Response]]
    """The answer to one of `expected`."""
    answer_bug: Callable[[str], Response]
    """The answer when something broke, with the request's number in the log."""
    times: Times | None = None
    """Where answers are counted against the objectives of their routes; None where nobody promises anything."""


Note = Callable[[Scope, int, float, bytes], None]
"""What somebody is told of every request, once it is answered: scope, status, seconds, the first part of the answer. It
may neither wait nor fail."""


class _Asked:
    """`receive` of a request, and how long its client kept us waiting for the rest of it."""

    __slots__ = ("_receive", "is_over", "waited")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.waited = 0.0
        self.is_over = False
        """It is whole, or its answer has begun: what passes from here on is our time."""

    async def __call__(self) -> Message:
        if self.is_over:
            return await self._receive()
        since = time.perf_counter()
        message = await self._receive()
        if not self.is_over:
            self.waited += time.perf_counter() - since
            self.is_over = not message.get("more_body", False)
        return message


class Edge:
    """ASGI application around another one. `app` is the FastAPI application that direct endpoints belong to."""

    def __init__(
        self,
        inner: ASGIApp,
        app: Any,
        direct: Mapping[tuple[str, str], Endpoint],
        manners: Manners,
        note: Note | None = None,
    ) -> None:
        self._inner = inner
        self._app = app
        self._direct = direct
        self._manners = manners
        self._note = note
        self._seconds: dict[str, Histogram] = {}
        self._answers: dict[tuple[str, int], Counter] = {}
        self._counts: dict[tuple[str, str], Counts | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started = time.perf_counter()
        asked = _Asked(receive)
        status = 0
        answer: bytes | None = None

        async def watched(message: Message) -> None:
            nonlocal status, answer
            if message["type"] == "http.response.start":
                status = message["status"]
                asked.is_over = True
                added = scope.get(ADDED_HEADERS)
                if added is not None:
                    message["headers"] = [*message["headers"], *added]
            elif head:
                message = {**message, "body": b""}
            elif answer is None:
                answer = message.get("body")
            await send(message)

        head = scope["method"] == "HEAD"
        if head:  # RFC 9110 section 9.3.2: whatever GET answers, without the content
            scope = {**scope, "method": "GET"}
        if scope["path"].startswith("//"):  # SDKs put their paths behind a base URL, which may end in a slash
            scope = {**scope, "path": "/" + scope["path"].lstrip("/")}
        endpoint = self._direct.get((scope["method"], scope["path"]))
        try:
            if endpoint is None:
                await self._inner(scope, asked, watched)
            else:
                scope["app"] = self._app
                await self._run(endpoint, Request(scope, asked, watched), watched)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:  # the last net: a bug ends one request with a number to look for, not the process
            _log.error("request_crashed", request_id=request_id(scope), route=_route(scope, endpoint), exc_info=error)
            if not status:
                await self._manners.answer_bug(request_id(scope))(scope, receive, watched)
        seconds = 0.0 if scope.get(LASTS) else time.perf_counter() - started
        route = _route(scope, endpoint)
        self._count(scope["method"], route, status, seconds)
        if self._manners.times is not None:
            self._judge(self._manners.times, scope, route, endpoint, status, max(0.0, seconds - asked.waited))
        if traced.TRACED in scope:
            traced.answered(scope[traced.TRACED], scope, route, status, started)
        if self._note is not None:
            self._note(scope, status, seconds, answer or b"")

    async def _run(self, endpoint: Endpoint, request: Request, send: Send) -> None:
        try:
            response = await endpoint(request)
        except self._manners.expected as error:
            response = await self._manners.answer(request, error)
        await response(request.scope, request.receive, send)

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = self._manners.seconds.labels(route)
        histogram.observe(seconds)
        counter = self._answers.get((route, status))
        if counter is None:
            counter = self._answers[route, status] = self._manners.answers.labels(route, str(status))
        counter.inc()
        if status >= 500:
            _log.warning("request_failed", method=method, route=route, status=status, seconds=round(seconds, 3))
        elif seconds > SLOW_SECONDS:
            _log.warning("request_slow", method=method, route=route, status=status, seconds=round(seconds, 3))

    def _judge(
        self, times: Times, scope: Scope, route: str, endpoint: Endpoint | None, status: int, seconds: float
    ) -> None:
        key = scope["method"], route
        if key not in self._counts and (found := _serving(scope, endpoint)) is not None:
            objective = objective_of(scope["method"], found)
            self._counts[key] = None if objective is None else times.of(scope["method"], route, objective)
        counts = self._counts.get(key)
        if counts is not None:
            counts.note(seconds, failed=status >= 500)


def _serving(scope: Scope, endpoint: Endpoint | None) -> Callable[..., Any] | None:
    """What serves this method at this path. Whoever asks with a method of his own making is told so by no route."""
    if endpoint is not None:
        return endpoint
    route: Any = scope.get("route")
    if scope["method"] not in (getattr(route, "methods", None) or ()):
        return None
    found: Callable[..., Any] = route.endpoint
    return found


def request_id(scope: Scope) -> str:
    """The name of this request in the log, made when it is first needed."""
    if _REQUEST_ID not in scope:
        scope[_REQUEST_ID] = uuid7().hex
    found: str = scope[_REQUEST_ID]
    return found


def _route(scope: Scope, endpoint: Endpoint | None) -> str:
    """The path as documented, so that metrics have a bounded number of routes."""
    if endpoint is not None:
        return str(scope["path"])
    return str(getattr(scope.get("route"), "path", "unmatched"))
