"""What counts against the objective of a route is our time, and not its client's."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from store.route_times import Times
from web import edge
from web.edge import Edge, Manners

PART: Message = {"type": "http.request", "body": b"x", "more_body": True}
LAST: Message = {"type": "http.request", "body": b"y"}
LEFT: Message = {"type": "http.disconnect"}
SLOW, WORK = 60.0, 1.0


class Clock:
    """Stands still but for what is added."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(edge, "time", SimpleNamespace(perf_counter=made.perf_counter))
    return made


Inner = Callable[[Clock, Scope, Receive, Send], Awaitable[None]]


async def _reads(clock: Clock, scope: Scope, receive: Receive, send: Send) -> None:
    """As nearly every route."""
    await Request(scope, receive).body()
    clock.now += WORK
    await Response(b"{}")(scope, receive, send)


async def _listens(clock: Clock, scope: Scope, receive: Receive, send: Send) -> None:
    """As Starlette does beside an answer that is streamed."""
    await Request(scope, receive).body()
    clock.now += WORK
    assert await receive() == LEFT
    await Response(b"{}")(scope, receive, send)


async def _refuses(clock: Clock, scope: Scope, receive: Receive, send: Send) -> None:
    """Reads what is left, that the connection may be used again, after the answer has begun."""
    clock.now += WORK
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await receive()
    await send({"type": "http.response.body", "body": b""})


async def _asked(clock: Clock, inner: Inner, *messages: Message, direct: bool = False) -> float:
    """What is counted against the objective of a route whose client takes a minute for each part of its request."""
    coming = iter(messages)

    async def receive() -> Message:
        clock.now += SLOW
        return next(coming, LEFT)

    async def send(message: Message) -> None:
        pass

    async def endpoint(request: Request) -> Response:
        await request.body()
        clock.now += WORK
        return Response(b"{}")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = SimpleNamespace(path="/x", methods={"POST"}, endpoint=endpoint)
        await inner(clock, scope, receive, send)

    times = Times("api")
    made = Edge(app, None, {("POST", "/x"): endpoint} if direct else {}, _manners(times))
    await made({"type": "http", "method": "POST", "path": "/x", "headers": []}, receive, send)
    ((_, counts),) = times.take()
    return counts.seconds


def _manners(times: Times) -> Manners:
    async def never(request: Request, error: Exception) -> Response:
        raise AssertionError(error)

    seconds, answers = (
        Histogram("s", "s", ["route"], registry=None),
        Counter("a", "a", ["route", "status"], registry=None),
    )
    return Manners(seconds, answers, (), never, lambda number: Response(number, 500), times)


@pytest.mark.parametrize("direct", [False, True])
async def test_a_slow_client_is_no_slow_answer(clock: Clock, direct: bool) -> None:
    assert await _asked(clock, _reads, PART, PART, LAST, direct=direct) == WORK


async def test_who_leaves_before_the_request_is_whole_took_none_of_our_time(clock: Clock) -> None:
    assert await _asked(clock, _reads, PART) == 0


async def test_what_passes_once_the_request_is_whole_counts(clock: Clock) -> None:
    assert await _asked(clock, _listens, LAST) == WORK + SLOW


async def test_what_passes_once_the_answer_has_begun_counts(clock: Clock) -> None:
    assert await _asked(clock, _refuses, PART) == WORK + SLOW
