"""The load generator: raw HTTP/1.1 over kept-open connections, one request at a time on each.

Owns no process and no event loop. It does as little as it can for a request, because it shares the cores with what it
measures; `cases` states the CPU it took.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.errors import BenchError


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. Times are monotonic seconds."""

    status: int
    body: bytes
    asked: float
    answered: float


class HttpClient(asyncio.Protocol):
    """One connection. Await one `post` at a time."""

    def __init__(self, host: str, token: str) -> None:
        self._head = (
            f"Host: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._buffer = b""
        self._waiter: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a client's is a Transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        parsed = parse_response(self._buffer)
        if parsed is None or self._waiter is None:
            return
        status, body, self._buffer = parsed
        waiter, self._waiter = self._waiter, None
        if not waiter.done():
            waiter.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BenchError(f"the API closed the connection: {exc or 'without a reason'}"))

    async def post(self, path: str, body: bytes) -> Answer:
        """One POST. BenchError when the connection is lost."""
        self._waiter = asyncio.get_running_loop().create_future()
        asked = time.monotonic()
        self._transport.write(b"POST %b HTTP/1.1\r\n%b%d\r\n\r\n%b" % (path.encode(), self._head, len(body), body))
        status, answer = await self._waiter
        return Answer(status, answer, asked, time.monotonic())

    async def get(self, path: str, head: str) -> Answer:
        """One GET with these header lines and no key. BenchError when the connection is lost."""
        self._waiter = asyncio.get_running_loop().create_future()
        asked = time.monotonic()
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        status, answer = await self._waiter
        return Answer(status, answer, asked, time.monotonic())

    def close(self) -> None:
        self._transport.close()


def parse_response(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """Status, body and what follows it, once the whole response is there. Needs a Content-Length, as the API always
    gives; BenchError for a response without one."""
    head, found, rest = buffer.partition(b"\r\n\r\n")
    if not found:
        return None
    lower = head.lower()
    _, has_length, after = lower.partition(b"content-length:")
    if not has_length:
        raise BenchError(f"a response without Content-Length: {head[:200]!r}")
    length = int(after.split(b"\r\n", 1)[0])
    if len(rest) < length:
        return None
    return int(head.split(b" ", 2)[1]), rest[:length], rest[length:]


@asynccontextmanager
async def clients(url: str, token: str, count: int) -> AsyncIterator[Sequence[HttpClient]]:
    """`count` open connections to the API at `url` (`http://host:port`)."""
    address = url.partition("://")[2]
    host, _, port = address.partition(":")
    loop = asyncio.get_running_loop()
    opened: list[HttpClient] = []
    try:
        for _ in range(count):
            _, client = await loop.create_connection(lambda: HttpClient(address, token), host, int(port))
            opened.append(client)
        yield opened
    finally:
        for client in opened:
            client.close()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next round


async def post_all(connections: Sequence[HttpClient], path: str, bodies: Iterator[bytes]) -> list[Answer]:
    """Post all bodies, each connection taking the next when its last one is answered. BenchError unless all are 200."""
    answers: list[Answer] = []

    async def work(client: HttpClient) -> None:
        for body in bodies:
            answers.append(accepted(await client.post(path, body)))

    await asyncio.gather(*(work(client) for client in connections))
    return answers


async def post_for(
    connections: Sequence[HttpClient], path: str, bodies: Iterator[bytes], seconds: float
) -> list[Answer]:
    """Like `post_all`, with as many bodies as go into `seconds`; requests under way at the end are waited for."""
    ends = time.monotonic() + seconds
    return await post_all(connections, path, _until(ends, bodies))


async def get_for(
    connections: Sequence[HttpClient], paths: Iterator[str], head: Callable[[int], str], seconds: float
) -> list[Answer]:
    """GET as many paths as go into `seconds`, each with the header lines of its number."""
    ends, answers, numbers = time.monotonic() + seconds, list[Answer](), itertools.count()

    async def work(client: HttpClient) -> None:
        while time.monotonic() < ends:
            answers.append(await client.get(next(paths), head(next(numbers))))

    await asyncio.gather(*(work(client) for client in connections))
    return answers


def _until(ends: float, bodies: Iterator[bytes]) -> Iterator[bytes]:
    for body in bodies:
        if time.monotonic() >= ends:
            return
        yield body


async def post_paced(
    connections: Sequence[HttpClient],
    bodies: Sequence[tuple[str, bytes]],
    rate: float,
    check: Callable[[], None],
) -> dict[str, Answer]:
    """Post single emails (key, body) at a fixed rate a second, whether or not earlier ones are answered: a slow answer
    does not slow the load. BenchError when no connection is free: the API is far behind then."""
    free = list(connections)
    answers: dict[str, Answer] = {}
    under_way: list[asyncio.Task[None]] = []

    async def one(key: str, body: bytes, client: HttpClient) -> None:
        answers[key] = accepted(await client.post("/emails", body))
        free.append(client)

    begun = time.monotonic()
    for number, (key, body) in enumerate(bodies):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        check()
        if not free:
            raise BenchError(f"all {len(connections)} connections wait for the API")
        under_way.append(asyncio.create_task(one(key, body, free.pop())))
    await asyncio.gather(*under_way)
    return answers


def accepted(answer: Answer) -> Answer:
    """The answer itself when it is a 200."""
    if answer.status != 200:
        raise BenchError(f"the API answered {answer.status}: {answer.body[:300].decode('utf-8', 'replace')}")
    return answer
