"""A collector of traces on loopback: takes what OTLP over HTTP brings, hangs, or refuses. `noting`: in one process."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from core import tracing
from core.tracing import Span

SERVER, CLIENT = 2, 3
"""Kinds of spans, by their number."""
ERROR = 2


@contextlib.contextmanager
def noting(share: float = 0.0) -> Iterator[list[Span]]:
    """Traces are on during the block; what this process has noted."""
    found: list[Span] = []
    tracing.begin(found.append, share)
    try:
        yield found
    finally:
        tracing.leave_off()


@dataclass(frozen=True, slots=True)
class Got:
    """A span as it came."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    kind: int
    about: Mapping[str, Any]
    links: Sequence[tuple[str, str]]
    failed: bool
    begun: int
    ended: int


class Collector:
    """What came to it. `hang` keeps whoever comes waiting until `go_on`."""

    def __init__(self) -> None:
        self.spans: list[Got] = []
        self.requests = 0
        self.status = 200
        self._free = threading.Event()
        self._free.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """As the setting has it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hang(self) -> None:
        """Take connections and say nothing."""
        self._free.clear()

    def go_on(self) -> None:
        """Answer again, also those that wait."""
        self._free.set()

    def of(self, trace: str) -> list[Got]:
        """The spans of a trace, in the order of their beginning."""
        return sorted((one for one in self.spans if one.trace == trace), key=lambda one: one.begun)

    def take(self, path: str, body: bytes) -> int:
        """One request; the status to answer with."""
        self.requests += 1
        self._free.wait(60)
        if self.status == 200 and path == "/v1/traces":
            self.spans.extend(_spans(body))
        return self.status

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with contextlib.suppress(OSError):  # whoever asked may have given up
                self.send_response(collector.take(self.path, body))
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """No line."""

    return Handler


def _spans(body: bytes) -> Iterator[Got]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # of the extra

    request = ExportTraceServiceRequest.FromString(body)
    for one in request.resource_spans:
        service = _values(one.resource.attributes)["service.name"]
        for scope in one.scope_spans:
            for s in scope.spans:
                links = [(link.trace_id.hex(), link.span_id.hex()) for link in s.links]
                yield Got(
                    service, s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), int(s.kind),
                    _values(s.attributes), links, s.status.code == ERROR, s.start_time_unix_nano, s.end_time_unix_nano,
                )  # fmt: skip


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, cast("str", one.value.WhichOneof("value"))) for one in attributes}
