"""Bounds of HTTP on real sockets: heads without end in size and time, bodies that trickle, and crowds."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from web.connections import ConnectionLimits
from web.protocol import HEAD_BYTES
from web.server import Service, config_of

LIMITS = ConnectionLimits(total=6, per_client=6, head_seconds=0.6, body_seconds=0.6, answer_seconds=0.6)


def application() -> FastAPI:
    """Reads what it is told to read."""
    app = FastAPI()

    @app.get("/")
    async def hello() -> Response:
        return Response("hello")

    @app.post("/read")
    async def read(request: Request) -> Response:
        return Response(str(len(await request.body())))

    @app.post("/refuse")
    async def refuse() -> Response:
        return Response("no", 401)

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * 20_000_000)

    return app


@pytest.fixture
def server() -> Iterator[uvicorn.Server]:
    service = Service("Twin", "127.0.0.1", 0, make=application, factory="", limits=LIMITS)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    running = uvicorn.Server(config_of(service, application()))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield running
    running.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    found: int = server.servers[0].sockets[0].getsockname()[1]
    return found


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def rest(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:  # it closed while we were still sending
        pass
    return answer


def until_said(connection: socket.socket, end: bytes) -> bool:
    """Whether the answer ends so: its head and its body may come apart."""
    answer = b""
    while not answer.endswith(end):
        piece = connection.recv(65536)
        if not piece:
            return False
        answer += piece
    return True


def ask(connection: socket.socket, request: bytes = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n") -> bytes:
    connection.sendall(request)
    return connection.recv(65536)


def error(answer: bytes) -> tuple[int, str]:
    """Status and name; the body has to say the same."""
    status, body = int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["statusCode"] == status
    assert body["message"]
    assert b"connection: close" in answer
    return status, body["name"]


def head(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nhost: a\r\nx-fill: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


class TestHead:
    def test_up_to_64_kb_are_taken(self, port: int) -> None:
        with connect(port) as connection:
            assert b"200 OK" in ask(connection, head(HEAD_BYTES - 1))
            assert b"200 OK" in ask(connection), "and the connection goes on"

    @pytest.mark.parametrize("size", [HEAD_BYTES + 1, 3_000_000])
    def test_more_is_refused(self, port: int, size: int) -> None:
        with connect(port) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(head(size))
            answer = rest(connection)
            assert not answer or error(answer) == (431, "headers_too_large")
        with connect(port) as connection:
            assert b"200 OK" in ask(connection)

    def test_many_small_requests_at_once_are_no_large_head(self, port: int) -> None:
        one = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        count = 5 * HEAD_BYTES // 4 // len(one)
        with connect(port) as connection:
            connection.sendall(one * count + one.replace(b"host", b"connection: close\r\nhost"))
            assert rest(connection).count(b"200 OK") == count + 1

    @pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nx: y\r\n"])
    def test_it_has_a_deadline(self, port: int, start: bytes) -> None:
        with connect(port) as connection:
            connection.sendall(start)
            began = time.monotonic()
            answer = rest(connection)
            assert time.monotonic() - began < 5
        assert not answer if not start else error(answer) == (408, "request_timeout")

    def test_a_drip_does_not_move_it(self, port: int) -> None:
        with connect(port) as connection:
            connection.settimeout(0.1)
            connection.sendall(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            answer = b""
            while not answer and time.monotonic() - began < 5:
                try:
                    connection.sendall(b"a: b\r\n")
                    answer = connection.recv(65536)
                except TimeoutError:
                    continue
        assert error(answer) == (408, "request_timeout")

    def test_what_is_no_http_is_said_so(self, port: int) -> None:
        with connect(port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n: : :\r\n\r\n")
            assert error(rest(connection)) == (400, "validation_error")


class TestBody:
    START = b"POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n"

    def test_it_has_a_deadline(self, port: int) -> None:
        with connect(port) as connection:
            connection.sendall(self.START + b"a")
            assert error(rest(connection)) == (408, "request_timeout")

    def test_a_slow_line_is_enough(self, port: int) -> None:
        """64 KB are worth four seconds more."""
        size = 64 * 1024 + 1
        with connect(port) as connection:
            connection.sendall(b"POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
            connection.sendall(b"a" * (size - 1))
            time.sleep(1.5)
            connection.sendall(b"a")
            assert until_said(connection, str(size).encode())

    def test_chunks_may_be_small_and_their_frames_may_not_be_large(self, port: int) -> None:
        start = b"POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        with connect(port) as connection:
            connection.sendall(start + b"1\r\na\r\n" * 40_000 + b"0\r\n\r\n")
            assert until_said(connection, b"40000")
        with connect(port) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(start + (b"1;" + b"e" * 20_000 + b"\r\na\r\n") * 100)
            answer = rest(connection)
            assert not answer or error(answer) == (431, "headers_too_large")

    def test_the_rest_of_a_refused_body_is_not_waited_for_for_ever(self, port: int) -> None:
        with connect(port) as connection:
            connection.sendall(self.START.replace(b"/read", b"/refuse") + b"a")
            assert rest(connection).count(b"HTTP/1.1") == 1, "one request, one answer"


def test_an_answer_that_nobody_reads_is_dropped(server: uvicorn.Server, port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        assert connection.recv(1)
        deadline = time.monotonic() + 10
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.server_state.connections


def test_half_open_heads_keep_nobody_out(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect(port)).sendall(b"GET / HT")
        # The sixth place is the last of this client; the five are its own, so wait for none: one request must pass.
        assert b"200 OK" in ask(stack.enter_context(connect(port)))
        assert error(rest(stack.enter_context(connect(port)))) == (503, "service_unavailable")
