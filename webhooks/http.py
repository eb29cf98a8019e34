"""HTTP/1.1 as a webhook needs it: a POST with a small body over a kept connection, and the beginning of the answer.

A connection is made to an address that the caller has judged, never to a name. There are no redirects, cookies, proxies
and no compression here. A server that says more than it was asked loses its connection. Parsing is httptools'.

A client of our own, because an application may want to be told of everything, which is two requests a mail: those of a
general client took a third of what sending the mail takes (docs/decisions/0013-dependencies.md).
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

import httptools

Key = tuple[str, str, int]
"""Scheme, host as the URL names it, port: what connections are kept by."""

SECONDS: Final = 15.0
"""For an answer: the least that Standard Webhooks asks for."""
KEPT_SECONDS: Final = 30.0
"""An idle connection is kept for so long."""
BODY_BYTES: Final = 1000
"""Of an answer that are kept; a connection with more to come is closed."""
_ANSWER_BYTES: Final = 64 * 1024
"""Of an answer in all, before enough of its body has come: heads, trailers and chunks have no end of their own."""
_COMMON: Final = "content-type: application/json\r\nuser-agent: Postlane-Webhooks/1\r\naccept-encoding: identity\r\n"


class NoAnswerError(OSError):
    """The connection ended, or what came over it is no answer."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._asked = False
        self._watch: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._closed = False
        self._size = 0
        self._headed = False
        self._last: bytes | None = None
        """An answer that came whole, and nothing behind it. Who is told of much gives the same one again and again: it
        need not be read to say the same, and leaves the parser where it is, between two answers."""
        self._begin()
        self.idle_since = 0.0

    def _begin(self) -> None:
        self.status = 0
        self.retry_after = ""
        self.body = b""

    @property
    def untouched(self) -> bool:
        """Not a byte of an answer has come."""
        return self._size == 0

    @property
    def usable(self) -> bool:
        """Whether another request may go over it."""
        return not self._closed and not self._transport.is_closing()

    async def post(self, request: bytes, began: float) -> None:
        """Send, and return when the answer is in `status`, `retry_after` and `body`. Raises NoAnswerError, and
        TimeoutError `SECONDS` after it `began`."""
        self._size = 0
        self._headed = False
        waiter = self._waiter = self._loop.create_future()
        self._asked = True
        self._until = began + SECONDS
        if self._watch is None:  # one timer for many requests, most of which take a millisecond
            self._watch = self._loop.call_later(SECONDS, self._look)
        self._transport.write(request)
        try:
            await waiter
        finally:
            if self._asked or waiter.cancelled():  # nobody waits any more
                self._asked = False
                self.close()

    def close(self) -> None:
        """At once: nothing more is wanted of it."""
        self._closed = True
        self._transport.abort()

    def _look(self) -> None:
        """Whether the answer takes too long."""
        self._watch = None
        if self._closed or not self._asked:
            return
        left = self._until - time.monotonic()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
            return
        self._end(TimeoutError())
        self.close()

    # asyncio's side

    # asyncio declares BaseTransport, of which one cannot write; TCP and TLS always give this one.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._asked:
            self.close()
            return
        first = not self._size
        self._size += len(data)
        if first:
            if data == self._last:
                self._end(None)
                return
            self._begin()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("what it answers is not HTTP/1.1")
            self.close()  # also when an answer came before it
        if self._size > _ANSWER_BYTES:
            self._fail("its answer is too long")
        self._last = data if first and not self._asked and not self._closed else None

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        if self._headed:
            self._answered(keep=False)  # a body whose end is that of the connection
        else:
            self._fail(str(error) if error else "it closed the connection without an answer")

    # httptools' side

    def on_message_begin(self) -> None:
        if not self._asked:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._asked and name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self._asked:
            return
        self.status = self._parser.get_status_code()
        self._headed = self.status >= 200

    def on_body(self, body: bytes) -> None:
        if not self._asked:
            return
        self.body += body[: BODY_BYTES - len(self.body)]
        if len(self.body) >= BODY_BYTES:
            self._answered(keep=False)

    def on_message_complete(self) -> None:
        if self._headed:  # else it only said that an answer will come
            self._answered(keep=self._parser.should_keep_alive())

    def _answered(self, *, keep: bool) -> None:
        if self._asked:
            self._end(None)
            if not keep:
                self.close()

    def _fail(self, why: str) -> None:
        if self._asked:
            self._end(NoAnswerError(why))
            self.close()

    def _end(self, error: OSError | None) -> None:
        """Let go of whoever asked."""
        self._asked = False
        if self._waiter is None or self._waiter.done():
            return
        if error is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(error)


class Kept:
    """Connections that wait for the next request."""

    def __init__(self) -> None:
        self._idle: dict[Key, list[Connection]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, key: Key, now: float) -> Connection | None:
        """The one that was used last."""
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.usable and now - connection.idle_since < KEPT_SECONDS:
                return connection
            connection.close()
        return None

    def put(self, key: Key, connection: Connection, now: float) -> None:
        """Keep it, if it can be used again."""
        if not connection.usable:
            return
        connection.idle_since = now
        self._idle.setdefault(key, []).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._sweep_old)

    def close(self) -> None:
        """All of them."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._close_but(lambda _: False)

    def _sweep_old(self) -> None:
        self._sweep = None
        oldest = time.monotonic() - KEPT_SECONDS
        self._close_but(lambda connection: connection.usable and connection.idle_since > oldest)
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._sweep_old)

    def _close_but(self, stays: Callable[[Connection], bool]) -> None:
        for key, idle in list(self._idle.items()):
            for connection in idle:
                if not stays(connection):
                    connection.close()
            self._idle[key] = [connection for connection in idle if stays(connection)]
            if not self._idle[key]:
                del self._idle[key]


def request(head: str, signed: str, body: bytes) -> bytes:
    """A POST, whole: its first lines (`targets.request_head`), those that sign it, and its body."""
    return f"{head}{_COMMON}{signed}content-length: {len(body)}\r\n\r\n".encode("ascii") + body


async def connect(address: str, port: int, tls: ssl.SSLContext | None, name: str) -> Connection:
    """A connection to an address; with `tls`, its certificate must be of this name. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        Connection, address, port, ssl=tls, server_hostname=name if tls else None
    )
    return connection
