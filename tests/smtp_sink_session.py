"""One connection to the test sink of `tests/smtp_sink`: what a client says, what a rule lets it hear.

Owns the server's side of the conversation and the types of its script and its journal. Listening, choosing rules and
keeping certificates is the sink's part.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

DROP = "drop"
"""As a reply: hang up without a word. At "dot" the mail is recorded first."""

SILENCE = "silence"
"""As a reply: nothing, now or to anything later, and the connection stays."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The first rule that matches decides. Fields left None match everything."""

    phase: str
    """connect, ehlo, helo, starttls, mail, rcpt, data, bdat (before its octets are looked at: they are read as commands
    then), body (each block read), dot, rset, quit."""
    reply: str | bytes
    """"550 5.1.1 no", several lines joined by "\\n" (sent as one multi-line reply), raw bytes, DROP or SILENCE."""
    local: str | None = None
    """Local part of the recipient (of the sender at "mail")."""
    source: str | None = None
    ehlo: str | None = None
    times: int | None = None
    """Matches so many times and never again."""
    delay: float = 0.0
    """Seconds before the reply."""
    slow: float = 0.0
    """Seconds between single bytes of the reply."""
    then_close: bool = False
    """Hang up after the reply."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What EHLO lists, and how STARTTLS behaves: "", "good", "self-signed", "declined", "garbage", "drop", "silence" or
    "injected" (good, but more plain text follows the 220)."""

    pipelining: bool = True
    eight_bit: bool = True
    smtputf8: bool = False
    size: int | None = 50_000_000
    starttls: str = ""
    chunking: bool = False
    esmtp: bool = True
    """False: EHLO gets 502, only HELO is known."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted mail."""

    source: str
    ehlo: str
    mail_from: str
    mail_parameters: str
    rcpt_to: tuple[str, ...]
    data: bytes
    """Without dot-stuffing and final dot."""
    tls: str
    session: int
    """Number of the connection it came through, from 1."""
    at: float
    """time.monotonic."""


@dataclass(slots=True)
class Journal:
    """What a sink has seen. Written by the sink's loop only."""

    mails: list[Mail] = field(default_factory=list)
    commands: list[tuple[int, str]] = field(default_factory=list)
    """(connection, line) of every command."""
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    """(connection, bytes) of every piece read, when `keep_writes` is set."""
    connections: int = 0
    open: Counter[str] = field(default_factory=Counter)
    """Connections open now, by source IP."""
    most_open: Counter[str] = field(default_factory=Counter)


class Sink(Protocol):
    """What a session needs of the server it belongs to."""

    offer: Offer
    journal: Journal
    keep_writes: bool
    sessions: set["SinkSession"]

    def rule_for(self, phase: str, local: str, source: str, ehlo: str) -> Rule | None: ...

    def context(self, kind: str) -> ssl.SSLContext: ...


