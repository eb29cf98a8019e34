"""`/metrics` (Prometheus) and `/healthz` of one process, and the buckets shared by its histograms.

Each process has one registry and one port; metrics themselves are declared beside the code that moves them.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

STEP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""Seconds; for steps inside a process."""

DELIVERY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 14400)
"""Seconds; from acceptance to delivery."""


def serve(host: str, port: int, healthy: Callable[[], str]) -> ThreadingHTTPServer:
    """Answer `/metrics` and `/healthz` in a thread. `healthy` returns "" or what is wrong (then 503). Port 0 takes a
    free one: read it from `server_address`."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0  # a client that says nothing may not keep its thread for ever

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
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
