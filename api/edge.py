"""What surrounds every request: the clock, the `ratelimit-*` headers, metrics, the log, and the last net for bugs.

Pure ASGI, because it runs for every request of the hot path. Made by `api/app`. Logs only what somebody should look at:
answers of 500 and above, and slow requests; a line for each of 3,000 requests a second would cost more than the
requests. It never logs bodies, keys or addresses.
"""

import time
from typing import Final

import orjson
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError
from api.limits import BUDGET, Budget
from core.ids import uuid7
from core.logs import get_logger
from core.metrics import STEP_BUCKETS

_log = get_logger(__name__)

SECONDS: Final = Histogram(
    "postlane_api_seconds", "Time from the first byte of a request to its answer, by route", ["route"], buckets=STEP_BUCKETS
)
ANSWERS: Final = Counter("postlane_api_answers_total", "Answers by route and status", ["route", "status"])

SLOW_SECONDS: Final = 1.0
"""A request that took longer is logged: the database or the machine is in trouble."""


class Edge:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._seconds: dict[str, Histogram] = {}
        self._answers: dict[tuple[str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                budget: Budget | None = scope.get(BUDGET)
                if budget is not None:
                    message["headers"] = [*message["headers"], *budget.headers()]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            status = status or 499  # nobody is left to answer; nginx counts it so
        except Exception as error:  # the last net: a bug ends one request with a number to look for, not the process
            identifier = _report(scope, error)
            if status:
                raise
            await _answer_bug(watched, identifier)
        self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = SECONDS.labels(route)
        histogram.observe(seconds)
        counter = self._answers.get((route, status))
        if counter is None:
            counter = self._answers[route, status] = ANSWERS.labels(route, str(status))
        counter.inc()
        if status >= 500 or seconds > SLOW_SECONDS:
            _log.warning(
                "request_failed" if status >= 500 else "request_slow",
                method=scope["method"],
                route=route,
                status=status,
                seconds=round(seconds, 3),
            )


def _report(scope: Scope, error: Exception) -> str:
    identifier = uuid7().hex
    _log.error(
        "request_crashed", request_id=identifier, method=scope["method"], path=scope["path"], exc_info=error
    )
    return identifier


async def _answer_bug(send: Send, identifier: str) -> None:
    error = ApiError("application_error", f"Something went wrong on our side. The log has it as request {identifier}.")
    body = orjson.dumps(error.body())
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", identifier.encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
