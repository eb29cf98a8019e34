"""The load generator: responses in pieces, refusals that stop a run, the fixed pace."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.errors import BenchError
from bench.load import HttpClient, clients, parse_response, post_all, post_for, post_paced

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n[1,2,3]"


@pytest.mark.parametrize("cut", range(len(_OK)))
def test_a_response_is_read_when_all_of_it_is_there(cut: int) -> None:
    assert parse_response(_OK[:cut]) is None


def test_what_follows_a_response_is_kept() -> None:
    assert parse_response(_OK + b"HTTP/1.1 5") == (200, b"[1,2,3]", b"HTTP/1.1 5")


def test_a_response_without_length_is_refused() -> None:
    with pytest.raises(BenchError, match="Content-Length"):
        parse_response(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


class _Api:
    """A server that counts requests, answers with a status and takes its time."""

    def __init__(self, status: int = 200, delay: float = 0.0) -> None:
        self.requests: list[bytes] = []
        self.served: list[asyncio.Task[None] | None] = []
        self.most_at_once = 0
        self._at_once = 0
        self._status = status
        self._delay = delay

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_length = b"content-length: "
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(with_length)[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                await asyncio.sleep(self._delay)
                self._at_once -= 1
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\n{}" % self._status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.served.append(asyncio.current_task())


@asynccontextmanager
async def _connected(api: _Api, count: int) -> AsyncIterator[list[HttpClient]]:
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with clients(f"http://127.0.0.1:{port}", "pl_token", count) as opened:
            yield list(opened)
    finally:
        server.close()
        await _until_served(api, count)


async def _until_served(api: _Api, count: int) -> None:
    for _ in range(200):
        if len(api.served) == count:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)


async def test_post_all_sends_every_body_once_with_the_key() -> None:
    api = _Api()
    async with _connected(api, 3) as opened:
        answers = await post_all(opened, "/emails", (b"%d" % n for n in range(50)))
    assert len(answers) == 50
    assert sorted(int(request.rpartition(b"\r\n\r\n")[2]) for request in api.requests) == list(range(50))
    assert all(request.startswith(b"POST /emails HTTP/1.1\r\n") for request in api.requests)
    assert all(b"Authorization: Bearer pl_token\r\n" in request for request in api.requests)
    assert all(answer.asked <= answer.answered for answer in answers)


async def test_each_connection_has_one_request_under_way() -> None:
    api = _Api(delay=0.01)
    async with _connected(api, 4) as opened:
        await post_all(opened, "/emails", (b"x" for _ in range(20)))
    assert api.most_at_once == 4


async def test_a_refusal_stops_the_run() -> None:
    async with _connected(_Api(status=429), 1) as opened:
        with pytest.raises(BenchError, match="answered 429"):
            await post_all(opened, "/emails", iter([b"x"]))


async def test_a_lost_connection_stops_the_run() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with clients(url, "pl_token", 1) as opened:
        with pytest.raises(BenchError, match="closed the connection"):
            await asyncio.wait_for(post_all(opened, "/emails", iter([b"x"])), 5)
    server.close()


async def test_post_for_stops_in_time() -> None:
    async with _connected(_Api(delay=0.01), 2) as opened:
        begun = time.monotonic()
        answers = await post_for(opened, "/emails", (b"%d" % n for n in itertools.count()), 0.2)
        assert 0.2 <= time.monotonic() - begun < 2
    assert len(answers) <= 42


async def test_a_slow_answer_does_not_slow_the_pace() -> None:
    api = _Api(delay=0.2)
    async with _connected(api, 20) as opened:
        answers = await post_paced(opened, [(str(n), b"x") for n in range(10)], 100.0, lambda: None)
    assert set(answers) == {str(n) for n in range(10)}
    assert api.most_at_once == 10


async def test_the_pace_gives_up_when_every_connection_waits() -> None:
    async with _connected(_Api(delay=1.0), 1) as opened:
        with pytest.raises(BenchError, match="wait for the API"):
            await post_paced(opened, [("a", b"x"), ("b", b"x")], 1000.0, lambda: None)