class SinkSession(asyncio.Protocol):
    """One connection. Commands are worked off in order; a delayed reply holds up what follows it."""

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._loop = loop
        self._buffer = b""
        self._in_data = False
        self._held = False
        self._chunk: int | None = None
        self._ehlo = self._tls = self._mail_from = self._parameters = ""
        self._rcpts: list[str] = []
        self._source = ""
        self._counted = False
        self._commands: dict[str, Callable[[str], None]] = {
            "EHLO": self._on_ehlo,
            "HELO": self._on_helo,
            "STARTTLS": self._on_starttls,
            "MAIL": self._on_mail,
            "RCPT": self._on_rcpt,
            "DATA": self._on_data,
            "BDAT": self._on_bdat,
            "RSET": self._on_rset,
            "QUIT": self._on_quit,
        }

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self._counted:
            return
        self._counted = True
        self._source = transport.get_extra_info("peername")[0]
        journal = self._sink.journal
        journal.connections += 1
        self._number = journal.connections
        journal.open[self._source] += 1
        journal.most_open[self._source] = max(journal.most_open[self._source], journal.open[self._source])
        self._sink.sessions.add(self)
        self._answer("connect", "", "220 sink ready")

    def connection_lost(self, exc: BaseException | None) -> None:
        if self in self._sink.sessions:
            self._sink.sessions.remove(self)
            self._sink.journal.open[self._source] -= 1
        self._held = True

    def data_received(self, data: bytes) -> None:
        if self._sink.keep_writes:
            self._sink.journal.writes.append((self._number, data))
        self._buffer += data
        self._work()

    def cut(self) -> None:
        """End at once, with a reset."""
        self._held = True
        self._transport.abort()

    def say(self, words: bytes) -> None:
        """Out of turn."""
        self._transport.write(words)

    def end(self, last_words: bytes = b"") -> None:
        """End after these words."""
        self._held = True
        if last_words:
            self._transport.write(last_words)
        self._transport.close()

    def _work(self) -> None:
        while not self._held:
            if self._in_data or self._chunk is not None:
                if not (self._take_body() if self._in_data else self._take_chunk()):
                    return
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            self._buffer = rest
            self._command(line.decode("utf-8", "surrogateescape"))

    # Replies

    def _answer(self, phase: str, local: str, usual: str) -> bool:
        """Send what a rule says, or the usual. True when that was a success (2xx or 3xx)."""
        rule = self._sink.rule_for(phase, local, self._source, self._ehlo)
        if rule is None:
            self._transport.write(_wire(usual))
            return usual[0] in "23"
        if rule.reply == DROP:
            self.end()
            return False
        if rule.reply == SILENCE:
            self._held = True
            return False
        wire = _wire(rule.reply)
        if rule.delay or rule.slow:
            self._held = True
            self._loop.call_later(rule.delay, self._drip, wire, rule)
        else:
            self._transport.write(wire)
            if rule.then_close:
                self.end()
        return wire[:1] in (b"2", b"3")

    def _drip(self, wire: bytes, rule: Rule) -> None:
        if self._transport.is_closing():
            return
        piece = wire[:1] if rule.slow else wire
        self._transport.write(piece)
        if len(piece) < len(wire):
            self._loop.call_later(rule.slow, self._drip, wire[1:], rule)
        elif rule.then_close:
            self.end()
        else:
            self._held = False
            self._work()

    # Commands

    def _command(self, line: str) -> None:
        self._sink.journal.commands.append((self._number, line))
        verb, _, rest = line.partition(" ")
        handler = self._commands.get(verb.upper())
        if handler is None:
            self._answer("unknown", "", "500 5.5.2 what?")
        else:
            handler(rest)

    def _on_ehlo(self, name: str) -> None:
        self._ehlo = name
        self._reset()
        self._answer("ehlo", "", self._greeting() if self._sink.offer.esmtp else "502 5.5.1 no EHLO here")

    def _on_helo(self, name: str) -> None:
        self._ehlo = name
        self._reset()
        self._answer("helo", "", "250 sink")

    def _greeting(self) -> str:
        offer = self._sink.offer
        lines = ["sink"]
        lines += ["PIPELINING"] * offer.pipelining + ["8BITMIME"] * offer.eight_bit + ["SMTPUTF8"] * offer.smtputf8
        lines += [f"SIZE {offer.size}"] if offer.size is not None else []
        lines += ["CHUNKING"] * offer.chunking
        lines += ["STARTTLS"] if offer.starttls and not self._tls else []
        return "\n".join(f"250 {line}" for line in lines)

    def _on_mail(self, rest: str) -> None:
        address, parameters = _path(rest)
        if self._answer("mail", address.partition("@")[0], "250 2.1.0 ok"):
            self._reset()
            self._mail_from, self._parameters = address or "<>", parameters

    def _on_rcpt(self, rest: str) -> None:
        address, _ = _path(rest)
        # Without MAIL only a rule takes it: there are servers that do.
        usual = "250 2.1.5 ok" if self._mail_from else "503 5.5.1 MAIL first"
        if self._answer("rcpt", address.partition("@")[0], usual):
            self._rcpts.append(address)

    def _on_data(self, _: str) -> None:
        if not self._rcpts:
            # Also for a pipelined DATA after a refused RCPT, unless a rule wants a 354 there.
            self._in_data = self._answer("data", "", "503 5.5.1 RCPT first")
        else:
            self._in_data = self._answer("data", self._local(), "354 go on")

    def _on_bdat(self, rest: str) -> None:
        size, last = rest.split()
        assert last == "LAST", "one chunk for each mail"
        rule = self._sink.rule_for("bdat", self._local(), self._source, self._ehlo)
        if rule is None:
            self._chunk = int(size)
        else:
            self._say(rule, "")

    def _take_chunk(self) -> bool:
        assert self._chunk is not None
        if len(self._buffer) < self._chunk:
            return False
        body, self._buffer = self._buffer[: self._chunk], self._buffer[self._chunk :]
        self._chunk = None
        self._accept(body, stuffed=False)
        return True

    def _take_body(self) -> bool:
        if self._sink.rule_for("body", self._local(), self._source, self._ehlo) is not None:
            self.end()
            return False
        if self._buffer.startswith(b".\r\n"):
            body, self._buffer = b"", self._buffer[3:]
        else:
            body, found, rest = self._buffer.partition(b"\r\n.\r\n")
            if not found:
                return False
            body, self._buffer = body + b"\r\n", rest
        self._in_data = False
        self._accept(body)
        return True

    def _accept(self, body: bytes, *, stuffed: bool = True) -> None:
        rule = self._sink.rule_for("dot", self._local(), self._source, self._ehlo)
        refused = rule is not None and rule.reply not in (DROP, SILENCE) and _wire(rule.reply)[:1] != b"2"
        if self._rcpts and not refused:
            data = body.replace(b"\r\n.", b"\r\n").removeprefix(b".") if stuffed else body
            mail_from = self._mail_from.removeprefix("<>")
            mail = Mail(
                self._source,
                self._ehlo,
                mail_from,
                self._parameters,
                tuple(self._rcpts),
                data,
                self._tls,
                self._number,
                time.monotonic(),
            )
            self._sink.journal.mails.append(mail)
        usual = "250 2.0.0 taken" if self._rcpts else "554 5.5.1 no valid recipients"
        self._reset()
        self._say(rule, usual)

    def _say(self, rule: Rule | None, usual: str) -> None:
        """Answer with a rule that was already looked up."""
        if rule is None:
            self._transport.write(_wire(usual))
        elif rule.reply == DROP:
            self.end()
        else:
            self._held = True
            if rule.reply != SILENCE:
                self._loop.call_later(rule.delay, self._drip, _wire(rule.reply), rule)

    def _on_rset(self, _: str) -> None:
        self._reset()
        self._answer("rset", "", "250 2.0.0 ok")

    def _on_quit(self, _: str) -> None:
        if self._answer("quit", "", "221 2.0.0 bye"):
            self.end()

    def _on_starttls(self, _: str) -> None:
        kind = self._sink.offer.starttls
        if kind in ("", "declined"):
            self._answer("starttls", "", "454 4.7.0 not now")
        elif self._answer("starttls", "", "220 go"):
            self._buffer = b""
            self._held = True
            if kind == "injected":
                self._transport.write(b"250 injected\r\n")
            if kind == "garbage":
                self._transport.write(b"this is not TLS, whatever you do\r\n" * 4)
            elif kind == "drop":
                self.end()
            if kind in ("good", "self-signed", "injected"):
                self._upgrade = self._loop.create_task(self._encrypt(kind))

    async def _encrypt(self, kind: str) -> None:
        try:
            transport = await self._loop.start_tls(self._transport, self, self._sink.context(kind), server_side=True)
        except OSError:
            return  # the client did not like it
        if transport is None:
            return
        self._transport = transport
        self._tls = transport.get_extra_info("ssl_object").version()
        self._ehlo = ""
        self._held = False
        self._work()

    def _local(self) -> str:
        return self._rcpts[0].partition("@")[0] if self._rcpts else ""

    def _reset(self) -> None:
        self._mail_from = self._parameters = ""
        self._rcpts = []


def _wire(reply: str | bytes) -> bytes:
    """Lines "250 a", "250 b" as "250-a", "250 b"; bytes go out as they are."""
    if isinstance(reply, bytes):
        return reply
    lines = reply.split("\n")
    head = [f"{line[:3]}-{line[4:]}\r\n" for line in lines[:-1]]
    return "".join([*head, f"{lines[-1]}\r\n"]).encode("utf-8", "surrogateescape")


def _path(rest: str) -> tuple[str, str]:
    """Address and parameters of "FROM:<a@b> SIZE=1"."""
    _, _, after = rest.partition("<")
    address, _, parameters = after.partition(">")
    return address, parameters.strip()
