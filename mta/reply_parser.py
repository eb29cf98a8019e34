"""SMTP replies out of a byte stream. Pure: no sockets, no clock, never raises.

Owns the grammar of replies (RFC 5321 section 4.2), of enhanced codes (RFC 3463, RFC 2034) and of the EHLO answer,
and the bound on what a server may make us hold. It does not judge a reply: `mta/replies` does.
"""

import re
from collections import deque
from dataclasses import dataclass

from mta.model import Phase, Response, Trouble

MAX_REPLY = 64 * 1024
"""Bytes of one unfinished reply that are kept. RFC 5321 allows 512 a line; real refusals can be longer."""

MAX_TEXT = 1000
"""Characters of reply text a `Response` carries."""

_LAST = {b"%d%b" % (code, mark): code for code in range(200, 600) for mark in (b" ", b"\r", b"", b"\t")}
_MORE = {b"%d-" % code: code for code in range(200, 600)}
"""How the last line of a reply begins, and every line before."""

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_WRITTEN_CODE = re.compile(r"([245]\d\d)(?:[ -]|$)")


@dataclass(slots=True)
class Reply:
    """One complete reply, or the trouble seen instead of it. `code` is 0 exactly when `trouble` is set."""

    code: int
    lines: list[bytes]
    """Text of each line, without code and line end."""
    trouble: Trouble | None = None
    since: int = 0
    """Index of the first line from which on every line has `code`: with a `220-` before a `521 ` that is not 0."""


class ReplyParser:
    """Cuts a stream into replies. `replies` fills up in order; `fault` is set once the stream makes no sense."""

    __slots__ = ("_code", "_held", "_lines", "_since", "_tail", "fault", "replies")

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.fault = ""
        self._tail = b""
        self._code = 0
        self._lines: list[bytes] = []
        self._held = 0
        self._since = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere. Lines may end in CRLF or in a bare LF; what follows a fault is dropped."""
        if self.fault:
            return
        if self._tail:
            data = self._tail + data
        lines = data.split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            code = _LAST.get(line[:4])
            if code is not None and not self._lines:  # the one line of its reply, as nearly all are
                self.replies.append(Reply(code, [line[4:].rstrip(b"\r")]))
                continue
            self._line(line)
            if self.fault:
                return
        if len(self._tail) + self._held > MAX_REPLY:
            self._fail(b"endless reply: " + self._tail)

    def clean(self) -> bool:
        """True when nothing is waiting: no reply, no part of one. What comes next answers the next command."""
        return not (self.replies or self._tail or self._lines or self.fault)

    def has(self, number: int) -> bool:
        """Whether so many replies wait, or one that refuses: behind it there may be no other."""
        replies = self.replies
        if not replies:
            return False
        return len(replies) >= number or any(reply.code >= 400 for reply in replies)

    def opened(self) -> bool:
        """Whether all that waits is three replies that accept a mail up to its body."""
        if len(self.replies) != 3 or self._tail or self._lines or self.fault:
            return False
        mail, rcpt, data = self.replies
        return data.code == 354 and mail.code // 100 == 2 == rcpt.code // 100

    def _line(self, line: bytes) -> None:
        mark = line[:4]
        last = _LAST.get(mark)
        code = last or _MORE.get(mark)
        if code is None:
            self._fail(line)
            return
        if code != self._code:
            # RFC 5321 section 4.2.1 wants one code in all lines. Where they differ the last one decides, as in Postfix:
            # servers that greet in several lines put the refusal where the greeting would have ended.
            self._code, self._since = code, len(self._lines)
        self._lines.append(line[4:].rstrip(b"\r"))
        if last is None:
            self._held += len(line)
            if self._held > MAX_REPLY:
                self._fail(b"endless reply: " + line)
        else:
            self.replies.append(Reply(code, self._lines, None, self._since))
            self._lines, self._code, self._held, self._since = [], 0, 0, 0

    def _fail(self, seen: bytes) -> None:
        self.fault = printable([seen]) or "empty line"
        self._tail, self._lines, self._held = b"", [], 0


@dataclass(frozen=True, slots=True)
class Features:
    """What the server's EHLO answer offers."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    starttls: bool = False
    size: bool = False
    chunking: bool = False


def features_of(reply: Reply) -> Features:
    """Read the keywords of an EHLO answer (RFC 5321 section 4.1.1.1). The first line is the greeting, not a keyword."""
    words = {line.split(None, 1)[0].upper() for line in reply.lines[1:] if line.strip()}
    return Features(
        b"PIPELINING" in words, b"8BITMIME" in words, b"SMTPUTF8" in words, b"STARTTLS" in words, b"SIZE" in words,
        b"CHUNKING" in words,
    )  # fmt: skip


def printable(lines: list[bytes]) -> str:
    """Lines as one text: joined by blanks, unprintable characters shown as "?", at most `MAX_TEXT` characters."""
    text = b" ".join(lines)[: 4 * MAX_TEXT].decode("utf-8", "replace").strip()
    if not text.isprintable():
        text = "".join(character if character.isprintable() else "?" for character in text)
    return text[:MAX_TEXT]


def response_of(phase: Phase, reply: Reply) -> Response:
    """The `Response` for a refusal, a final success or a trouble, with the enhanced code taken out of the text."""
    if reply.trouble is not None:
        return Response(phase, text=printable(reply.lines), trouble=reply.trouble)
    text = printable(reply.lines)
    match = _ENHANCED.match(text if not reply.since else printable(reply.lines[reply.since :]))
    if match is None:
        return Response(phase, reply.code, "", text)
    if len(reply.lines) > 1:
        # Every line of a multi-line reply repeats the code (RFC 2034 section 4): the reader needs it once.
        text = printable([_without(line, match[1].encode()) for line in reply.lines])
        return Response(phase, reply.code, match[1], text)
    return Response(phase, reply.code, match[1], text[match.end() :])


def written(reply: str, phase: Phase) -> Response | None:
    """A reply as a log has it, with its code in front; an enhanced code alone, as in a bounce report, will do."""
    text = reply.strip()
    if found := _WRITTEN_CODE.match(text):
        lines = [line.encode("utf-8", "replace") for line in text[found.end() :].splitlines()]
        return response_of(phase, Reply(int(found[1]), lines or [b""]))
    bare = _ENHANCED.match(text)
    return Response(phase, 0, bare[1], text[bare.end() :]) if bare else None


def _without(line: bytes, enhanced: bytes) -> bytes:
    stripped = line.strip()
    rest = stripped[len(enhanced) :]
    return rest.strip() if stripped.startswith(enhanced) and rest[:1] in b" \t" else stripped
