"""Single header fields of foreign mail: read as text and addresses, written anew where the wire cannot carry them.

Pure. Reading is for showing and comparing and never raises but `AddressError`; what a field says is decided by
`core/addresses`, as at the API. Writing is by `mta/mime_headers`. Text that is not ASCII is UTF-8 if it can be, else
Windows-1252, which is what software that sends raw Latin-1 means.
"""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import quote

from core.addresses import AddressError, Mailbox, parse_mailbox
from mta.mime_headers import (
    MAX_LINE,
    ComposeError,
    encoded_words,
    fold,
    is_structured,
    mailbox_text,
    parameters,
    text_header,
    with_parameters,
)
from mta.mime_parts import has_long_line
from mta.raw_mail import Field, value_of

MAX_LISTED: Final = 1_000
"""Addresses of one header that are looked at."""
_MOST_PARAMETERS: Final = 50
_DECODED: Final = 8_000
"""Characters that are searched for encoded-words."""

_PRINTABLE: Final = "".join(map(chr, range(32, 127)))
_COMMENT_NAME = re.compile(r"(\S{1,320})[ ]{1,20}\(([^()]{0,200})\)")
_ADDRESSES: Final = frozenset(
    {b"from", b"to", b"cc", b"reply-to", b"sender", b"resent-from", b"resent-to", b"resent-cc", b"resent-sender",
     b"disposition-notification-to", b"errors-to", b"return-receipt-to"}
)  # fmt: skip
_PARAMETERS: Final = frozenset({b"content-type", b"content-disposition"})


def text_of(field: bytes) -> str:
    """The value unfolded, tabs as blanks. Nothing else counts as a blank: not VT, and no blank of Unicode."""
    value = value_of(field).replace(b"\r\n", b"")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("cp1252", "replace")
    return text.replace("\t", " ").strip(" ")


def decoded(value: str) -> str:
    """Encoded-words (RFC 2047) decoded where they can be; one printable line."""
    text = value
    if "=?" in value:
        try:
            text = "".join(_word(word, charset) for word, charset in decode_header(value[:_DECODED]))
        except (HeaderParseError, ValueError):
            text = value
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def mailbox_of(value: str) -> Mailbox:
    """`Name <address>`, also with encoded-words, or `address (Name)` as old software writes it. Raises
    `AddressError`."""
    old = _COMMENT_NAME.fullmatch(value)
    box, name = (parse_mailbox(old[1]), old[2]) if old is not None else ((box := parse_mailbox(value)), box.name)
    return Mailbox(decoded(name), box.local, box.domain)


def listed(value: str) -> list[Mailbox]:
    """The addresses of a header as far as they can be read: for showing, and for telling Cc from Bcc."""
    boxes = []
    for piece in _pieces(value)[:MAX_LISTED]:
        try:
            boxes.append(mailbox_of(piece.strip()))
        except AddressError:
            continue  # a group, or something that is no address; its people are in the envelope
    return boxes


def seven_bit_field(field: Field) -> Field:
    """The field in ASCII and in lines of at most 998 octets, the same field when it is so already. An address whose
    local part is not ASCII stays UTF-8: there is no other spelling of it. Raises `ComposeError`."""
    lower, given = field
    if given.isascii() and not has_long_line(given):
        return field
    name, text = given.partition(b":")[0].decode("ascii"), text_of(given)
    if lower in _ADDRESSES:
        written = _addresses(name, text)
    elif lower in _PARAMETERS and not text.isascii():
        written = _parameters(name, text)
    elif is_structured(name):
        written = text_header(name, quote(text, safe=_PRINTABLE))
    else:
        written = text_header(name, text)
    data = written.removesuffix("\r\n").encode()
    if has_long_line(data):
        raise ComposeError(f"header {name}: a part without blanks is longer than {MAX_LINE} octets")
    return lower, data


def _addresses(name: str, value: str) -> str:
    """A list of addresses, each written anew that is not ASCII. What cannot be read as an address is words."""
    pieces = [piece.strip() for piece in _pieces(value)]
    written = [_address(name, piece) for piece in pieces[:MAX_LISTED]]
    return fold(name, ", ".join(written + [_words(name, piece) for piece in pieces[MAX_LISTED:]]))


def _address(name: str, piece: str) -> str:
    if piece.isascii():
        return piece
    try:
        return mailbox_text(name, mailbox_of(piece))
    except AddressError:
        return _words(name, piece)


def _words(name: str, text: str) -> str:
    """Text that is no address, each word that is not ASCII encoded on its own."""
    if text.isascii():
        return text
    return " ".join([w if w.isascii() else encoded_words(name, w) for w in text.replace('"', "").split(" ")])


def _parameters(name: str, value: str) -> str:
    """A value with parameters, those that are not ASCII by RFC 2231."""
    main = value.partition(";")[0].encode("ascii", "replace").decode("ascii").strip(" ")
    return with_parameters(name, main, parameters(value)[:_MOST_PARAMETERS])


def _pieces(value: str) -> list[str]:
    """Split at commas outside quotation marks, in one pass."""
    if '"' not in value:
        return value.split(",")
    pieces, start, quoted, escaped = [], 0, False, False
    for at, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            pieces.append(value[start:at])
            start = at + 1
    return [*pieces, value[start:]]


def _word(word: str | bytes, charset: str | None) -> str:
    if isinstance(word, str):
        return word
    try:
        return word.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return word.decode("utf-8", "replace")
