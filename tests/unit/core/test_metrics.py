"""`/metrics` and `/healthz` over HTTP."""

import http.client
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from prometheus_client import REGISTRY, Counter

from core import metrics

MOVED = Counter("postlane_test_moved_total", "Moved by this test")


class Health:
    """What the process says of itself."""

    trouble = ""

    def __call__(self) -> str:
        return self.trouble


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[ThreadingHTTPServer]:
    running = metrics.serve("127.0.0.1", 0, health)
    yield running
    running.shutdown()
    running.server_close()


def get(server: ThreadingHTTPServer, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=x"])
def test_metrics_are_those_of_the_registry(server: ThreadingHTTPServer, path: str) -> None:
    before = REGISTRY.get_sample_value("postlane_test_moved_total") or 0.0
    MOVED.inc(3)
    status, kind, body = get(server, path)

    assert status == 200
    assert kind.startswith("text/plain")
    assert f"postlane_test_moved_total {before + 3}" in body


def test_healthy_process_answers_200(server: ThreadingHTTPServer) -> None:
    assert get(server, "/healthz")[::2] == (200, "ok\n")


def test_trouble_is_503_and_said(server: ThreadingHTTPServer, health: Health) -> None:
    health.trouble = "the recorder has stopped"

    assert get(server, "/healthz")[::2] == (503, "the recorder has stopped\n")


def test_other_paths_are_not_found(server: ThreadingHTTPServer) -> None:
    assert get(server, "/")[0] == 404


@pytest.mark.parametrize("buckets", [metrics.STEP_BUCKETS, metrics.DELIVERY_BUCKETS])
def test_buckets_grow(buckets: tuple[float, ...]) -> None:
    assert list(buckets) == sorted(set(buckets))
