"""`/metrics` (Prometheus) and `/healthz` of one process, and the buckets shared by its histograms.

Each process has one registry and one port; metrics themselves are declared beside the code that moves them. Processes
that share one port (`web/server`) share their figures as well: which of them is asked is chance.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from core.own_metrics import FOLDER, Together

STEP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""Seconds; for steps inside a process."""

DELIVERY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 14400)
"""Seconds; from acceptance to delivery."""


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Processes that are started in this block count together. What one has counted that ends stays, so that counters
    only grow."""
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory(prefix="postlane-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
            if before is not None:
                os.environ[FOLDER] = before


def told() -> bytes:
    """What `/metrics` answers: of this process, or of all that count together."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
    together.register(Together(folder))
    return generate_latest(together)


def serve(host: str, port: int, healthy: Callable[[], str]) -> ThreadingHTTPServer:
    """Answer `/metrics` and `/healthz` in a thread. `healthy` returns "" or what is wrong (then 503). Port 0 takes a
    free one: read it from `server_address`."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # a client that says nothing may not keep its thread for ever

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, told(), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                trouble = healthy()
                self._answer(503 if trouble else 200, (trouble or "ok").encode() + b"\n", "text/plain")
            else:
                self._answer(404, b"try /metrics or /healthz\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Scrapes are not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
