"""Spans reach a collector by OTLP; one that is away, refuses or hangs costs spans, and nobody who notes them waits."""

import contextlib
import itertools
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import pytest
from prometheus_client import REGISTRY

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `traces`: make setup")

from core import otlp
from core.otlp import Exporter
from core.tracing import Place, Span
from tests.collector import CLIENT, Collector, Got

ONE = Span(
    "send", Place(0xABC, 0xDEF), 0x123, 1_000, 2_000, {"postlane.code": 421, "server.address": "mx.example"}, "client",
    "421", [Place(0x1, 0x2)],
)  # fmt: skip


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(otlp, "TIMEOUT_SECONDS", 0.5)


def _counted(result: str) -> float:
    return REGISTRY.get_sample_value("postlane_trace_spans_total", {"result": result}) or 0.0


def _until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def test_a_span_arrives_as_it_is(collector: Collector) -> None:
    exporter, sent = Exporter(collector.url, "worker-transactional-0"), _counted("sent")
    exporter.start()
    exporter.put(ONE)
    _until(lambda: collector.spans)
    exporter.stop()
    about = {"postlane.code": 421, "server.address": "mx.example"}
    trace = "abc".zfill(32)
    assert collector.spans == [
        Got(
            "postlane-worker-transactional", "send", trace, "def".zfill(16), "123".zfill(16), CLIENT, about,
            [("1".zfill(32), "2".zfill(16))], True, 1_000, 2_000,
        )
    ]  # fmt: skip
    assert _counted("sent") - sent == 1


def test_what_waits_is_sent_when_the_process_ends(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "INTERVAL_SECONDS", 60.0)
    exporter = Exporter(collector.url, "api")
    exporter.start()
    exporter.put(ONE)
    exporter.stop()
    assert len(collector.spans) == 1


def test_a_collector_that_hangs_costs_spans_and_no_time(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue fills up, and what does not fit is counted; once it answers, what waited arrives."""
    monkeypatch.setattr(otlp, "WAITING", 100)
    monkeypatch.setattr(otlp, "TIMEOUT_SECONDS", 30.0)
    collector.hang()
    exporter, dropped = Exporter(collector.url, "api"), _counted("dropped")
    exporter.start()
    exporter.put(ONE)
    _until(lambda: collector.requests == 1)
    spent = time.thread_time()
    for _ in range(1000):
        exporter.put(ONE)
    assert time.thread_time() - spent < 1
    assert _counted("dropped") - dropped == 900
    started = time.monotonic()
    exporter.stop()
    assert time.monotonic() - started < 10, "the end of a process waits for no collector"
    collector.go_on()
    _until(lambda: len(collector.spans) == 101)


@pytest.mark.parametrize("status", [400, None])
def test_what_is_not_taken_is_counted_and_said_once(
    collector: Collector, capsys: pytest.CaptureFixture[str], status: int | None
) -> None:
    """Refused, or nobody there. Then it takes spans again."""
    collector.status = status or 200
    exporter = Exporter(collector.url if status else "http://127.0.0.1:1", "api")
    failed = _counted("failed")
    exporter.start()
    for _ in range(3):
        before = _counted("failed")
        exporter.put(ONE)
        _until(lambda before=before: _counted("failed") > before)  # type: ignore[misc]  # a default has no type
    assert _counted("failed") - failed == 3
    exporter.stop()
    assert capsys.readouterr().out.count("traces_not_sent") == 1
    assert collector.spans == []


OK = b"HTTP/1.1 200 OK\r\n"


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(bytes(100_000_000)) + packer.flush()


@contextlib.contextmanager
def _answering(parts: Callable[[], Iterable[bytes]]) -> Iterator[tuple[str, list[int]]]:
    """Somebody who answers each request with these bytes; its address, and how many bytes each connection took."""
    took: list[int] = []

    def one(there: socket.socket) -> None:
        with there, contextlib.suppress(OSError):
            there.settimeout(5)
            there.recv(65536)
            took.append(0)
            for part in parts():
                there.sendall(part)
                took[-1] += len(part)

    def serve() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", took
        listener.shutdown(socket.SHUT_RDWR)


def _endless() -> Iterable[bytes]:
    return itertools.chain([OK + b"connection: close\r\n\r\n"], itertools.repeat(b"x" * 65536, 16_000))


def _gzip() -> Iterable[bytes]:
    packed = _bomb()
    return [OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed]


def _dripping(head: bytes) -> Iterator[bytes]:
    yield head
    for _ in range(1000):
        time.sleep(0.1)
        yield b"x"


@pytest.mark.parametrize(
    ("parts", "result"),
    [
        (_endless, "sent"),
        (_gzip, "sent"),
        (lambda: _dripping(OK + b"content-length: 100000\r\n\r\n"), "sent"),
        (lambda: _dripping(OK + b"transfer-encoding: chunked\r\n\r\n"), "sent"),
        (lambda: _dripping(OK + b"x-endless: "), "sent"),
        (lambda: _dripping(b"H"), "failed"),
    ],
    ids=["endless", "gzip bomb", "body in drops", "chunks in drops", "head in drops", "status in drops"],
)
def test_an_answer_is_read_within_bounds(parts: Callable[[], Iterable[bytes]], result: str) -> None:
    """Memory and time: an answer's status is taken, and no more of the rest than a collector has to say."""
    _bomb()  # takes longer to make than to send
    with _answering(parts) as (url, took):
        exporter, before = Exporter(url, "api"), _counted(result)
        tracemalloc.start()
        started = time.monotonic()
        try:
            exporter._send([ONE])
            seconds, (_, most) = time.monotonic() - started, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert _counted(result) - before == 1
    assert seconds < 4 * otlp.TIMEOUT_SECONDS
    assert most < 10_000_000, "bytes of our own at one time, the bomb that lies ready among them"
    assert took[0] < 40_000_000, "what the system's own buffers hold, and no gigabyte"


def test_a_collector_that_leads_elsewhere_is_not_followed(collector: Collector) -> None:
    """What it leads to gets no spans and no key, and none counts as sent."""
    head = f"HTTP/1.1 307 there\r\nlocation: {collector.url}/v1/traces\r\ncontent-length: 0\r\n\r\n"
    with _answering(lambda: [head.encode()]) as (url, took):
        exporter, failed, sent = Exporter(url, "api"), _counted("failed"), _counted("sent")
        exporter._send([ONE])
    assert (_counted("failed") - failed, _counted("sent") - sent) == (1, 0)
    assert (len(took), collector.requests) == (1, 0)
