"""A foreign message that every server carries: 7-bit, and no line over 998 octets (RFC 5322 section 2.1.1).

Pure. Done when a mail is accepted, before it is stored and signed, so that neither 8BITMIME nor a re-encoding relay can
come between the signature and the recipient. Only what has to change is changed: a part that fits stays byte for byte,
and so does everything in `multipart/signed` and `multipart/encrypted`, whose bytes somebody signed; such a part leaves
as 8-bit. Text goes to quoted-printable or base64 whichever is shorter and keeps its charset, files to base64; messages
in messages, which may have neither (RFC 2046 section 5.2.1), are taken apart.
"""

import re
from binascii import a2b_qp
from typing import Final

from mta.mime_headers import ComposeError, text_header
from mta.mime_parts import base64_lines, crlf_bytes, encode_text, has_long_line
from mta.raw_headers import seven_bit_field, text_of
from mta.raw_mail import Field, join_mail, read_mail

MAX_DEPTH: Final = 10
MAX_PARTS: Final = 2_000
UNTOUCHED: Final = frozenset({"multipart/signed", "multipart/encrypted"})
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})
TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127})")
BOUNDARY = re.compile(r";[ ]*boundary[ ]*=[ ]*(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.I)
_CHARSET = re.compile(r";[ ]*charset[ ]*=", re.I)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")


def seven_bit(fields: list[Field], body: bytes) -> tuple[list[Field], bytes]:
    """The message, changed where it must be. Raises `ComposeError` for what cannot be changed and cannot be sent."""
    fields, body = _Walk().message(fields, body)
    if b"\0" in body:
        raise ComposeError("the message holds a NUL in a part that must not be changed")
    if has_long_line(body):
        raise ComposeError("a line is longer than 998 octets in a part that must not be changed")
    return fields, body


class _Walk:
    """One message on its way through. `_open` are the boundaries of the containers around."""

    def __init__(self) -> None:
        self._parts = 0
        self._open: list[bytes] = []

    def message(self, fields: list[Field], body: bytes) -> tuple[list[Field], bytes]:
        """A whole message, which says that it is MIME when it has become that."""
        fields, body = self._entity(fields, body, "text/plain")
        names = {name for name, _ in fields}
        if b"content-transfer-encoding" in names and b"mime-version" not in names:
            fields = [*fields, (b"mime-version", b"MIME-Version: 1.0")]
        return fields, body

    def _entity(self, fields: list[Field], body: bytes, default: str) -> tuple[list[Field], bytes]:
        """A message or part; without a Content-Type it is `default`."""
        fields = [seven_bit_field(field) for field in fields]
        if _fits(body):
            return fields, body
        content_type = value_in(fields, b"content-type") or default
        kind = match[1].lower() if (match := TYPE.match(content_type)) else "text/plain"
        if kind in UNTOUCHED or len(self._open) >= MAX_DEPTH:
            return fields, body
        if kind.startswith("multipart/"):
            boundary = BOUNDARY.search(content_type)
            if boundary is not None:
                body = self._multipart(body, (boundary[1] or boundary[2]).rstrip().encode(), kind)
            return with_encoding(fields, "7bit" if body.isascii() else "8bit"), body
        if kind.startswith("message/"):
            return self._message(fields, body)
        return self._leaf(fields, body, kind)

    def _multipart(self, body: bytes, boundary: bytes, kind: str) -> bytes:
        """The container with each part on its own; a preamble or epilogue that does not fit goes, nobody sees it."""
        mark = b"\r\n--" + boundary
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        pieces = (b"\r\n" + body).split(mark, MAX_PARTS)
        self._parts += len(pieces)
        if self._parts > MAX_PARTS:
            return body
        found = sections(pieces, mark)
        self._open.append(b"--" + boundary)
        whole = [found[0] if _fits(found[0]) else b""]
        for section in found[1:]:
            line, end, content = section.partition(b"\r\n")
            if not _fits(content):
                content = b"" if line.startswith(b"--") else self._part(content, default)
            whole.append(line + end + content)
        self._open.pop()
        return mark.join(whole).removeprefix(b"\r\n")

    def _part(self, part: bytes, default: str) -> bytes:
        """One part; as it is when its header cannot be read, which then is for the recipient to make something of."""
        try:
            if part.startswith(b"\r\n"):
                fields, body = self._entity([], part[2:], default)
            else:
                fields, body = self._entity(*read_mail(part), default)
        except ValueError:
            return part
        return join_mail(fields, body)

    def _message(self, fields: list[Field], body: bytes) -> tuple[list[Field], bytes]:
        """A message in a message: its own parts are encoded, it must not be. What cannot be read becomes a file."""
        self._open.append(b"")
        try:
            inner = join_mail(*self.message(*read_mail(body)))
        except ValueError:
            octets = _replaced(fields, b"content-type", b"Content-Type: application/octet-stream")
            return with_encoding(octets, "base64"), base64_lines(body)
        finally:
            self._open.pop()
        return with_encoding(fields, "7bit" if inner.isascii() else "8bit"), inner

    def _leaf(self, fields: list[Field], body: bytes, kind: str) -> tuple[list[Field], bytes]:
        encoding = value_in(fields, b"content-transfer-encoding").lower()
        if encoding == "base64":  # in one long line, or with rubbish in it that decoders pass over
            return fields, _wrapped(_NOT_BASE64.sub(b"", body))
        if encoding == "quoted-printable":
            body = a2b_qp(body)
        elif encoding not in _IDENTITY:
            return fields, body
        if kind.startswith("text/") and crlf_bytes(body) is body:
            fields = _with_charset(fields, body)
            encoding, encoded = encode_text(body, ascii_only=body.isascii())
            if not any(mark and mark in encoded for mark in self._open):
                return with_encoding(fields, encoding), encoded
            # A soft line break has moved the boundary of a container to the beginning of a line.
        return with_encoding(fields, "base64"), base64_lines(body)


def _fits(data: bytes) -> bool:
    return data.isascii() and b"\0" not in data and not has_long_line(data)


def sections(pieces: list[bytes], mark: bytes) -> list[bytes]:
    """The preamble, and what stands behind each boundary line with the line's rest in front, the epilogue last. A line
    that only begins like the boundary is text, as is all behind the last one."""
    found, closed = [[pieces[0]]], False
    for piece in pieces[1:]:
        end = piece.find(b"\r\n")
        rest = piece[: end if end >= 0 else len(piece)].strip(b" \t")
        if closed or rest not in (b"", b"--"):
            found[-1] += (mark, piece)
        else:
            found.append([piece])
            closed = rest == b"--"
    return [b"".join(section) for section in found]


def value_in(fields: list[Field], name: bytes) -> str:
    """What the first field of this name says, "" without one."""
    return next((text_of(field) for lower, field in fields if lower == name), "")


def _wrapped(text: bytes) -> bytes:
    return b"\r\n".join([text[start : start + 76] for start in range(0, len(text), 76)]) + b"\r\n"


def _replaced(fields: list[Field], name: bytes, field: bytes) -> list[Field]:
    """The fields with this one in place of those of its name, or at the end."""
    kept = [known for known in fields if known[0] != name]
    at = next((index for index, known in enumerate(fields) if known[0] == name), len(kept))
    return [*kept[:at], (name, field), *kept[at:]]


def with_encoding(fields: list[Field], encoding: str) -> list[Field]:
    """The fields with this Content-Transfer-Encoding."""
    known = value_in(fields, b"content-transfer-encoding").lower()
    if known == encoding or (not known and encoding == "7bit"):
        return fields
    return _replaced(fields, b"content-transfer-encoding", f"Content-Transfer-Encoding: {encoding}".encode("ascii"))


def _with_charset(fields: list[Field], body: bytes) -> list[Field]:
    """Text that names no charset gets the one it has: behind an encoding nobody can guess it any more."""
    given = value_in(fields, b"content-type")
    given = given if TYPE.match(given) else "text/plain"
    if body.isascii() or _CHARSET.search(given):
        return fields
    try:
        body.decode()
        charset = "utf-8"
    except UnicodeDecodeError:
        charset = "windows-1252"
    written = text_header("Content-Type", f"{given.rstrip('; ')}; charset={charset}").removesuffix("\r\n")
    return _replaced(fields, b"content-type", written.encode("ascii"))
