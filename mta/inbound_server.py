"""The inbound SMTP listeners themselves, on aiosmtpd and the process's one event loop (no Controller thread).

Owns connections: the gate, log-in (RFC 4954), STARTTLS (RFC 3207), bounds on commands and bytes, and a polite end. What
is answered is the handler's (`mta/inbound`). Called by `workers/inbound`.

aiosmtpd takes one command at a time (no PIPELINING) and 765 mails/s of 8 KB on the research machine. It bounds neither
connections nor their rate (`mta/inbound_gate` does), checks passwords without waiting, does not know the AUTH=
parameter, and reads a mail in small pieces: what is overridden below is for these.
"""

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, syntax

from core.errors import UnavailableError
from core.logs import get_logger
from mta.inbound import BounceHandler, SubmissionHandler
from mta.inbound_gate import Gate, GateLimits

_log = get_logger(__name__)

IDLE_SECONDS: Final = 300.0
"""Between commands, and for one DATA as a whole (RFC 5321 section 4.5.3.2.7 wants 5 minutes)."""
WRONG_KEY_SECONDS: Final = 1.0
"""Pause before 535. A connection may try five times; keys are random, so this only keeps the rate of asking down. No
address is locked out: behind one address there may be many applications, and one of them with an old key."""

SUBMISSION_GATE: Final = GateLimits(connections=200, connections_per_ip=100, new_per_minute=6_000)
"""Applications that open a connection per mail, a hundred a second, from one host."""
BOUNCE_GATE: Final = GateLimits(connections=200, connections_per_ip=20, new_per_minute=600)
_SUBMISSION_CALLS: Final = {"AUTH": 5, "MAIL": 5_000, "RCPT": 100_000, "DATA": 5_000, "RSET": 5_000, "NOOP": 1_000}
_BOUNCE_CALLS: Final = {"MAIL": 200, "RCPT": 400, "DATA": 200, "RSET": 200}

_WRONG_KEY: Final = "535 5.7.8 The password is not a valid API key"
_AUTH_PARAMETER: Final = re.compile(r"(?<=>) +AUTH=[!-~]+|(?<= )AUTH=[!-~]+ *", re.I)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a listener says about itself and asks of its clients."""

    hostname: str
    max_bytes: int
    """Of one mail. Submission announces it by SIZE (RFC 1870) and refuses more; of a bounce, so much is kept."""
    tls: ssl.SSLContext | None = None
    plain_log_in: bool = False
    """Take API keys without TLS: for a listener on a loopback address only."""


class _Connection(SMTP):
    """One client of either listener: counted at the gate, bounded in its commands, ended politely at a stop."""

    line_length_limit = 64 * 1024
    """For aiosmtpd the size of its read buffer; commands have limits of their own, lines are checked later."""
    cuts = False
    """Whether a mail that is too large is cut instead of refused."""

    def __init__(self, handler: Any, listener: "Listener", **options: Any) -> None:
        super().__init__(
            handler,
            hostname=listener.options.hostname,
            ident="ESMTP Postlane",
            enable_SMTPUTF8=True,
            tls_context=listener.options.tls,
            timeout=IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
            **options,
        )
        self.busy = False
        self._listener = listener
        self._address = ""
        self._entered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called a second time when STARTTLS is done: by then the connection has entered."""
        if not self._entered:
            peer = transport.get_extra_info("peername")
            self._address = str(peer[0]) if peer else ""
            reason = self._listener.gate.enter(self._address)
            if reason:
                writable = cast(asyncio.WriteTransport, transport)
                writable.write(f"421 4.7.0 {self.hostname} {reason}\r\n".encode())
                writable.close()
                return
            self._entered = True
            self._listener.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.left(self, self._address)
        if self._entered:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self._entered else False

    def dismiss(self) -> None:
        """Say that we are going (RFC 5321 section 3.8), and go."""
        transport = cast(asyncio.WriteTransport | None, self.transport)
        if transport is not None and not transport.is_closing():
            transport.write(f"421 4.3.2 {self.hostname} is stopping\r\n".encode())
            transport.close()

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        """Own reading: aiosmtpd's takes 2 KB at a time and refuses reports with long lines."""
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Send RCPT first")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self.busy = True
        try:
            await self.push(await self._answer(await self._read_mail()))
        finally:
            self.busy = False
        if self._listener.stopping:
            self.dismiss()

    async def _answer(self, mail: bytes | None) -> str:
        """Hand the mail over; the envelope is done with either way."""
        envelope = self.envelope
        assert envelope is not None
        try:
            if mail is None:
                return self._listener.too_large
            envelope.content = mail
            return str(await self._call_handler_hook("DATA"))
        finally:
            self.envelope = self._create_envelope()

    async def _read_mail(self) -> bytes | None:
        """The mail up to its final dot, dots unstuffed (RFC 5321 section 4.5.2). None: it was larger than is taken.

        It is read to its end in any case, because a client listens only then; what is too much is dropped at once.
        """
        most = self._listener.options.max_bytes
        mail, size, line_starts = bytearray(), 0, True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:
                piece = await self._reader.read(error.consumed)
            if line_starts:
                if piece == b".\r\n":
                    break
                piece = piece.removeprefix(b".")
            line_starts = piece.endswith(b"\r\n")
            size += len(piece)
            if len(mail) < most:
                mail += piece
        if size <= most:
            return bytes(mail)
        return bytes(mail[:most]) if self.cuts else None


