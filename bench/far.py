"""A mail server at the other end of the world: half the round trip of delay in each direction, on loopback.

The server takes everything it is sent and counts; the proxy in front of it holds every piece of either direction back
for the same time. Both run in the caller's loop: at these rates they cost nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

_HOST = "127.0.0.1"
_ANSWERS = {
    b"MAIL": b"250 2.1.0 ok\r\n", b"RCPT": b"250 2.1.5 ok\r\n", b"RSET": b"250 2.0.0 ok\r\n",
    b"DATA": b"354 go on\r\n", b"QUIT": b"221 2.0.0 bye\r\n",
}  # fmt: skip


@dataclass(slots=True)
class Far:
    """Where it is, and what came in."""

    port: int = 0
    mails: int = 0
    connections: int = 0
    octets: int = 0
    """Of the mails alone."""


@asynccontextmanager
async def far(seconds: float, extensions: tuple[str, ...]) -> AsyncIterator[Far]:
    """A server that offers these, `seconds` of round trip away."""
    loop, found = asyncio.get_running_loop(), Far()
    server = await loop.create_server(lambda: _Server(found, extensions), _HOST, 0)
    behind = server.sockets[0].getsockname()[1]
    proxy = await loop.create_server(lambda: _Near(loop, behind, seconds / 2), _HOST, 0)
    found.port = proxy.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        proxy.close()
        server.close()


class _Server(asyncio.Protocol):
    """The server's end, without errors: the client is ours."""

    def __init__(self, found: Far, extensions: tuple[str, ...]) -> None:
        self._found = found
        self._buffer = b""
        self._left = 0
        self._in_data = False
        lines = ["far.bench.sim", *extensions]
        self._greeting = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"

    # asyncio declares BaseTransport, of which one cannot write; TCP always gives this one.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._found.connections += 1
        transport.write(b"220 far.bench.sim\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take():
            pass

    def _take(self) -> bool:
        if self._left:
            return self._take_chunk()
        if self._in_data:
            return self._take_body()
        line, found, rest = self._buffer.partition(b"\r\n")
        if found:
            self._buffer = rest
            self._command(line)
        return bool(found)

    def _take_chunk(self) -> bool:
        if len(self._buffer) < self._left:
            return False
        self._buffer, size, self._left = self._buffer[self._left :], self._left, 0
        self._taken(size)
        return True

    def _take_body(self) -> bool:
        body, found, rest = self._buffer.partition(b"\r\n.\r\n")
        if found:
            self._buffer, self._in_data = rest, False
            self._taken(len(body) + 2)
        return bool(found)

    def _taken(self, size: int) -> None:
        self._found.mails += 1
        self._found.octets += size
        self._transport.write(b"250 2.0.0 taken\r\n")

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"BDAT":
            self._left = int(line.split()[1])
            return
        self._in_data = verb == b"DATA"
        self._transport.write(self._greeting.encode() if verb == b"EHLO" else _ANSWERS[verb])
        if verb == b"QUIT":
            self._transport.close()


class _Near(asyncio.Protocol):
    """The proxy's end that the client sees. What is written to either side leaves after the delay, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, delay: float) -> None:
        self._loop, self._port, self._delay = loop, port, delay
        self._ahead: list[bytes] = []
        self._other: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as above
        self._transport = transport
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        back = lambda: _Back(self._later(self._transport))  # noqa: E731
        self._other, _ = await self._loop.create_connection(back, _HOST, self._port)
        for data in self._ahead:
            self._later(self._other)(data)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._ahead.append(data)
        else:
            self._later(self._other)(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._other is not None:
            self._loop.call_later(self._delay, self._other.close)

    def _later(self, transport: asyncio.Transport) -> Callable[[bytes], None]:
        """Writes to this one, delayed. Timers of equal length go off in the order they were set."""
        return lambda data: (self._loop.call_later(self._delay, transport.write, data), None)[1]


class _Back(asyncio.Protocol):
    """The proxy's end that the server sees."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def data_received(self, data: bytes) -> None:
        self._write(data)
