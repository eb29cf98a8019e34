"""HTTP/1.1 of uvicorn and httptools with bounds: the size of a head, deadlines, and a place among the open connections.

The seconds stand in `web/connections.ConnectionLimits`. Between requests uvicorn's keep-alive counts. What stands
between the chunks of a body counts as head: extensions and trailers are bounded too.
"""

from asyncio import AbstractEventLoop, Transport
from typing import Any, Final

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from web.connections import ConnectionLimits, Connections
from web.edge import LASTS

HEAD_BYTES: Final = 64 * 1024
BODY_BYTES_A_SECOND: Final = 16 * 1024
_FRAME: Final = 8
"""Bytes of framing allowed for one byte of a body: five are needed when every chunk holds one."""

_REFUSALS: Final = {
    400: ("Bad Request", "This is not an HTTP request that can be understood."),
    408: ("Request Timeout", "The request did not arrive in time."),
    431: ("Request Header Fields Too Large", f"The head of a request may have {HEAD_BYTES:,} bytes."),
    503: ("Service Unavailable", "Too many connections are open. Use one for many requests, or try again."),
}
_NAMES: Final = {400: "validation_error", 408: "request_timeout", 431: "headers_too_large", 503: "service_unavailable"}


class BoundedConfig(Config):
    """uvicorn's configuration with the limits of connections. It is sent to processes, so they count what is theirs."""

    def __init__(self, app: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(app, http=BoundedProtocol, **options)
        self.limits = limits
        self._connections: Connections | None = None

    def connections(self, loop: AbstractEventLoop) -> Connections:
        """Those of this process."""
        if self._connections is None:
            self._connections = Connections(self.limits, loop)
        return self._connections


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open = config.connections(self.loop)
        self._limits = config.limits
        self._since = self.loop.time()
        """When the present phase began."""
        self._in_head = True
        self._in_body = False
        self._begun = False
        """The first byte of the present head is here."""
        self._head = 0
        """Bytes of the present head, or of what frames the present body."""
        self._body = 0
        self._unread_since: float | None = None

    # What `Connections` asks

    @property
    def idle_since(self) -> float | None:
        """Since when no request waits for its answer. A head that is not complete, or the rest of a body that was
        answered already (401, 413), is no work."""
        return self._since if self._answered else None

    def overdue(self, now: float) -> bool:
        """Whether the client has had its time for head, body or reading the answer."""
        if self._unread_since is not None:
            return now - self._unread_since > self._limits.answer_seconds
        if self._in_body:
            # While the application does not take more, it is not the client that is slow.
            allowed = self._limits.body_seconds + self._body / BODY_BYTES_A_SECOND
            return not self.flow.read_paused and now - self._since > allowed
        return self._in_head and now - self._since > self._limits.head_seconds

    def end(self) -> None:
        """408 where an answer can still be given; then the connection is gone."""
        if self._unread_since is not None:
            self.transport.abort()
        else:
            self._refuse(408)

    def shutdown(self) -> None:
        """The process ends; an answer that goes on until its client leaves ends with it."""
        super().shutdown()
        if not self._answered and self.cycle.scope.get(LASTS):
            self.transport.close()

    @property
    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def _may_answer(self) -> bool:
        """Whether an error of ours would be taken for the answer to what it is about."""
        if self._in_body:
            return not self.pipeline and not self.cycle.response_started
        return self._begun and self._answered

    # What asyncio calls

    # asyncio declares BaseTransport, of which one cannot write; TCP and TLS always give this one.
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take a place, or say that there is none."""
        super().connection_made(transport)
        if not self._open.admit(self, self.client[0] if self.client else ""):
            self._answer(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._open.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser no more than what the head may still have."""
        while data and not self.transport.is_closing():
            piece = data[: max(1, self._allowance())]
            data = data[len(piece) :]
            self._feed(piece)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._unread_since = None
        super().resume_writing()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins; leading line breaks of a connection belong to none."""
        self._begun = True
        if not self._in_head:
            self._in_head, self._since, self._head = True, self.loop.time(), 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here; the body has its own time."""
        self._in_head, self._begun, self._in_body = False, False, True
        self._since, self._head, self._body = self.loop.time(), 0, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count it."""
        self._body += len(body)
        self._head -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here; what follows is the next one's head."""
        self._in_body = False
        self._since = self.loop.time()
        super().on_message_complete()

    def _allowance(self) -> int:
        if self._in_body:
            return HEAD_BYTES
        return HEAD_BYTES - self._head if self._in_head else HEAD_BYTES

    def _feed(self, piece: bytes) -> None:
        waiting = not self._in_head and not self._in_body
        if waiting:  # the first bytes after a request: the next head begins
            self._in_head, self._since, self._head = True, self.loop.time(), 0
        self._head += len(piece)
        super().data_received(piece)
        if self._head >= HEAD_BYTES + _FRAME * (self._body if self._in_body else 0) and (
            self._in_head or self._in_body
        ):
            self._refuse(431)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes that are no HTTP; in our words."""
        self._refuse(400)

    def _refuse(self, status: int) -> None:
        if self._may_answer:
            self._answer(status)
        else:
            self.transport.close()

    def _answer(self, status: int) -> None:
        """An error of ours, written by hand: no application knows of this request. Then the connection is closed."""
        reason, text = _REFUSALS[status]
        body = f'{{"statusCode":{status},"name":"{_NAMES[status]}","message":"{text}"}}'
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        retry = "retry-after: 1\r\n" if status == 503 else ""
        self.transport.write(f"{head}{retry}connection: close\r\n\r\n{body}".encode())
        self.transport.close()
