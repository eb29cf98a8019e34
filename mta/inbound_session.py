"""One client of an inbound listener: commands, log-in (RFC 4954), STARTTLS (RFC 3207), bounds, a polite end.

On aiosmtpd, and the only module that knows how it works inside. aiosmtpd takes one command at a time from a buffer, so
that PIPELINING (RFC 2920) holds by itself; what was sent behind STARTTLS is thrown away (RFC 3207 section 6). What is
overridden here is for what aiosmtpd 1.4.6 does not do: wait for a password check, take AUTH in any case, know AUTH=
and enhanced codes (RFC 2034), read addresses without the recursive parser of `email`, bound mistakes and memory, and
tell a client that left from a bug.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session, TLSSetupException, syntax

from core.errors import UnavailableError
from core.logs import get_logger
from mta.inbound import ServerOptions, SubmissionHandler, one_line
from mta.inbound_data import MailBounds, MailReader, NotTaken
from mta.inbound_gate import ByteBudget
from mta.inbound_reports import BounceHandler

_log = get_logger(__name__)

IDLE_SECONDS: Final = 300.0
"""Between commands, and for the first megabyte of a mail (RFC 5321 section 4.5.3.2.7 wants 5 minutes)."""
PACE_SECONDS: Final = 60.0
"""For each further megabyte of a mail: who is slower holds memory that others wait for."""
ROOM_SECONDS: Final = 20.0
"""How long DATA waits for memory. Clients wait two minutes for its answer (RFC 5321 section 4.5.3.2.4)."""
WRONG_KEY_SECONDS: Final = 1.0
"""Pause before 535. A connection may try five times; keys are random, so this only keeps the rate of asking down. No
address is locked out: behind one address there may be many applications, and one of them with an old key."""
MISTAKES: Final = 20
"""Commands of a session that are no commands, or come at the wrong time."""

_COMMAND_BYTES: Final = {"AUTH": 12_288, "MAIL": 1_100, "RCPT": 1_100}
"""RFC 4954 section 4.9 and, for MAIL, section 5; RFC 6531 section 3.4 for addresses in UTF-8. Others have 512."""
_SUBMISSION_CALLS: Final = {"AUTH": 5, "MAIL": 5_000, "RCPT": 100_000, "DATA": 5_000, "RSET": 5_000, "NOOP": 1_000}
_BOUNCE_CALLS: Final = {"MAIL": 200, "RCPT": 400, "DATA": 200, "RSET": 200}

_WRONG_KEY: Final = "535 5.7.8 The password is not a valid API key"
_NO_ROOM: Final = "452 4.3.1 Too much mail at once, try again later"
_AUTH_PARAMETER: Final = re.compile(r"(?<=>) +AUTH=[!-~]+|(?<= )AUTH=[!-~]+ *", re.I)
_PATH: Final = re.compile(r'<(?:@[^<>\s:]{1,255}:)?((?:[^<>\s"]|"(?:[^"\\]|\\.)*")*)>|([^<>\s"]+)')
"""A path (RFC 5321 section 4.1.2) with the route that is ignored, or the address without brackets that old software
sends. What it holds is judged by the handler."""
_BARE_REPLY: Final = re.compile(r"([245]\d\d)[ -](?![245]\.\d)")
_ENHANCED: Final = {
    "421": "4.3.2", "451": "4.3.0", "454": "4.7.0", "500": "5.5.2", "502": "5.5.1", "503": "5.5.1", "552": "5.3.4",
    "553": "5.1.3", "554": "5.7.0",
}  # fmt: skip
_LEFT: Final = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, TLSSetupException, TimeoutError)
"""What a client that leaves looks like. No bug: nothing is logged."""


class Desk(Protocol):
    """What a connection asks of its listener."""

    options: ServerOptions
    budget: ByteBudget
    stopping: bool

    def admit(self, connection: "Connection", address: str) -> str:
        """ "" when it may come in, or the reason why not."""

    def left(self, connection: "Connection", address: str) -> None:
        """It has ended."""


class Connection(SMTP):
    """One client of either listener."""

    line_length_limit = 64 * 1024
    """For aiosmtpd the size of its read buffer; commands have limits of their own."""
    cuts = False
    """Whether a mail that is too large is cut instead of refused."""
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"
    """As Exchange and Postfix ask; some clients compare."""

    def __init__(self, handler: Any, desk: Desk, **options: Any) -> None:
        self.command_size_limits = defaultdict(lambda: 512, _COMMAND_BYTES)
        super().__init__(
            handler,
            hostname=desk.options.hostname,
            ident="ESMTP Postlane",
            enable_SMTPUTF8=True,
            tls_context=None if desk.options.wrapped else desk.options.tls,
            timeout=IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
            **options,
        )
        self.command_size_limits.update(_COMMAND_BYTES)  # aiosmtpd has emptied them
        self.busy = False
        self.useful_at = self.loop.time()
        """When it came, logged in, or last handed over a mail."""
        self._desk = desk
        self.address = ""
        self._entered = False
        self._greets = False
        self._mistakes = 0
        self._held = b""
        """Replies that wait for the next one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called a second time when STARTTLS is done: by then the connection has entered."""
        if self._entered:
            super().connection_made(transport)
            return
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        reason = self._desk.admit(self, self.address)
        if reason:
            _farewell(transport, f"421 4.7.0 {self.hostname} {reason}")
            return
        self._entered = True
        super().connection_made(transport)
        if self._desk.options.wrapped:
            assert self.session is not None
            self.session.ssl = {"sslcontext": self._desk.options.tls}
        assert self._handler_coroutine is not None
        self._handler_coroutine.add_done_callback(_ended)

    def connection_lost(self, error: Exception | None) -> None:
        self._desk.left(self, self.address)
        if self._entered:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """A client may close its side behind what it sent: that is still answered. Inside TLS it cannot."""
        if not self._entered:
            return False
        assert self.session is not None
        if self.session.ssl is not None:
            return super().eof_received()
        self._reader.feed_eof()
        return True

    def dismiss(self, reason: str) -> None:
        """Say that we are going (RFC 5321 section 3.8), and go."""
        held, self._held = self._held.decode("ascii"), b""
        if self.transport is not None:
            _farewell(self.transport, f"{held}421 4.3.2 {self.hostname} {reason}")

    async def handle_exception(self, error: Exception) -> str:
        """The reply to whatever a command ended in."""
        if not isinstance(error, _LEFT):
            return await super().handle_exception(error)
        if not isinstance(error, TLSSetupException):  # aiosmtpd closes behind a broken handshake
            self._close()
        return "421 4.4.2 The connection is broken"

    async def push(self, status: str | bytes) -> None:
        """One line of ASCII with an enhanced code (RFC 2034); who goes on making mistakes is sent away."""
        line = status if isinstance(status, str) else status.decode("ascii", "replace")
        if not self._greets:
            line = _with_enhanced_code(line)
        # The challenge of a log-in may end with its blank (RFC 4954 section 4).
        await self._say((line if line.startswith("334") else one_line(line)).encode("ascii"))
        if line.startswith("50"):
            self._mistakes += 1
            if self._mistakes >= MISTAKES:
                await super().push(b"421 4.7.0 Too many mistakes")
                self._close()

    @syntax("HELO hostname")
    async def smtp_HELO(self, hostname: str) -> None:
        self._greets = True
        try:
            await super().smtp_HELO(hostname)
        finally:
            self._greets = False

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str) -> None:
        self._greets = True
        try:
            await super().smtp_EHLO(hostname)
        finally:
            self._greets = False

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """aiosmtpd would begin a second TLS inside the first."""
        if self._tls_protocol is not None:
            await self.push("503 5.5.1 TLS is active already")
            return
        await super().smtp_STARTTLS(arg)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        """Own reading, see `mta/inbound_data`."""
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if arg or not self.envelope.rcpt_tos:
            await self.push("501 5.5.4 DATA takes no argument" if arg else "503 5.5.1 Send RCPT first")
            return
        if not await self._desk.budget.room(0, ROOM_SECONDS):
            await self.push(_NO_ROOM)
            return
        await self._take_mail()

    async def _take_mail(self) -> None:
        bounds = MailBounds(self._desk.options.max_bytes, self.cuts)
        mail = MailReader(self._reader, bounds, self._desk.budget, self._keeps_pace)
        self.busy = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            reply = await self._answer(await mail.read())
        finally:
            self.busy = False
            self._desk.budget.give_back(mail.held)
            self.envelope = self._create_envelope()
        await self.push(reply)
        if self._desk.stopping:
            self.dismiss("is stopping")

    async def _answer(self, mail: bytes | NotTaken) -> str:
        """Hand the mail over."""
        if mail is NotTaken.TOO_LARGE:
            return self._desk.options.too_large
        if mail is NotTaken.NO_ROOM:
            return _NO_ROOM
        assert self.envelope is not None
        self.envelope.content = mail
        self._reset_timeout()
        reply = str(await self._call_handler_hook("DATA"))
        if reply.startswith("2"):
            self.useful_at = self.loop.time()
        return reply

    async def _say(self, line: bytes) -> None:
        """Replies to commands that came together leave together (RFC 2920 section 3.2): a packet costs as much as a
        command."""
        held, self._held = self._held, b""
        # StreamReader has no way to ask whether a whole line is there already; typeshed hides the buffer for that.
        another = line.startswith(b"250 2.") and b"\n" in self._reader._buffer  # type: ignore[attr-defined]
        if another or line.startswith(b"250-"):
            self._held = b"%b%b\r\n" % (held, line)
        else:
            await super().push(held + line)

    def _keeps_pace(self) -> None:
        self._reset_timeout(PACE_SECONDS)

    def _close(self) -> None:
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).close()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """aiosmtpd asks the parser of `email`, which is slow and recursive, and raises IndexError on some input."""
        match = _PATH.match(arg.lstrip())
        if match is None:
            return None, None
        rest = arg.lstrip()[match.end() :]
        if rest and not rest[0].isspace():
            return None, None
        return match[2] or match[1] or "<>", rest


class SubmissionConnection(Connection):
    """A client that logs in with an API key."""

    def __init__(self, handler: SubmissionHandler, desk: Desk) -> None:
        self._log_in = handler.log_in
        super().__init__(
            handler,
            desk,
            data_size_limit=desk.options.max_bytes,
            auth_require_tls=not (desk.options.plain_log_in or desk.options.wrapped),
            authenticator=_offered,
            command_call_limit={"*": 50, **_SUBMISSION_CALLS},
        )

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str | None) -> None:
        """Mechanisms are compared in any case (RFC 4422 section 3.1): .NET sends `AUTH login`."""
        mechanism, blank, rest = (arg or "").partition(" ")
        await super().smtp_AUTH(mechanism.upper() + blank + rest)

    async def challenge_auth(
        self, challenge: str | bytes, encode_to_b64: bool = True, log_client_response: bool = False
    ) -> Any:
        """Ask for a line of the log-in; MISSING when what came cannot be read, which is answered."""
        try:
            return await super().challenge_auth(challenge, encode_to_b64)
        except ValueError:  # so StreamReader.readline says that a line is longer than its buffer
            await self.push("500 5.5.6 The line is too long")
            self._close()  # the rest of it would be read as commands
            return MISSING

    async def auth_PLAIN(self, _: object, args: list[str]) -> AuthResult:
        return await self._checked(await super().auth_PLAIN(_, _with_empty(args)))

    async def auth_LOGIN(self, _: object, args: list[str]) -> AuthResult:
        return await self._checked(await super().auth_LOGIN(_, _with_empty(args)))

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
        self.useful_at = self.loop.time()
        return AuthResult(success=True, auth_data=who)

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:
        """RFC 4954 section 5: who offers AUTH must understand the parameter AUTH=. Postfix sends it; aiosmtpd 1.4.6
        refuses it with 555."""
        await super().smtp_MAIL(_AUTH_PARAMETER.sub("", arg) if arg else arg)

    async def push(self, status: str | bytes) -> None:
        """aiosmtpd's own refusal of a SIZE that is too large does not say what would be taken."""
        own = isinstance(status, str) and status.startswith("552 Error")
        await super().push(self._desk.options.too_large if own else status)


