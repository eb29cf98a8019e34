"""One SMTP connection as a client: commands out, replies in, mail after mail.

Owns the conversation of RFC 5321 with PIPELINING (RFC 2920), CHUNKING (RFC 3030), 8BITMIME (RFC 6152), SIZE (RFC 1870),
SMTPUTF8 (RFC 6531) and STARTTLS (RFC 3207), and its time-outs. It opens no connection (`mta/connect`), keeps none
(`mta/session`), chooses no host (`mta/deliver`) and judges no reply (`mta/replies`).

With PIPELINING a mail costs two round trips: MAIL, RCPT and DATA in one write, then body and final dot in one write.
Without it the same steps go out one by one. With CHUNKING as well it costs one: MAIL, RCPT and `BDAT n LAST` with the
body in one write, and up to `WINDOW` mails may be under way, each behind the one before (docs/decisions/0026).

What went wrong comes back as a value; exceptions are bugs of the caller. A trouble in `Phase.DOT` always means that the
mail may have been taken (RFC 1047); in any earlier phase it was not. A caller that cancels `send` does not learn which
of the two it was, and has to drop the connection.
"""

import asyncio
import math
import re
import ssl
from collections.abc import Callable

from mta.line import Line, Place
from mta.marks import Marks
from mta.model import Envelope, Phase, Response, Trouble
from mta.reply_parser import Features, Reply, ReplyParser, features_of, printable, response_of
from mta.reply_wait import ReplyWait
from mta.smtp_commands import opening, require, stuffed
from mta.smtp_timeouts import FRESH_SECONDS, Timeouts
from mta.upgrade import Upgrade

BLOCK = 128 * 1024
"""Bytes written at once; larger bodies wait for the peer between blocks."""

WINDOW = 4
"""Mails of one connection under way by BDAT: what a kill may repeat, for each connection."""

_UNKNOWN = frozenset({500, 501, 502, 503, 504, 555})
"""Said to BDAT after the recipient was taken: it does not work."""

_STEPS = (Phase.MAIL, Phase.RCPT, Phase.DATA)

_EHLO_NAME = re.compile(r"[^\x00-\x20\x7f\ud800-\udfff]+")


