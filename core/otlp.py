"""OpenTelemetry's edge: spans as its SDK has them, sent by its OTLP exporter over HTTP from a thread of their own.

What is sent waits in a bounded queue. A collector that is away, slow or hangs costs spans, which are counted, and
nothing else: of what it answers the status counts, and the rest is read only so far that the connection stays.
Imported by `core/tracing` when traces are on; everything it brings (protobuf, requests) comes with it.
"""

import atexit
import contextlib
import io
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

import requests
import urllib3
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client import Counter
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from core.logs import get_logger
from core.tracing import Place, Span
from core.version import version

_log = get_logger(__name__)

WAITING: Final = 4096
"""Spans that wait to be sent; a mail has a dozen."""
AT_ONCE: Final = 512
INTERVAL_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 5.0
"""For one request and its repetitions."""
PARTING_SECONDS: Final = 1.0
ANSWER_BYTES: Final = 64 * 1024
"""Of an answer, as it comes over the wire. A collector's is empty, or says in a line what it did not like."""

SPANS: Final = Counter("postlane_trace_spans_total", "Spans of traces, by what became of them", ["result"])
"""result: sent, dropped (the queue was full), failed (the collector did not take them)."""
_SENT, _DROPPED, _FAILED = (SPANS.labels(result) for result in ("sent", "dropped", "failed"))
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("postlane", version())


class Exporter:
    """That of this process."""

    def __init__(self, url: str, service: str, sender: SpanExporter | None = None) -> None:
        """`sender`: in place of OTLP over HTTP to `url`, which gets `/v1/traces` behind it."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # we say it once, not for each batch
        self._sender = sender or OTLPSpanExporter(
            endpoint=f"{url}/v1/traces", timeout=TIMEOUT_SECONDS, session=_Session()
        )
        self._resource = Resource(_about(service))
        self._waiting: deque[Span] = deque()
        self._ending = threading.Event()
        self._refused = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Send from now on, until the process ends."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Send what waits, within a moment."""
        self._ending.set()
        self._thread.join(PARTING_SECONDS)

    def put(self, span: Span) -> None:
        """Take a span, from any thread."""
        if len(self._waiting) >= WAITING:
            _DROPPED.inc()
        else:
            self._waiting.append(span)

    def _run(self) -> None:
        while not self._ending.wait(INTERVAL_SECONDS):
            self._send_waiting()
        self._send_waiting()

    def _send_waiting(self) -> None:
        while spans := self._taken():
            self._send(spans)

    def _taken(self) -> list[Span]:
        spans: list[Span] = []
        with contextlib.suppress(IndexError):
            while len(spans) < AT_ONCE:
                spans.append(self._waiting.popleft())
        return spans

    def _send(self, spans: Sequence[Span]) -> None:
        try:
            taken = self._sender.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS
            error = "the collector did not take them"
        except Exception as failure:  # whatever it is: the thread goes on, and the mail does not know of it
            taken, error = False, f"{type(failure).__name__}: {failure}"
        (_SENT if taken else _FAILED).inc(len(spans))
        if not taken and not self._refused:
            _log.warning("traces_not_sent", error=error, do="see that POSTLANE_TRACES_URL answers, or take it away")
        self._refused = not taken

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.place),
            parent=_context(Place(span.place.trace, span.parent)) if span.parent else None,
            resource=self._resource,
            attributes=dict(span.about),
            links=[Link(_context(place)) for place in span.links],
            kind=SpanKind[span.kind.upper()],
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR, span.trouble) if span.trouble else Status(),
            start_time=span.begun,
            end_time=max(span.begun, span.ended),
        )


class _Session(requests.Session):
    """Reads a bounded part of an answer, within a time for all of it, and goes nowhere else for one."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: what is at another address is not the collector that was named."""
        return None

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        """The answer without what it says. Raises RequestException for one that leads elsewhere."""
        response = super().send(request, **(more | {"stream": True}))
        with contextlib.closing(response), contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
            _read_away(response.raw)
        response.raw = io.BytesIO()
        if response.is_redirect:
            raise requests.TooManyRedirects(f"the collector leads to {response.headers['location']}")
        return response


class _Adapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **more: Any) -> Any:
        """A pool of connections that wait for the head of an answer so long and no longer."""
        pool = super().get_connection_with_tls_context(*args, **more)
        pool.ConnectionCls = _Https if pool.scheme == "https" else _Http
        return pool


class _Http(HTTPConnection):
    def getresponse(self) -> Any:
        """A time-out of a socket begins anew with each byte."""
        with _hung_up(self.sock.fileno()):
            return super().getresponse()


class _Https(HTTPSConnection):
    def getresponse(self) -> Any:
        """As above."""
        with _hung_up(self.sock.fileno()):
            return super().getresponse()


def _read_away(raw: urllib3.HTTPResponse) -> None:
    if raw.closed:  # there is nothing in it
        return
    left = ANSWER_BYTES
    with _hung_up(raw.fileno()):
        while left > 0 and (part := raw.read1(left, decode_content=False)):
            left -= len(part)


@contextlib.contextmanager
def _hung_up(file: int) -> Iterator[None]:
    """This socket is hung up when the block takes too long."""
    with socket.socket(fileno=os.dup(file)) as own:
        timer = threading.Timer(TIMEOUT_SECONDS, _hang_up, [own])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed meanwhile
        connection.shutdown(socket.SHUT_RDWR)


def _about(service: str) -> dict[str, str]:
    """What OpenTelemetry calls a resource. The kind of a process is its service, without its number."""
    host = socket.gethostname()
    return {
        "service.name": f"postlane-{service.rstrip('0123456789').rstrip('-')}",
        "service.version": version(),
        "service.instance.id": f"{host}/{service}",
        "host.name": host,
    }


def _context(place: Place) -> SpanContext:
    return SpanContext(place.trace, place.span, is_remote=True, trace_flags=_SAMPLED)