class _SubmissionConnection(_Connection):
    """A client that logs in with an API key."""

    def __init__(self, handler: SubmissionHandler, listener: "Listener") -> None:
        self._log_in = handler.log_in
        super().__init__(
            handler,
            listener,
            data_size_limit=listener.options.max_bytes,
            auth_require_tls=not listener.options.plain_log_in,
            authenticator=_offered,
            command_call_limit={"*": 50, **_SUBMISSION_CALLS},
        )

    async def auth_PLAIN(self, _: object, args: list[str]) -> AuthResult:
        return await self._checked(await super().auth_PLAIN(_, args))

    async def auth_LOGIN(self, _: object, args: list[str]) -> AuthResult:
        return await self._checked(await super().auth_LOGIN(_, args))

    async def _checked(self, offered: AuthResult) -> AuthResult:
        """The real check: aiosmtpd's own authenticator cannot wait for a database."""
        if not offered.success:
            return offered
        credentials: LoginPassword = cast(LoginPassword, offered.auth_data)
        try:
            who = await self._log_in(credentials.password.decode("utf-8", "replace"))
        except UnavailableError as error:
            _log.warning("log_in_not_checked", error=str(error))
            return AuthResult(success=False, handled=False, message="454 4.7.0 Cannot check the API key just now")
        if who is None:
            await asyncio.sleep(WRONG_KEY_SECONDS)
            return AuthResult(success=False, handled=False, message=_WRONG_KEY)
        return AuthResult(success=True, auth_data=who)

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:
        """RFC 4954 section 5: who offers AUTH must understand the parameter AUTH=. Postfix sends it; aiosmtpd 1.4.6
        refuses it with 555."""
        await super().smtp_MAIL(_AUTH_PARAMETER.sub("", arg) if arg else arg)

    async def push(self, status: Any) -> None:
        """aiosmtpd's own refusal of a SIZE that is too large has no code of RFC 3463."""
        own = isinstance(status, str) and status.startswith("552 Error")
        await super().push(self._listener.too_large if own else status)


class _BounceConnection(_Connection):
    """A mail server that reports to us. Takes mail of any size, and keeps the beginning."""

    cuts = True

    def __init__(self, handler: BounceHandler, listener: "Listener") -> None:
        super().__init__(
            handler,
            listener,
            data_size_limit=None,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            command_call_limit={"*": 50, **_BOUNCE_CALLS},
        )


@dataclass(slots=True, eq=False)
class Listener:
    """One endpoint: `start`, read `port`, `stop`."""

    handler: SubmissionHandler | BounceHandler
    options: ServerOptions
    gate: Gate
    connections: set[_Connection] = field(default_factory=set)
    stopping: bool = False
    port: int = 0
    _empty: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError when the port cannot be had."""
        self._server = await asyncio.get_running_loop().create_server(self._connection, host, port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    @property
    def too_large(self) -> str:
        """The reply to a mail over the limit."""
        return f"552 5.3.4 The mail is larger than {self.options.max_bytes} bytes"

    async def stop(self, seconds: float) -> None:
        """Take no more connections, let mails that are being taken finish within `seconds`, end the rest."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in [c for c in self.connections if not c.busy]:
            connection.dismiss()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if self.connections else 0):
                await self._empty.wait()
        for connection in list(self.connections):
            if connection.transport is not None:
                cast(asyncio.WriteTransport, connection.transport).abort()

    def left(self, connection: _Connection, address: str) -> None:
        """A connection has ended; one that was never let in does not count."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.gate.leave(address)
        if self.stopping and not self.connections:
            self._empty.set()

    def _connection(self) -> _Connection:
        if isinstance(self.handler, SubmissionHandler):
            return _SubmissionConnection(self.handler, self)
        return _BounceConnection(self.handler, self)


def _offered(_s: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, auth_data: Any) -> AuthResult:
    """For aiosmtpd: pass on what the client offered, `_checked` decides."""
    return AuthResult(success=True, auth_data=auth_data)
