"""MIME parts: bodies and files in the shortest transfer encoding that every server carries (RFC 2045, 2046).

Owns line ends, 7bit, quoted-printable, base64, attachments and multipart containers. Never writes the
headers of the whole message. Nothing here is 8-bit and no line is longer than 998, so that no relay has a reason to
re-encode what we signed. The C functions of `binascii` do the work: the standard library's `email`
takes about 2.2 ms for a 5 KB mail of two parts (research of 2026-11, one 2-core machine).
"""

import random
import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from mta.mime_headers import MAX_LINE, ComposeError, check_value, disposition_header, parameters, with_parameters
from mta.model import Attachment

_ENCODED_LINE = 76
"""Longest line in base64 and quoted-printable (RFC 2045 sections 6.7 and 6.8)."""
_QP_LITERAL = bytes(code for code in range(33, 127) if code != ord("=")) + b" \t\r\n"
_FEW_ESCAPED = 20
"""Different octets up to which escaping one after the other is quicker than `b2a_qp`."""
_FULL_LINE = re.compile(rb"(?s).{1,75}(?<!=)(?<!=.)")
"""As much as a line takes before the sign that it goes on; no escape is cut."""
_ODD_ENDS = (b" \r", b"\t\r", b".\r")
"""A blank at the end of a line must be escaped; a dot that is all of it should be."""
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})[ \t]*(?:;|$)")
_PARAMETERS = 20
_PARAMETER_LENGTH = 500
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_OCTETS = "application/octet-stream"


class Part(NamedTuple):
    """One MIME entity: its Content- headers, each ending with CRLF, and its encoded body (no final CRLF added)."""

    headers: bytes
    body: bytes


def text_part(text: str, subtype: str) -> Part:
    """`text/<subtype>` in UTF-8 with CRLF line ends: 7bit if it fits, else the smaller of the two encodings."""
    try:
        data = crlf(text.encode())
    except UnicodeEncodeError:
        raise ComposeError(f"the {subtype} body is not valid Unicode") from None
    encoding, body = encode_text(data, ascii_only=text.isascii())
    return Part(_text_headers(subtype, encoding), body)


@lru_cache(16)
def _text_headers(subtype: str, encoding: str) -> bytes:
    """There are two subtypes and three encodings."""
    headers = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return headers.encode("ascii")


def attachment_part(attachment: Attachment, *, inline: bool = False) -> Part:
    """A file in base64, byte for byte. A text or message type is not interpreted.

    An attached message must not be base64 (RFC 2046 section 5.2.1): it stays as it is when it is plain ASCII, and
    otherwise goes out as a file of octets, as anything that calls itself multipart does.
    """
    media_type, given = _media_type(attachment.content_type)
    encoding, body = "base64", b""
    if media_type.lower().startswith("message/"):
        data = attachment.data
        if data.isascii() and b"\0" not in data and not has_long_line(crlf_bytes(data)):
            encoding, body = "7bit", crlf_bytes(data)
        else:
            media_type, given = _OCTETS, []
    if encoding == "base64":
        body = base64_lines(attachment.data)
    headers = with_parameters("Content-Type", media_type, given) + f"Content-Transfer-Encoding: {encoding}\r\n"
    headers += disposition_header("inline" if inline else "attachment", attachment.filename)
    if attachment.content_id:
        headers += f"Content-ID: <{_content_id(attachment.content_id)}>\r\n"
    return Part(headers.encode("ascii"), body)


def multipart(subtype: str, parts: Sequence[Part]) -> Part:
    """A container around `parts` with a boundary that occurs in none of them (RFC 2046 section 5.1)."""
    boundary = _boundary(parts)
    delimiter = b"\r\n--" + boundary
    chunks = [delimiter[2:]]
    for part in parts:
        chunks += (b"\r\n", part.headers, b"\r\n", part.body, delimiter)
    chunks.append(b"--\r\n")
    # RFC 2387 section 3.1 requires the type of the root part.
    kind = b'related; type="text/html"' if subtype == "related" else subtype.encode("ascii")
    return Part(b'Content-Type: multipart/%b;\r\n boundary="%b"\r\n' % (kind, boundary), b"".join(chunks))


