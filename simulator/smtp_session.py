"""One SMTP conversation from the server's side, without sockets (RFC 5321, 2920, 1870, 6152, 6531, 2034, 3030,
3207).

Bytes go in by `receive`, bytes come out by `take_output`, and `next` says what the socket has to do then. Takes
pipelined commands in one piece or in single octets. Commands and mail must use CRLF: a bare CR or LF in a mail refuses
it, so that a sender with sloppy line ends finds out here. Decisions are the `Mailroom`'s.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from simulator.mailroom import Mailroom, Verdict, Visit
from simulator.model import Behaviour, Recipient, TlsKind
from simulator.replies import STYLES

MAX_SIZE = 36_700_160
"""Octets of a mail, 35 MiB."""
_MAX_LINE = 2048
"""RFC 5321 4.5.3.1.4 asks for 512 and for more with extensions that add parameters."""
_MAX_RECIPIENTS = 100
_MAX_ERRORS = 20

_ADDRESS = r"((?:\"(?:[^\"\\\x00-\x1f]|\\[^\x00-\x1f])*\"|[^<>\"@\s\x00-\x1f])+(?:@[^<>@\s\x00-\x1f]+)?)"
_MAIL = re.compile(rf"FROM: ?<(?:@[^:<>]*:)?{_ADDRESS}?>((?: [^ ]+)*) *", re.IGNORECASE)
_RCPT = re.compile(rf"TO: ?<(?:@[^:<>]*:)?{_ADDRESS}>((?: [^ ]+)*) *", re.IGNORECASE)


class Next(Enum):
    """What the socket has to do after writing the output."""

    READ = auto()
    WAIT = auto()
    """Call `resume` after `delay` seconds; input is only gathered meanwhile."""
    STARTTLS = auto()
    """Shake hands, then call `tls_established`."""
    BREAK_TLS = auto()
    """Let the handshake fail, then close."""
    LINGER = auto()
    """Close, but let the client read what was written although it may still be sending."""
    CLOSE = auto()


@dataclass(slots=True)
class _Transaction:
    """From MAIL to the end of data."""

    mail_from: str
    smtputf8: bool
    recipients: list[Recipient] = field(default_factory=list)
    chunks: bytearray | None = None
    """What BDAT brought so far."""


@dataclass(slots=True)
class _Chunk:
    """A BDAT whose octets are still coming."""

    left: int
    last: bool
    refusal: bytes = b""
    """What it is answered with when they are there: its octets are passed over (RFC 3030 2)."""


class SmtpSession:
    """State of one conversation. Not for use by two tasks at once."""

    __slots__ = (
        "_body",
        "_buffer",
        "_chunk",
        "_errors",
        "_greeted",
        "_later",
        "_mailroom",
        "_output",
        "_oversize",
        "_scanned",
        "_transaction",
        "delay",
        "next",
        "visit",
    )

    def __init__(self, mailroom: Mailroom, visit: Visit) -> None:
        self.visit = visit
        self.next = Next.READ
        self.delay = 0.0
        self._mailroom = mailroom
        self._buffer = bytearray()
        self._output: list[bytes] = []
        self._errors = 0
        self._greeted = False
        self._transaction: _Transaction | None = None
        self._later: Verdict | None = None
        self._body = False
        self._chunk: _Chunk | None = None
        self._scanned = 0
        self._oversize = False

    @property
    def buffered(self) -> int:
        """Octets received and not yet understood."""
        return len(self._buffer)

    def greet(self) -> None:
        """Say the banner, or refuse the connection."""
        self._say(self._mailroom.on_connect(self.visit))

    def receive(self, data: bytes) -> None:
        """Take what the client sent and answer all of it that is complete."""
        self._buffer += data
        self._run()

    def resume(self) -> None:
        """Give the answer that was waited for, and go on with what came in meanwhile."""
        self.next = Next.READ
        later, self._later = self._later, None
        if later is not None:
            self._say(replace(later, delay=0.0))
        self._run()

    def tls_established(self) -> None:
        """Start again inside TLS: what was said before does not count (RFC 3207 4.2)."""
        self.visit.tls = True
        self.visit.ehlo_name = ""
        self._greeted = False
        self._transaction = None
        self._buffer.clear()
        self.next = Next.READ

    def take_output(self) -> bytes:
        """What has to be written now, b"" for nothing."""
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def _run(self) -> None:
        while self.next is Next.READ and self._buffer:
            take = self._take_body if self._body else self._take_chunk if self._chunk else self._take_line
            if not take():
                return

    def _take_line(self) -> bool:
        """Answer one command line; False if none is complete."""
        end = self._buffer.find(b"\n")
        if end < 0 and len(self._buffer) <= _MAX_LINE:
            return False
        line = bytes(self._buffer[: end + 1 if end >= 0 else len(self._buffer)])
        del self._buffer[: len(line)]
        if len(line) > _MAX_LINE:
            self._fail(b"500 5.5.2 Line too long\r\n")
            if end < 0:
                self.next = Next.LINGER
        elif not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            self._fail(b"500 5.5.2 Lines end in CRLF, and CR or LF stand nowhere else (RFC 5321 2.3.8)\r\n")
        else:
            self._command(line[:-2])
        return True

    def _command(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        try:
            argument = rest.decode("utf-8")
        except UnicodeDecodeError:
            self._fail(b"500 5.5.2 Command is not UTF-8\r\n")
            return
        handler = _COMMANDS.get(verb.upper())
        if handler is None:
            self._fail(b"500 5.5.1 Command not known\r\n")
        else:
            handler(self, argument)

    def _ehlo(self, argument: str) -> None:
        if not self._introduced(argument):
            return
        self._output.append(self._extensions())

    def _helo(self, argument: str) -> None:
        if self._introduced(argument):
            self._output.append(f"250 {self.visit.door.name}\r\n".encode())

    def _introduced(self, argument: str) -> bool:
        name = argument.strip()
        if not name or len(name) > 255 or " " in name or not name.isprintable():
            self._fail(b"501 5.5.4 Say your host name\r\n")
            return False
        self.visit.ehlo_name = name
        self._mailroom.identify(self.visit)
        self._greeted = True
        self._transaction = None
        return True

    def _extensions(self) -> bytes:
        door = self.visit.door
        lines = [f"{door.name} at your service, [{self.visit.ip}]", f"SIZE {MAX_SIZE}"]
        if door.eight_bit:
            lines.append("8BITMIME")
        if door.tls is not TlsKind.NONE and not self.visit.tls:
            lines.append("STARTTLS")
        if STYLES[door.style].enhanced:
            lines.append("ENHANCEDSTATUSCODES")
        if door.chunking:
            lines.append("CHUNKING")
        lines += ["PIPELINING", "SMTPUTF8"]
        return ("".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n").encode()

    def _starttls(self, argument: str) -> None:
        if self.visit.tls or self.visit.door.tls is TlsKind.NONE:
            self._fail(b"503 5.5.1 STARTTLS is not offered here\r\n")
        elif argument:
            self._fail(b"501 5.5.4 STARTTLS takes no argument\r\n")
        elif self._buffer:
            self._output.append(b"421 5.5.0 Nothing may be pipelined after STARTTLS (RFC 3207)\r\n")
            self.next = Next.LINGER
        else:
            self._output.append(b"220 2.0.0 Ready for TLS\r\n")
            self.next = Next.STARTTLS if self._mailroom.tls_works(self.visit) else Next.BREAK_TLS

    def _mail(self, argument: str) -> None:
        if not self._greeted or self._transaction is not None:
            self._fail(b"503 5.5.1 EHLO first, and one MAIL at a time\r\n")
            return
        match = _MAIL.fullmatch(argument)
        if match is None:
            self._fail(b"501 5.5.4 Syntax: MAIL FROM:<address>\r\n")
            return
        if self.visit.door.tls is TlsKind.REQUIRED and not self.visit.tls:
            self._fail(b"530 5.7.0 Must issue a STARTTLS command first\r\n")
            return
        parameters = match[2].upper().split()
        refusal = _refused_parameter(parameters, eight_bit=self.visit.door.eight_bit)
        sender = match[1] or ""
        if refusal is None and not sender.isascii() and "SMTPUTF8" not in parameters:
            refusal = b"553 5.6.7 Address needs SMTPUTF8\r\n"
        if refusal is not None:
            self._fail(refusal)
            return
        verdict = self._mailroom.on_mail(self.visit)
        if verdict is not None:
            self._say(verdict)
            return
        self._transaction = _Transaction(sender, "SMTPUTF8" in parameters)
        self._output.append(b"250 2.1.0 OK\r\n")

    def _rcpt(self, argument: str) -> None:
        transaction = self._transaction
        if transaction is None:
            self._fail(b"503 5.5.1 MAIL first\r\n")
            return
        match = _RCPT.fullmatch(argument)
        if match is None:
            self._fail(b"501 5.1.3 Syntax: RCPT TO:<address>\r\n")
        elif match[2].strip():
            self._fail(b"555 5.5.4 Parameter not known\r\n")
        elif not match[1].isascii() and not transaction.smtputf8:
            self._fail(b"553 5.6.7 Address needs SMTPUTF8\r\n")
        elif len(transaction.recipients) >= _MAX_RECIPIENTS:
            self._output.append(b"452 4.5.3 Too many recipients\r\n")
        else:
            self._recipient(transaction, match[1].lower())

    def _recipient(self, transaction: _Transaction, address: str) -> None:
        taken = self._mailroom.on_rcpt(self.visit, transaction.mail_from, address)
        if isinstance(taken, Verdict):
            self._say(taken)
        else:
            transaction.recipients.append(taken)
            self._output.append(b"250 2.1.5 OK\r\n")

    def _data(self, argument: str) -> None:
        if self._transaction is None or not self._transaction.recipients:
            self._fail(b"503 5.5.1 No valid recipients\r\n")
        elif argument:
            self._fail(b"501 5.5.4 DATA takes no argument\r\n")
        elif self._transaction.chunks is not None:
            self._fail(b"503 5.5.1 DATA and BDAT do not mix (RFC 3030 2)\r\n")
        else:
            self._output.append(b"354 Go ahead, end with a dot\r\n")
            self._body, self._scanned, self._oversize = True, 0, False

    def _take_body(self) -> bool:
        """Take the mail if its final dot has come; False if not."""
        buffer = self._buffer
        if not self._oversize and buffer.startswith(b".\r\n"):
            body, end = b"", 3
        else:
            found = buffer.find(b"\r\n.\r\n", self._scanned)
            if found < 0:
                self._keep_reading()
                return False
            body, end = bytes(buffer[: found + 2]), found + 5
        del buffer[:end]
        self._body = False
        transaction, self._transaction = self._transaction, None
        assert transaction is not None, "DATA is only answered with 354 inside a transaction"
        self._finish(transaction, body)
        return True

    def _keep_reading(self) -> None:
        """Remember how far was searched; of a mail that is too large keep only what may be part of the final dot."""
        if len(self._buffer) > MAX_SIZE:
            self._oversize = True
        if self._oversize:
            del self._buffer[:-4]
        self._scanned = max(0, len(self._buffer) - 4)

    def _bdat(self, argument: str) -> None:
        words = argument.upper().split()
        size = words[0] if words else ""
        if not self.visit.door.chunking:
            self._not_offered(argument)
        elif not (size.isascii() and size.isdigit() and len(size) <= 12 and words[1:] in ([], ["LAST"])):
            self._fail(b"501 5.5.4 Syntax: BDAT size [LAST]\r\n")
            self.next = Next.LINGER  # nobody knows where its octets end
        else:
            self._chunk = _Chunk(int(size), bool(words[1:]), self._refused_chunk(int(size)))
            self._take_chunk()

    def _refused_chunk(self, size: int) -> bytes:
        transaction = self._transaction
        if transaction is None or not transaction.recipients:
            return b"503 5.5.1 No valid recipients\r\n"
        if len(transaction.chunks or b"") + size > MAX_SIZE:
            return b"552 5.3.4 Message is larger than the limit\r\n"
        return b""

    def _take_chunk(self) -> bool:
        """Take of a chunk what is there; False when more of it has to come."""
        chunk, transaction = self._chunk, self._transaction
        assert chunk is not None
        taken = self._buffer[: chunk.left]
        del self._buffer[: len(taken)]
        chunk.left -= len(taken)
        if transaction is not None and not chunk.refusal:
            transaction.chunks = (transaction.chunks or bytearray()) + taken
        if chunk.left:
            return False
        self._chunk = None
        if chunk.refusal:
            self._transaction = None
            self._output.append(chunk.refusal)
        elif not chunk.last:
            self._output.append(b"250 2.0.0 OK, more of it\r\n")
        else:
            self._transaction = None
            assert transaction is not None
            self._oversize = False
            self._finish(transaction, bytes(transaction.chunks or b""), chunked=True)
        return True

    def _finish(self, transaction: _Transaction, body: bytes, *, chunked: bool = False) -> None:
        if self._oversize or len(body) > MAX_SIZE:
            self._output.append(b"552 5.3.4 Message is larger than the limit\r\n")
            return
        # All three counts are equal exactly when every CR and every LF is part of a CRLF (RFC 5321 2.3.8).
        pairs = body.count(b"\r\n")
        if body.count(b"\n") != pairs or body.count(b"\r") != pairs:
            self._output.append(b"550 5.6.11 Bare CR or LF in the message (RFC 5321 2.3.8)\r\n")
            return
        if not self.visit.door.eight_bit and not body.isascii():
            self._output.append(b"554 5.6.1 8-bit data, and 8BITMIME is not offered here (RFC 6152 3)\r\n")
            return
        if not chunked and body.startswith(b"."):
            body = body[1:]
        if not chunked and b"\r\n." in body:
            body = body.replace(b"\r\n.", b"\r\n")
        self._say(self._mailroom.on_dot(self.visit, transaction.mail_from, transaction.recipients, body))

    def _rset(self, argument: str) -> None:
        self._transaction = None
        self._output.append(b"250 2.0.0 OK\r\n")

    def _noop(self, argument: str) -> None:
        self._output.append(b"250 2.0.0 OK\r\n")

    def _vrfy(self, argument: str) -> None:
        self._output.append(b"252 2.5.0 Send the mail and see\r\n")

    def _help(self, argument: str) -> None:
        words = ", ".join(behaviour.value for behaviour in Behaviour)
        self._output.append(f"214 2.0.0 Local parts that begin with these do as they say: {words}\r\n".encode())

    def _quit(self, argument: str) -> None:
        self._output.append(b"221 2.0.0 Goodbye\r\n")
        self.next = Next.CLOSE

    def _not_offered(self, argument: str) -> None:
        self._fail(b"502 5.5.1 Not offered here\r\n")

    def _fail(self, reply: bytes) -> None:
        self._output.append(reply)
        self._errors += 1
        if self._errors >= _MAX_ERRORS:
            self._output.append(b"421 4.7.0 Too many errors\r\n")
            self.next = Next.LINGER

    def _say(self, verdict: Verdict) -> None:
        if verdict.delay > 0:
            self._later, self.delay, self.next = verdict, verdict.delay, Next.WAIT
            return
        self._output.append(verdict.reply)
        if verdict.hang_up:
            self.next = Next.LINGER if verdict.reply else Next.CLOSE


def _refused_parameter(parameters: list[str], *, eight_bit: bool) -> bytes | None:
    """The refusal of a MAIL parameter that is not known or asks too much, or None (RFC 1870, 6152, 6531)."""
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "SIZE" and value.isascii() and value.isdigit() and len(value) <= 20:
            if int(value) > MAX_SIZE:
                return b"552 5.3.4 Message is larger than the limit\r\n"
        elif not (key == "SMTPUTF8" and not value) and parameter not in (
            ("BODY=7BIT", "BODY=8BITMIME") if eight_bit else ()
        ):
            return b"555 5.5.4 Parameter not known\r\n"
    return None


_COMMANDS: dict[bytes, Callable[[SmtpSession, str], None]] = {
    b"EHLO": SmtpSession._ehlo,
    b"HELO": SmtpSession._helo,
    b"STARTTLS": SmtpSession._starttls,
    b"MAIL": SmtpSession._mail,
    b"RCPT": SmtpSession._rcpt,
    b"DATA": SmtpSession._data,
    b"RSET": SmtpSession._rset,
    b"NOOP": SmtpSession._noop,
    b"VRFY": SmtpSession._vrfy,
    b"HELP": SmtpSession._help,
    b"QUIT": SmtpSession._quit,
    b"AUTH": SmtpSession._not_offered,
    b"BDAT": SmtpSession._bdat,
    b"EXPN": SmtpSession._not_offered,
    b"ETRN": SmtpSession._not_offered,
    b"TURN": SmtpSession._not_offered,
}
