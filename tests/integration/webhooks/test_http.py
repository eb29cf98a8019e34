"""The bare protocol: what counts as an answer, what is kept open after it, and what is no answer at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from mta.dns_client import DnsClient
from mta.guard import networks
from webhooks import http, sending
from webhooks.health import Answer
from webhooks.sending import Sender
from webhooks.targets import Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Saying(asyncio.Protocol):
    """Says the next of these to whatever it is sent."""

    def __init__(self, said: Iterator[bytes | None], asked: list[bytes], requests: list[int], ends: bool) -> None:
        self._said, self._asked, self._requests, self._ends = said, asked, requests, ends

    # asyncio declares BaseTransport, of which one cannot write; TCP and TLS always give this one.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._number = len(self._requests)
        self._requests.append(0)

    def data_received(self, data: bytes) -> None:
        self._asked.append(data)
        self._requests[self._number] += 1
        turn = next(self._said)
        self._transport.write(turn or b"")
        if self._ends or turn is None:
            self._transport.close()


@asynccontextmanager
async def saying(
    *turns: bytes | None, ends: bool = False
) -> AsyncIterator[tuple[Callable[[], Awaitable[Answer]], list[int]]]:
    """Posts to a server that says these, one after the other; how many requests each of its connections brought."""
    asked, requests, said = list[bytes](), list[int](), iter(turns)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Saying(said, asked, requests, ends), "127.0.0.1", 0)
    target = Target("http", "127.0.0.1", server.sockets[0].getsockname()[1], "/hook?a=b")
    sender = Sender(DnsClient(["127.0.0.1:1"]), networks(["127.0.0.0/8"]))
    yield lambda: sender.post(target, "webhook-id: 1\r\n", b"{}"), requests
    await sender.close()
    server.close()
    for one in asked:
        assert one.startswith(b"POST /hook?a=b HTTP/1.1\r\nhost: 127.0.0.1:")
        assert one.endswith(b"webhook-id: 1\r\ncontent-length: 2\r\n\r\n{}")


async def test_a_connection_is_kept_for_the_next_request() -> None:
    chunked = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    async with saying(OK, chunked, early + OK, b"HTTP/1.1 204 No Content\r\n\r\n") as (post, requests):
        answers = [await post() for _ in range(4)]
    assert [(one.status, one.text) for one in answers] == [(200, "ok"), (503, "abcd"), (200, "ok"), (204, "")]
    assert answers[1].retry_after is not None
    assert answers[1].retry_after.total_seconds() == 7
    assert requests == [4]


async def test_answers_that_are_the_same_say_the_same() -> None:
    """Word for word what came before is not read again; what comes in between is."""
    troubled = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
    turns = troubled, troubled, OK, troubled, early, early, early, OK, OK + OK, OK, OK
    async with saying(*turns) as (post, requests):
        answers = [await post() for _ in turns]
    assert [one.text for one in answers] == ["busy", "busy", "ok", "busy", *["ok"] * 7]
    assert [one.status for one in answers] == [503, 503, 200, 503, *[200] * 7]
    assert [str(one.retry_after) for one in answers if one.retry_after] == ["0:00:07"] * 3
    assert requests == [9, 2]


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
        OK + b"nonsense",
    ],
)
async def test_it_is_not_kept_after_a_last_word_or_one_too_many(last: bytes) -> None:
    async with saying(last, OK) as (post, requests):
        assert [(one.status, one.text) for one in [await post(), await post()]] == [(200, "ok")] * 2
    assert requests == [1, 1]


async def test_a_kept_connection_that_was_given_up_is_no_failure() -> None:
    """Servers close idle connections when they like, which may be when the next request is on its way."""
    async with saying(OK, None, OK, None, None) as (post, requests):
        answers = [await post() for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, None]
    assert requests == [2, 2, 1]


async def test_the_end_of_the_connection_ends_an_answer_that_names_no_length() -> None:
    async with saying(b"HTTP/1.1 500 No\r\n\r\nbroken", ends=True) as (post, _):
        answer = await post()
    assert (answer.status, answer.text) == (500, "broken")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200", "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 100_000, "too long"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, "too long"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 100_000, "too long"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 100_000, "too long"),
    ],
)
async def test_what_is_no_answer(said: bytes, why: str) -> None:
    async with saying(said, ends=True) as (post, _):
        answer = await post()
    assert answer.status is None
    assert why in answer.error


@pytest.mark.parametrize("kept", [False, True])
async def test_who_does_not_answer_in_time_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """Over a connection that was kept for a while, too: its time begins with each request."""
    for module in (http, sending):
        monkeypatch.setattr(module, "SECONDS", 0.3)
    async with saying(*([OK, OK] if kept else []), b"HTTP/1.1 200 OK\r\n", OK) as (post, requests):
        for _ in range(2 if kept else 0):
            assert (await post()).good
            await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        answer = await post()
        assert 0.25 < asyncio.get_running_loop().time() - began < 5
        assert "no answer" in answer.error
        assert (await post()).good
    assert requests == ([3, 1] if kept else [1, 1])