def crlf(data: bytes) -> bytes:
    """All line ends (CRLF, bare CR, bare LF) as CRLF. In bytes: CPython replaces a character of a `str` in twice the
    time."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\n", b"\r\n")


def crlf_bytes(data: bytes) -> bytes:
    """The same; clean input is returned as it is."""
    pairs = data.count(b"\r\n")
    if pairs == data.count(b"\n") == data.count(b"\r"):
        return data
    return crlf(data)


def has_long_line(data: bytes) -> bool:
    """Whether a line of CRLF text, without its CRLF, is longer than a server takes. Looks at few of the octets."""
    start, end = 0, len(data)
    while end - start > MAX_LINE:
        at = data.rfind(b"\r\n", start, start + MAX_LINE + 2)
        if at < 0:
            return True
        start = at + 2
    return False


def encode_text(data: bytes, *, ascii_only: bool) -> tuple[str, bytes]:
    """CRLF text in 7bit if it fits, else in the smaller of the two encodings; which, and the text."""
    if ascii_only and b"\0" not in data and not has_long_line(data):
        return "7bit", data
    escaped = data.translate(None, _QP_LITERAL)
    # Quoted-printable adds two octets an escape and a soft break in about 73; base64 a third and a CRLF in 76.
    if (len(data) + 2 * len(escaped)) * 76 // 73 <= len(data) * 4 // 3 * 78 // 76:
        return "quoted-printable", _quoted_printable(data, frozenset(escaped))
    return "base64", base64_lines(data)


def _quoted_printable(data: bytes, escaped: frozenset[int]) -> bytes:
    """Text in quoted-printable (RFC 2045 section 6.7), lines of at most 76; `escaped` are its octets that are none of
    `_QP_LITERAL`. The same text as `_by_octets` makes, in a third of the time."""
    if len(escaped) > _FEW_ESCAPED:
        return _by_octets(data)
    text = data.replace(b"=", b"=3D")
    for octet in escaped - {ord("=")}:
        text = text.replace(b"%c" % octet, b"=%02X" % octet)
    lines = (text + b"\r").split(b"\n")  # a single octet is found much faster than CRLF
    return b"\n".join([
        _broken(line[:-1]) + b"\r" if len(line) > _ENCODED_LINE or line.endswith(_ODD_ENDS) else line
        for line in lines
    ])[:-1]  # fmt: skip


def _broken(line: bytes) -> bytes:
    """A line in which escaped is what must be, but for its end, without its CRLF."""
    if line == b".":
        return b"=2E"
    pieces = _FULL_LINE.findall(line)
    if line[-1] in b" \t":
        last = pieces[-1]
        goes_on = b"=\r\n" if len(last) == _ENCODED_LINE - 1 else b""
        pieces[-1] = b"%b%b=%02X" % (last[:-1], goes_on, last[-1])
    return b"=\r\n".join(pieces)


def _by_octets(data: bytes) -> bytes:
    """The same by `b2a_qp`.

    It breaks lines the way its input's first line end does: the CRLF appended here tells it. And a blank that it
    must escape at the end of a full line makes that line 77 long (found by a property test, Python 3.11): it moves on.
    """
    text = b2a_qp(data + b"\r\n", istext=True)
    if b"=20\r\n" in text or b"=09\r\n" in text:
        lines = text.split(b"\r\n")
        text = b"\r\n".join(
            [line if len(line) <= _ENCODED_LINE else line[:-3] + b"=\r\n" + line[-3:] for line in lines]
        )
    return text[:-2]


def base64_lines(data: bytes) -> bytes:
    """Octets in base64, lines of 76."""
    text = b2a_base64(data, newline=False)
    return b"\r\n".join([text[start : start + _ENCODED_LINE] for start in range(0, len(text), _ENCODED_LINE)])


def _boundary(parts: Sequence[Part]) -> bytes:
    """`=_` cannot occur in quoted-printable or base64; a 7bit body is searched. Whoever guesses it gains nothing, and
    asking the system for octets would hand the interpreter to another thread at every mail."""
    while True:
        boundary = b"=_%024x" % random.getrandbits(96)
        for part in parts:
            if part.body.rfind(boundary) >= 0:  # a third of the time of `in`
                break
        else:
            return boundary


def _media_type(given: str) -> tuple[str, list[tuple[str, str]]]:
    """The application's content type with its parameters, `application/octet-stream` for one that no part can have.

    A parameter that cannot be read costs itself, not the type; the charset of a text must reach the recipient.
    """
    check_value("Content-Type", given)
    match = _MEDIA_TYPE.match(given.strip())
    if match is None or match[1].lower().startswith("multipart/"):
        return _OCTETS, []
    return match[1], [pair for pair in parameters(given) if len(pair[1]) <= _PARAMETER_LENGTH][:_PARAMETERS]


def _content_id(given: str) -> str:
    value = given.removeprefix("<").removesuffix(">")
    if not _CONTENT_ID.fullmatch(value):
        raise ComposeError("header Content-ID: needs 1 to 200 printable ASCII characters without blanks")
    return value
