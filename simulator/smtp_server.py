"""The sockets of the simulated mail hosts: listening, TLS, waiting, hanging up.

Drives one `SmtpSession` per connection and understands nothing of SMTP itself. Binds only the loopback addresses it is
given by `simulator/main.py`.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import cast

from simulator.mailroom import Mailroom, Visit
from simulator.model import Door
from simulator.smtp_session import Next, SmtpSession

_log = logging.getLogger(__name__)

IDLE_SECONDS = 300.0
"""RFC 5321 4.5.3.2.7: a server waits at least five minutes for the next command."""
_SWEEP_SECONDS = 10.0
_LINGER_SECONDS = 2.0
"""How long a client may go on sending after it was told 421, before the socket is closed under it."""
_HANDSHAKE_SECONDS = 30.0
_WAITING_OCTETS = 1024 * 1024
_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
"""TLS record: alert, fatal, handshake_failure (RFC 8446 6)."""


class SmtpServer:
    """All listening doors. Start once, stop once."""

    def __init__(self, mailroom: Mailroom, tls_context: Callable[[Door], ssl.SSLContext]) -> None:
        self.mailroom = mailroom
        self.tls_context = tls_context
        self.connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def listen(self, doors: Sequence[Door], port: int) -> int:
        """Listen at every door on one port (0: a free one). The port; raises OSError, with nothing left listening."""
        loop = asyncio.get_running_loop()
        try:
            for door in doors:
                server = await loop.create_server(self._factory(door), door.address, port, backlog=1024)
                self._servers.append(server)
                port = port or int(server.sockets[0].getsockname()[1])
        except OSError:
            await self._close_servers()
            raise
        self._sweeper = loop.create_task(self._sweep())
        return port

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._close_servers()

    def _factory(self, door: Door) -> Callable[[], "Connection"]:
        return lambda: Connection(self, door)

    async def _close_servers(self) -> None:
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for connection in list(self.connections):  # newer Pythons wait for these in wait_closed
            connection.cut()
        await asyncio.gather(*(server.wait_closed() for server in servers))

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for connection in list(self.connections):
                if loop.time() - connection.last_heard > IDLE_SECONDS:
                    connection.cut()


class Connection(asyncio.Protocol):
    """One client. Lives from `connection_made` to `connection_lost`."""

    def __init__(self, server: SmtpServer, door: Door) -> None:
        self._server = server
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: SmtpSession | None = None
        self._upgrade: asyncio.Task[None] | None = None
        self._held: list[bytes] | None = None
        self._breaking = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self.last_heard = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        peer = transport.get_extra_info("peername")
        self._server.connections.add(self)
        if not peer:  # gone before it was accepted
            self._transport.abort()
            return
        self._session = SmtpSession(self._server.mailroom, Visit(self._door, peer[0]))
        self._session.greet()
        self._act()

    def data_received(self, data: bytes) -> None:
        self.last_heard = self._loop.time()
        if self._closing or self._session is None:
            return
        if self._breaking:
            self._fail_handshake()
        elif self._held is not None:
            # Inside TLS, but `start_tls` has not yet handed over the transport to answer on.
            self._held.append(data)
        else:
            self._session.receive(data)
            self._act()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._upgrade is not None:
            self._upgrade.cancel()

    def pause_writing(self) -> None:
        # A client that does not read its replies is not read either, so that nothing piles up.
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def cut(self) -> None:
        """End the connection at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _act(self) -> None:
        """Write what the session said and do what it asks for."""
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        output = session.take_output()
        if output:
            transport.write(output)
        if session.next is Next.READ:
            return
        if session.next is Next.WAIT:
            self._wait(session, transport)
        elif session.next is Next.STARTTLS:
            transport.pause_reading()
            self._held = []
            self._upgrade = self._loop.create_task(self._start_tls(session, transport))
        elif session.next is Next.BREAK_TLS:
            self._breaking = True
        elif session.next is Next.LINGER:
            self._linger(transport)
        else:
            self._closing = True
            transport.close()

    def _wait(self, session: SmtpSession, transport: asyncio.Transport) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(session.delay, self._wake)
        if session.buffered > _WAITING_OCTETS:
            transport.pause_reading()

    def _wake(self) -> None:
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        self._timer = None
        session.resume()
        transport.resume_reading()
        self._act()

    def _linger(self, transport: asyncio.Transport) -> None:
        # Closing with unread input makes the kernel send RST, which can destroy the 421 on its way (RFC 2525 2.17).
        self._closing = True
        if transport.can_write_eof():
            transport.write_eof()
        self._timer = self._loop.call_later(_LINGER_SECONDS, transport.close)

    def _fail_handshake(self) -> None:
        assert self._transport is not None
        self._transport.write(_FATAL_ALERT)
        self._linger(self._transport)

    async def _start_tls(self, session: SmtpSession, transport: asyncio.Transport) -> None:
        context = self._server.tls_context(self._door)
        try:
            secured = await self._loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )
        except OSError as error:  # ssl.SSLError and ConnectionError are OSErrors
            _log.debug("handshake failed: %s", error)
            self.cut()
            return
        if secured is None:  # the connection was lost during the handshake
            return
        self._transport = secured
        held, self._held, self._upgrade = self._held or [], None, None
        session.tls_established()
        self._server.mailroom.note_tls(session.visit)
        for data in held:
            self.data_received(data)