class SmtpClient(asyncio.Protocol):
    """The client's end of one connection. Give it to `loop.create_connection`; await one method at a time, but for
    `send`, which as many may await as `window` says."""

    __slots__ = (
        "_body",
        "_busy",
        "_can_write",
        "_line",
        "_loop",
        "_lost",
        "_marks",
        "_needs_reset",
        "_on_lost",
        "_parser",
        "_spoke",
        "_timeouts",
        "_transport",
        "_wait",
        "_walked_out",
        "features",
        "misbehaved",
        "tls_version",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts) -> None:
        self.features = Features()
        self.tls_version = ""
        """Such as "TLSv1.3", "" in plain text."""
        self.misbehaved = ""
        """What the server did to a mail by BDAT; "" for nothing wrong."""
        self._loop = loop
        self._timeouts = timeouts
        self._parser = ReplyParser()
        self._transport: asyncio.Transport | None = None
        self._on_lost: Callable[[], None] | None = None
        self._lost = self._needs_reset = self._walked_out = False
        self._busy = self._can_write = True
        self._line = Line(loop)
        self._marks = Marks()
        self._body: Envelope | None = None
        """What follows the 354 that is waited for."""
        self._spoke = loop.time()
        self._wait = ReplyWait(loop, self._parser, loop.time() + timeouts.opening)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # stream connections have a Transport
        transport.set_write_buffer_limits(high=BLOCK)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._spoke = now = self._loop.time()
        self._parser.feed(data)
        if self._busy:
            if self._body is not None and self._parser.opened() and self._wait.sleeping:
                self._follow(self._body, now)
            self._wait.heard(now)
        else:
            # Nobody asked: usually "421 idle for too long". Whatever it is, it may not answer the next command.
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lost = True
        self._wait.end()
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._wait.wake()

    # What callers use

    @property
    def usable(self) -> bool:
        """True while another mail can go through this connection."""
        return not self._lost and self._parser.clean()

    @property
    def window(self) -> int:
        """How many may use the connection at a time: several once a mail went alone by BDAT and was answered right."""
        return WINDOW if self._marks and not self.misbehaved else 1

    def stand(self) -> Place:
        """A place behind those that use the connection: for `send`, and to be left in the end."""
        return self._line.stand()

    def by_chunk(self, envelope: Envelope, place: Place) -> bool:
        """Whether this mail would go by BDAT now: where it is offered, to mail for which a round trip matters."""
        features = self.features
        if not (features.chunking and features.pipelining) or envelope.size > BLOCK or self.misbehaved:
            return False
        return not place.first or self._loop.time() - self._spoke < FRESH_SECONDS

    @property
    def lost(self) -> bool:
        """The connection is over, or about to be."""
        return self._lost

    def rest(self, on_lost: Callable[[], None]) -> None:
        """Nobody uses the connection from now on. `on_lost` is called once when the peer ends it or speaks unasked."""
        self._busy = False
        self._on_lost = on_lost

    def resume(self) -> None:
        """Somebody uses the connection again."""
        self._busy = True
        self._on_lost = None

    async def greet(self, ehlo_name: str) -> Response | None:
        """Read the banner and say EHLO. None when the server is ready for mail, else what stands against it."""
        require(_EHLO_NAME, ehlo_name, "EHLO name")
        banner = await self._reply(self._timeouts.banner)
        if banner.code != 220:
            return self._refusal(Phase.BANNER, banner)
        return await self.hello(ehlo_name)

    async def hello(self, ehlo_name: str) -> Response | None:
        """Say EHLO, or HELO where the server does not know it (RFC 5321 section 3.2), and read the features."""
        reply = await self._ask(f"EHLO {ehlo_name}\r\n".encode(), self._timeouts.ehlo)
        if reply.code == 250:
            self.features = features_of(reply)
            return None
        if 500 <= reply.code < 505:
            reply = await self._ask(f"HELO {ehlo_name}\r\n".encode(), self._timeouts.ehlo)
        return None if reply.code == 250 else self._refusal(Phase.EHLO, reply)

    async def starttls(self, context: ssl.SSLContext, server_hostname: str) -> tuple[Upgrade, str] | Response:
        """Change to TLS, checking the certificate as `context` says. How it ended, and why in words.

        A Response when the server ended the connection (421, closed) or did not answer, which says nothing about TLS.
        """
        reply = await self._ask(b"STARTTLS\r\n", self._timeouts.tls)
        if reply.code == 421 or reply.trouble in (Trouble.CLOSED, Trouble.TIMEOUT):
            return self._refusal(Phase.STARTTLS, reply)
        if reply.code // 100 in (4, 5):
            return Upgrade.DECLINED, printable(reply.lines)
        if reply.code != 220:
            self.abort()
            return Upgrade.BROKEN, f"{reply.trouble or reply.code} {printable(reply.lines)}".strip()
        if not self._parser.clean():
            # Bytes sent in plain text would be read as if they came through TLS: response injection (CVE-2011-0411).
            self.abort()
            return Upgrade.BROKEN, "data after the answer to STARTTLS"
        return await self._handshake(context, server_hostname)

    async def send(self, envelope: Envelope, place: Place | None = None, *, chunked: bool = False) -> Response:
        """Deliver one mail and return the deciding reply: the first refusal, or the answer to the whole of it.

        At its `place`, or behind all others; with `chunked` by BDAT where `by_chunk` says so. In `Phase.MAIL` a trouble
        CLOSED or TIMEOUT means that MAIL was never answered; in `Phase.DATA` a refusal with `misbehaved` says that this
        mail has to go without BDAT. UnsendableError for an address that could smuggle a command, and for data that does
        not end in CRLF: then nothing was written.
        """
        own = place or self.stand()
        try:
            commands = opening(envelope, self.features)
            if isinstance(commands, Response):
                return commands
            chunk = chunked and self.by_chunk(envelope, own)
            if not own.first:
                await (own.behind() if chunk else own.turn())
            if own.first and not self._parser.clean():
                self.abort()  # a reply that nobody asked for would be read as that to this mail
            if self._lost:
                return Response(Phase.MAIL, trouble=Trouble.CLOSED)
            own.touched = True
            return await (self._by_chunk(envelope, commands, own) if chunk else self._by_data(envelope, commands))
        finally:
            if place is None:
                own.leave()

    async def quit(self) -> None:
        """Say QUIT, wait a moment for the answer, close. Never fails."""
        if not self._lost:
            self._wait.deadline = math.inf
            await self._ask(b"QUIT\r\n", self._timeouts.quit)
        self.close()

    def close(self) -> None:
        """Close after what is already written has gone out."""
        self._lost = True
        self._parser.replies.clear()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, and read nothing more."""
        self._lost = True
        self._parser.replies.clear()
        if self._transport is not None:
            self._transport.abort()

    async def _by_data(self, envelope: Envelope, commands: tuple[bytes, bytes]) -> Response:
        timeouts, size = self._timeouts, envelope.size
        self._wait.deadline = self._loop.time() + timeouts.whole + size / timeouts.slowest
        phase, reply = await self._open(commands, envelope if size <= BLOCK else None)
        if phase is Phase.DATA and reply.code == 354:
            early = await self._write_body(envelope.front, envelope.data)
            if early is not None:  # an answer, or the end: the dot was not sent, so the mail was not taken
                self.abort()
                return self._refusal(Phase.DATA, early)
            self._wait.deadline = math.inf  # whoever hangs up now doubles the mail (RFC 1047): the dot has its own time
            phase, reply = Phase.DOT, await self._reply(timeouts.dot)
        taken = phase is Phase.DOT and reply.code // 100 == 2
        return response_of(phase, reply) if taken else self._refusal(phase, reply)

    def _follow(self, body: Envelope, now: float) -> None:
        """The 354 has come, at this loop time: the body goes out, and who waits for the 354 is not woken for it."""
        self._body = None
        self._parser.replies.clear()
        self._write(body.front + stuffed(body.data) + b".\r\n")
        self._wait.deadline = math.inf  # as in `_by_data`
        self._wait.go_on((self._timeouts.dot,), now)

    async def _by_chunk(self, envelope: Envelope, commands: tuple[bytes, bytes], place: Place) -> Response:
        """Everything in one write (RFC 3030 section 4.2)."""
        reset = self._write_chunk(envelope, commands, behind=not place.first)
        place.wrote()
        try:
            await place.turn()
            if self._walked_out:
                return Response(Phase.MAIL, trouble=Trouble.CLOSED)  # nobody was left to read it
            if self.misbehaved:
                return Response(Phase.DOT, text=self.misbehaved[:1000], trouble=Trouble.PROTOCOL)
            phase, reply = await self._answers(reset=reset)
        except BaseException:
            self.abort()  # cancelled: its replies would be read as those to the next
            raise
        return self._outcome_of_chunk(phase, reply)

    def _write_chunk(self, envelope: Envelope, commands: tuple[bytes, bytes], *, behind: bool) -> bool:
        """Whether RSET came first: what the mail ahead leaves open is not known yet, or how RSET is answered here."""
        reset, self._needs_reset = behind or self._needs_reset or not self._marks, False
        chunk = b"BDAT %d LAST\r\n" % envelope.size
        self._write(b"".join((b"RSET\r\n" if reset else b"", *commands, chunk, envelope.front, envelope.data)))
        return reset

    async def _answers(self, *, reset: bool) -> tuple[Phase, Reply]:
        """The replies to all of it: the first refusal, else the last one. Once all is written, only a refusal says that
        the mail was not taken; anything else in place of a reply leaves it open."""
        timeouts, self._wait.deadline = self._timeouts, self._loop.time() + self._timeouts.whole
        before = await self._reply(timeouts.mail) if reset else None
        if before is not None:
            if before.code == 421:
                self._walks_out()
                return Phase.MAIL, before
            if before.code // 100 != 2 or self._marks.misplaced(Phase.EHLO, before):
                return Phase.DOT, before if before.trouble else self._out_of_step(before)
        seen: list[Reply] = []
        refused: tuple[Phase, Reply] | None = None
        for phase, seconds in ((Phase.MAIL, timeouts.mail), (Phase.RCPT, timeouts.rcpt), (Phase.DOT, timeouts.dot)):
            if phase is Phase.DOT:
                self._wait.deadline = math.inf  # whoever hangs up now doubles the mail (RFC 1047)
            reply = await self._reply(seconds)
            if self._marks.misplaced(phase, reply):
                adrift = Phase.DOT, self._out_of_step(reply)
                return refused or adrift
            seen.append(reply)
            if refused is None and reply.code // 100 != 2:
                refused = (phase, reply) if reply.code // 100 in (4, 5) else (Phase.DOT, reply)
            if reply.code // 100 not in (2, 4, 5) or reply.code == 421:
                break
        if refused is None:
            if before is not None and self._line.length == 1 and self._parser.clean():
                self._marks.learn(before, seen)
            return Phase.DOT, reply
        if reply.code == 421:
            self._walks_out()
        if reply.code // 100 not in (2, 4, 5) or self._walked_out:
            self.close()
        return refused

    def _walks_out(self) -> None:
        """After its 421 a server reads nothing more. One that answers on does: then those behind stay in doubt."""
        self._walked_out = self._parser.clean()

    def _out_of_step(self, reply: Reply) -> Reply:
        """Nobody knows what any reply is about from here on."""
        self.abort()
        self.misbehaved = f"out of step: {reply.code} {printable(reply.lines)}"
        return Reply(0, [self.misbehaved.encode()], Trouble.PROTOCOL)

    def _outcome_of_chunk(self, phase: Phase, reply: Reply) -> Response:
        """The Response, and what it says about BDAT here."""
        if phase is Phase.DOT and reply.code // 100 == 2:
            return response_of(Phase.DOT, reply)
        self._needs_reset = True  # RFC 3030 section 2: what is open after a refused BDAT is not known
        if phase is Phase.DOT and reply.code in _UNKNOWN:
            self.misbehaved = f"answered BDAT with {reply.code} {printable(reply.lines)}"
            self.abort()  # it may read the mail for commands
            return response_of(Phase.DATA, reply)
        if phase is Phase.DOT and reply.code // 100 not in (4, 5) and not self._marks:
            self.misbehaved = f"answered BDAT with {reply.trouble or reply.code}"
        return self._refusal(phase, reply)

    async def _open(self, commands: tuple[bytes, bytes], body: Envelope | None) -> tuple[Phase, Reply]:
        """RSET if one is owed, then MAIL, RCPT, DATA. The first refusal with its phase, or DATA's 354; or the reply to
        the dot, where `body` has followed that at once."""
        pipelined, clock = self.features.pipelining, self._timeouts.opened
        lines = (*commands, b"DATA\r\n")
        if pipelined:
            self._write(b"".join((b"RSET\r\n", *lines) if self._needs_reset else lines))
        if self._needs_reset and not await self._reset(pipelined):
            return Phase.MAIL, Reply(0, [b"RSET was refused"], Trouble.CLOSED)
        if pipelined:
            self._body = body
            try:
                await self._come(clock)
                if self._body is not body:
                    return Phase.DOT, await self._reply(self._timeouts.dot)
            finally:
                self._body = None
        read, refused = list[Reply](), None
        for phase, line, seconds in zip(_STEPS, lines, clock, strict=True):
            if not pipelined:
                self._write(line)
            reply = await self._reply(seconds)
            read.append(reply)
            accepted = reply.code == 354 if phase is Phase.DATA else reply.code // 100 == 2
            if refused is None and not accepted:
                refused = phase, reply
            if reply.code in (0, 421) or (refused is not None and not pipelined):
                break
        if refused is None:
            return Phase.DATA, reply
        await self._give_up(refused[0], read)
        return refused

    async def _give_up(self, refused: Phase, read: list[Reply]) -> None:
        """End a refused mail so that the connection can carry the next one, where that is safe."""
        last = read[-1]
        if last.code in (0, 421):
            self.close()
        elif len(read) == 3 and last.code // 100 not in (4, 5):
            # The server waits for a body, or may do so. Where it refused the recipient it gets an empty one, which
            # nobody receives (RFC 2920 section 3.1); where it took the recipient, an empty mail would be delivered.
            refused_recipient = last.code == 354 and read[1].code // 100 in (4, 5)
            if not refused_recipient or (await self._ask(b".\r\n", self._timeouts.dot)).code // 100 == 2:
                self.abort()
        elif refused is not Phase.MAIL or any(reply.code // 100 == 2 for reply in read):
            self._needs_reset = True

    async def _reset(self, pipelined: bool) -> bool:
        self._needs_reset = False
        if not pipelined:
            self._write(b"RSET\r\n")
        if (await self._reply(self._timeouts.mail)).code // 100 == 2:
            return True
        self.abort()
        return False

    async def _write_body(self, front: bytes, data: bytes) -> Reply | None:
        """Write the mail and the dot. A Reply means: stopped before the dot. `front` has no line that begins with a
        dot."""
        data, last = stuffed(data), 0
        if len(data) > BLOCK:
            # At least one byte is left for the last write, which carries the dot.
            last = (len(data) - 1) // BLOCK * BLOCK
            self._write(front)
            front = b""
            for start in range(0, last, BLOCK):
                self._write(data[start : start + BLOCK])
                early = await self._drained()
                if early is not None:
                    return early
            data = data[last:]
        if not self._parser.clean() or self._lost:
            return await self._reply(self._timeouts.block)
        self._write(front + data + b".\r\n")
        return None

    async def _drained(self) -> Reply | None:
        """Wait until the peer has taken most of what was written. A Reply when it answered, left or stalled instead."""
        while True:
            if self._lost or not self._parser.clean():
                return await self._reply(self._timeouts.block)
            if self._can_write:
                return None
            await self._wait.sleep((self._timeouts.block,))
            if self._wait.late:
                return self._too_late()

    async def _handshake(self, context: ssl.SSLContext, server_hostname: str) -> tuple[Upgrade, str]:
        assert self._transport is not None
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=server_hostname,
                ssl_handshake_timeout=self._timeouts.tls,
                ssl_shutdown_timeout=self._timeouts.quit,
            )
        except ssl.SSLCertVerificationError as error:
            self.abort()
            return Upgrade.UNTRUSTED, error.verify_message
        except OSError as error:  # ssl.SSLError, resets and time-outs are all OSErrors
            self.abort()
            by_tls = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
            return Upgrade.BROKEN if by_tls else Upgrade.CUT, str(error) or type(error).__name__
        if transport is None or self._lost:
            self.abort()
            return Upgrade.CUT, "closed during the handshake"
        self.connection_made(transport)
        self.features = Features()
        self.tls_version = transport.get_extra_info("ssl_object").version() or "TLS"
        return Upgrade.ENCRYPTED, self.tls_version

    def _refusal(self, phase: Phase, reply: Reply) -> Response:
        """The Response for a reply that does not let us go on; the connection ends where it cannot be used again."""
        if reply.trouble is None and reply.code // 100 not in (4, 5):
            # A success that the protocol has no place for. Never pass its code on: it could be read as delivered.
            text = f"unexpected {reply.code} {printable(reply.lines)}"
            reply = Reply(0, [text.encode()], Trouble.PROTOCOL)
        if reply.code in (0, 421):
            self.close()
        return response_of(phase, reply)

    async def _ask(self, command: bytes, seconds: float) -> Reply:
        self._write(command)
        return await self._reply(seconds)

    async def _reply(self, seconds: float) -> Reply:
        """The next reply. A trouble after `seconds`, when the peer is gone, or when it talks nonsense."""
        replies = self._parser.replies
        if not replies:
            await self._come((seconds,))
        if replies:
            return replies.popleft()
        if self._parser.fault:
            self.abort()
            return Reply(0, [self._parser.fault.encode()], Trouble.PROTOCOL)
        return Reply(0, [], Trouble.CLOSED) if self._lost else self._too_late()

    async def _come(self, clock: tuple[float, ...]) -> None:
        """Wait for as many replies as `clock` has seconds. In vain where one refuses, the peer is gone, or is too
        late."""
        parser, wait = self._parser, self._wait
        while not (parser.has(len(clock)) or parser.fault or self._lost or wait.late):
            await wait.sleep(clock)
            clock = wait.clock  # another one, where the body has followed

    def _too_late(self) -> Reply:
        self.abort()
        late = self._loop.time() >= self._wait.deadline
        return Reply(0, [b"too slow: the time for the whole of it is up"] if late else [], Trouble.TIMEOUT)

    def _write(self, data: bytes) -> None:
        if not self._lost and self._transport is not None:
            self._transport.write(data)