class BounceConnection(Connection):
    """A mail server that reports to us. Takes mail of any size, and keeps the beginning."""

    cuts = True

    def __init__(self, handler: BounceHandler, desk: Desk) -> None:
        super().__init__(
            handler,
            desk,
            data_size_limit=None,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            command_call_limit={"*": 50, **_BOUNCE_CALLS},
        )


def _with_empty(args: Sequence[str]) -> list[str]:
    """`=` stands for an initial response that is there and empty (RFC 4954 section 4)."""
    return [arg if arg != "=" else b64encode(b"").decode() for arg in args]


def _with_enhanced_code(line: str) -> str:
    match = _BARE_REPLY.match(line)
    if match is None:
        return line
    code = match[1]
    return f"{line[:4]}{_ENHANCED.get(code, f'{code[0]}.5.4' if code[0] == '5' else f'{code[0]}.0.0')} {line[4:]}"


def _farewell(transport: asyncio.BaseTransport, line: str) -> None:
    writable = cast(asyncio.WriteTransport, transport)
    if not writable.is_closing():
        writable.write(f"{line}\r\n".encode())
        writable.close()


def _ended(task: asyncio.Task[None]) -> None:
    """The session is over. Without this asyncio would report clients that left as exceptions never retrieved."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, _LEFT):
        _log.error("inbound_session_failed", exc_info=error)


def _offered(_s: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, auth_data: Any) -> AuthResult:
    """For aiosmtpd: pass on what the client offered, `_checked` decides."""
    return AuthResult(success=True, auth_data=auth_data)
