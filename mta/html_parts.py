"""The HTML bodies of a foreign message, changed by whoever knows how; every other byte stays.

Pure. What somebody signed or encrypted (`multipart/signed`, `multipart/encrypted`), messages in messages, and files are
left alone, and so is a part whose charset or encoding we do not know. A changed part keeps its charset and gets the
shorter of the encodings that every server carries.
"""

import re
from base64 import b64decode
from binascii import Error as BrokenBase64Error
from binascii import a2b_qp
from collections.abc import Callable
from typing import Final

from mta.mime_parts import base64_lines, encode_text
from mta.raw_mail import Field, join_mail, read_mail
from mta.seven_bit import BOUNDARY, MAX_DEPTH, MAX_PARTS, TYPE, UNTOUCHED, sections, value_in, with_encoding

Change = Callable[[str], str]

_CHARSET: Final = re.compile(r";[ ]*charset[ ]*=[ ]*\"?([A-Za-z0-9._:-]{1,40})", re.I)
_LINE_END: Final = re.compile(r"\r\n?|\n")
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})


def change_html(data: bytes, change: Change) -> bytes:
    """The message with `change` made to its HTML bodies; the very same bytes when nothing was changed. Raises
    `ComposeError` for a header that cannot be read."""
    fields, body = read_mail(data)
    changed = _entity(fields, body, change, 0)
    return data if changed is None else join_mail(*changed)


def _entity(fields: list[Field], body: bytes, change: Change, depth: int) -> tuple[list[Field], bytes] | None:
    """A message or part, None when nothing of it was changed."""
    content_type = value_in(fields, b"content-type")
    kind = match[1].lower() if (match := TYPE.match(content_type)) else "text/plain"
    if kind in UNTOUCHED or value_in(fields, b"content-disposition").lower().startswith("attachment"):
        return None
    if kind.startswith("multipart/") and depth < MAX_DEPTH and (found := BOUNDARY.search(content_type)):
        inside = _multipart(body, (found[1] or found[2]).rstrip().encode(), change, depth)
        return None if inside is None else (fields, inside)
    return _leaf(fields, body, content_type, change) if kind == "text/html" else None


def _multipart(body: bytes, boundary: bytes, change: Change, depth: int) -> bytes | None:
    mark = b"\r\n--" + boundary
    pieces = (b"\r\n" + body).split(mark, MAX_PARTS)
    if len(pieces) > MAX_PARTS:
        return None
    found = sections(pieces, mark)
    whole = [found[0], *(_section(section, change, depth) for section in found[1:])]
    return None if whole == found else mark.join(whole).removeprefix(b"\r\n")


def _section(section: bytes, change: Change, depth: int) -> bytes:
    """What stands behind a boundary; the last is no part."""
    line, end, part = section.partition(b"\r\n")
    if line.startswith(b"--") or part.startswith(b"\r\n"):
        return section
    try:
        changed = _entity(*read_mail(part), change, depth + 1)
    except ValueError:
        return section
    return section if changed is None else line + end + join_mail(*changed)


def _leaf(fields: list[Field], body: bytes, content_type: str, change: Change) -> tuple[list[Field], bytes] | None:
    charset = match[1] if (match := _CHARSET.search(content_type)) else "utf-8"
    try:
        text = _decoded(body, value_in(fields, b"content-transfer-encoding").lower()).decode(charset)
        changed = change(text)
        if changed == text:
            return None
        data, ends = _LINE_END.sub("\r\n", changed).encode(charset), "\r\n".encode(charset)
    except (LookupError, UnicodeError, BrokenBase64Error, ValueError):
        return None
    if ends == b"\r\n":
        encoding, encoded = encode_text(data, ascii_only=data.isascii())
    else:  # UTF-16 and the like: octets that look like line ends are none
        encoding, encoded = "base64", base64_lines(data)
    # The line end before the boundary belongs to the boundary: there is none at the end of an encoded text.
    return with_encoding(fields, encoding), encoded


def _decoded(body: bytes, encoding: str) -> bytes:
    """Raises ValueError for an encoding that is none of RFC 2045's."""
    if encoding == "base64":
        return b64decode(body)
    if encoding == "quoted-printable":
        return a2b_qp(body)
    if encoding not in _IDENTITY:
        raise ValueError(f"no transfer encoding: {encoding}")
    return body
