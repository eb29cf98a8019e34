"""A small reader of foreign MIME, for the few things a bounce or complaint report needs: headers, parts, text.

Never raises, and its work grows with the size of the mail and with nothing else: the
standard library's parser checks every line against every open boundary and splits parameters by copying the rest, so
that one megabyte can be written that keeps it busy for minutes. Anybody who ever got a mail from us holds an address
that reports are taken at, so the reader has to stand that. What is beyond its bounds is left out.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import islice
from typing import Final

MAX_BYTES: Final = 256 * 1024
"""Read of a mail. Reports put what they have to say in front of the mail they return."""
MAX_PARTS: Final = 40
MAX_DEPTH: Final = 4
"""Containers in containers. A report inside a mailing list's wrapper has three."""
MAX_HEADER: Final = 4_000
"""Characters of one unfolded header value."""

_FIELD = re.compile(r"([!-9;-~]{1,100})[ \t]{0,8}:")
_NEXT_FIELD = re.compile(r"\n(?![ \t])")
_BROKEN_FOLD = re.compile(r"\n[ \t]*\n(?=[ \t]+\S)")
"""A blank line in the middle of a folded field."""
_TYPE = re.compile(r"[ \t]*([A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80})")
_BOUNDARY = re.compile(r";[ \t\n]{0,200}boundary[ \t]{0,8}=[ \t]{0,8}(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.I)

_CHARSET = re.compile(r";[ \t\n]{0,200}charset[ \t]{0,8}=[ \t]{0,8}\"?([A-Za-z0-9_-]{1,30})", re.I)
_KNOWN_CHARSETS: Final = frozenset(
    {"iso-2022-jp", "shift_jis", "euc-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "koi8-r", "windows-1251",
     "windows-1252", "iso-8859-2", "iso-8859-15"}
)  # fmt: skip
"""Codecs of text, of the letters mail systems write in. A name in a mail selects nothing else."""

Headers = dict[str, list[str]]
"""Lower-case name → values in order, unfolded, as text."""


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity that is no container (or a container that could not be opened)."""

    headers: Headers
    content_type: str
    """Lower case, without parameters; `text/plain` when the header is missing or unreadable."""
    body: bytes
    """As transferred; `text` undoes base64 and quoted-printable."""

    def first(self, name: str) -> str:
        """The first value of a header, "" when there is none."""
        return next(iter(self.headers.get(name, ())), "")

    @property
    def data(self) -> bytes:
        """The body decoded."""
        return _transferred(self.body, self.first("content-transfer-encoding"))

    @property
    def text(self) -> str:
        """The body decoded, line ends as LF."""
        charset = _CHARSET.search(self.first("content-type"))
        return as_text(self.data.replace(b"\r\n", b"\n"), charset[1] if charset else "")


def read_parts(raw: bytes, most_bytes: int = MAX_BYTES, most_parts: int = MAX_PARTS) -> tuple[Part, list[Part]]:
    """The mail itself as a part, and its leaves in order: for a mail without parts, the mail."""
    data = raw[:most_bytes].replace(b"\r", b"")
    whole = _entity(data)
    return whole, list(islice(_leaves(whole, MAX_DEPTH, most_parts), most_parts))


def read_headers(text: str) -> Headers:
    """Header fields at the beginning of `text` (LF line ends) up to its end. Lines that are no field are left out."""
    headers: Headers = {}
    for field in _NEXT_FIELD.split(text):
        match = _FIELD.match(field)
        if match is not None:
            value = field[match.end() :][:MAX_HEADER].replace("\n", " ").strip()
            headers.setdefault(match[1].lower(), []).append(value)
    return headers


def read_blocks(text: str) -> list[Headers]:
    """Groups of fields divided by blank lines: the body of `message/delivery-status` (RFC 3464 section 2.1)."""
    unbroken = _BROKEN_FOLD.sub("\n", text.replace("\r", ""))
    blocks = (read_headers(block) for block in re.split(r"\n[ \t]*\n", unbroken))
    return [block for block in blocks if block]


def as_text(data: bytes, charset: str = "") -> str:
    """In the charset that is named, when it is a known one and fits; UTF-8 if it is, else Latin-1."""
    name = charset.lower()
    for codec in (name if name in _KNOWN_CHARSETS else "utf-8", "utf-8"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def decoded_words(value: str) -> str:
    """A header value with its encoded-words (RFC 2047) decoded as far as they can be."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value[:500])
    except (HeaderParseError, ValueError, LookupError):
        return value
    return "".join(piece if isinstance(piece, str) else as_text(piece, charset or "") for piece, charset in pieces)


def _entity(data: bytes) -> Part:
    if data.startswith(b"\n"):
        head, body = b"", data[1:]
    else:
        head, _, body = data.partition(b"\n\n")
    headers = read_headers(as_text(head))
    match = _TYPE.match(next(iter(headers.get("content-type", ())), ""))
    return Part(headers, match[1].lower() if match else "text/plain", body)


def _leaves(part: Part, depth: int, most: int) -> Iterator[Part]:
    boundary = _boundary(part) if depth and part.content_type.startswith("multipart/") else None
    pieces = _pieces(part.body, boundary, most) if boundary is not None else []
    if not pieces:  # no container, or one that was damaged on its way: what it holds is read as it stands
        yield part
        return
    for piece in pieces:
        yield from _leaves(_entity(piece), depth - 1, most)


def _boundary(part: Part) -> bytes | None:
    match = _BOUNDARY.search(part.first("content-type"))
    return (match[1] or match[2]).rstrip().encode("utf-8", "replace") if match else None


def _pieces(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    """What stands between the boundary lines. A report that was cut off ends its last part at the cut."""
    mark = b"\n--" + boundary
    pieces: list[bytes] = []
    for section in (b"\n" + body).split(mark, most + 1)[1:]:
        rest, _, piece = section.partition(b"\n")
        if rest.startswith(b"--"):
            break
        if rest.strip():  # the boundary of an inner container that begins with ours
            if pieces:
                pieces[-1] += mark + section
            continue
        pieces.append(piece)
    return pieces


def _transferred(body: bytes, encoding: str) -> bytes:
    match encoding.strip().lower():
        case "base64":
            try:
                # A report that was cut off ends in the middle of a group of four.
                clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
                return binascii.a2b_base64(clean[: len(clean) // 4 * 4] + _tail(clean))
            except binascii.Error:
                return body
        case "quoted-printable":
            return binascii.a2b_qp(body)
        case _:
            return body


def _tail(clean: bytes) -> bytes:
    """The last, incomplete group with the padding it needs; nothing when a single character is left."""
    rest = clean[len(clean) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
