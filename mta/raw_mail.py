"""A foreign message as fields and body: taken apart within bounds, brought to one spelling, put together again.

Pure. What leaves from here has CRLF line ends only, no blank before a colon, no folded line of blanks only (readers
disagree whether it ends the header), and no NUL in its header. Each function raises `ComposeError` that says what is
wrong with the message. `mta/raw_headers` reads and writes the single field, `mta/seven_bit` the body.
"""

import re
from collections.abc import Iterable
from typing import Final

from mta.mime_headers import ComposeError
from mta.mime_parts import crlf_bytes

Field = tuple[bytes, bytes]
"""Lower-case name, and the whole field as it goes out: name, colon, value with its folds, no CRLF at the end."""

MAX_HEAD: Final = 256 * 1024
"""Octets of a header. Checked before it is taken apart: each field costs a hundred times its two smallest octets."""
MAX_FIELDS: Final = 1_000

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_NEXT_FIELD = re.compile(rb"\r\n(?![ \t])")
_HEAD_END = re.compile(rb"\n\r?\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BLANK_LINE = re.compile(rb"\r\n[ \t]+(?=\r\n|\Z)")
_LISTS: Final = frozenset({b"to", b"cc", b"reply-to"})
_ONCE: Final = _LISTS | {
    b"date", b"from", b"sender", b"bcc", b"message-id", b"in-reply-to", b"references", b"subject", b"mime-version",
    b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id",
}  # fmt: skip
"""RFC 5322 section 3.6 and RFC 2045. Gmail refuses mail that has one of them twice."""
_MAY_BE_EMPTY: Final = frozenset({b"from", b"subject"})
"""Any other of `_ONCE` without a value is as good as missing; From is left for its reader to refuse."""


def read_mail(data: bytes) -> tuple[list[Field], bytes]:
    """The fields in order, and the body."""
    data = crlf_bytes(_without_stray_cr(data))
    end = data.find(b"\r\n\r\n")
    if (end if end >= 0 else len(data)) > MAX_HEAD:
        raise ComposeError(f"the header is larger than {MAX_HEAD} octets")
    if end < 0:
        return read_fields(data.removesuffix(b"\r\n")), b""
    return read_fields(data[:end]), data[end + 4 :]


def _without_stray_cr(data: bytes) -> bytes:
    """A bare CR in a header of lines that end otherwise is a blank: else text that an application puts into one of its
    headers could begin another."""
    if data.count(b"\r") == data.count(b"\r\n") or b"\n" not in data.partition(b"\r\r")[0]:
        return data
    match = _HEAD_END.search(data)
    end = match.start() + 1 if match is not None else len(data)
    return _BARE_CR.sub(b" ", data[:end]) + data[end:]


def read_fields(head: bytes) -> list[Field]:
    """The fields of a header with CRLF line ends, without the one at its end."""
    if b"\0" in head:
        raise ComposeError("the header holds a NUL")
    pieces = _NEXT_FIELD.split(_BLANK_LINE.sub(b"", head))
    if len(pieces) > MAX_FIELDS:
        raise ComposeError(f"the message has more than {MAX_FIELDS} header fields")
    return [_field(piece) for piece in pieces]


def join_mail(fields: Iterable[Field], body: bytes) -> bytes:
    """The message."""
    return b"".join([part for _, field in fields for part in (field, b"\r\n")] + [b"\r\n", body])


def value_of(field: bytes) -> bytes:
    """What stands behind the colon, folds and all."""
    return field.partition(b":")[2]


def once(fields: Iterable[Field]) -> list[Field]:
    """The fields, each that may stand once standing once: lists of addresses are joined, empty ones and repetitions go.

    Two that differ are refused: which one a recipient sees would be up to their software.
    """
    found: dict[bytes, int] = {}
    kept: list[Field] = []
    for name, field in fields:
        value = value_of(field).strip(b" \t\r\n")
        if name in _ONCE and not value and name not in _MAY_BE_EMPTY:
            continue
        if name not in found or name not in _ONCE:
            found[name] = len(kept)
            kept.append((name, field))
        elif name in _LISTS:
            kept[found[name]] = (name, kept[found[name]][1] + b",\r\n " + value)
        elif value != value_of(kept[found[name]][1]).strip(b" \t\r\n"):
            raise ComposeError(f"a message has one {name.decode('ascii').title()} header (RFC 5322 section 3.6)")
    return kept


def _field(piece: bytes) -> Field:
    match = _FIELD.match(piece)
    if match is None:
        raise ComposeError(f"not a header line: {piece[:40].decode('utf-8', 'replace')!a}")
    name = match[1]
    return name.lower(), piece if match.end() == len(name) + 1 else name + b":" + piece[match.end() :]
