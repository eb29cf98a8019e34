"""A list somebody exported as lines of text, however it is encoded. Pure over a stream of bytes.

UTF-8 with or without a byte order mark, UTF-16 with one or without, gzip around it, lines that end in CR, LF or both.
Bytes that are no UTF-8 are taken as Latin-1: most exports hold nothing else but names of people, and an address that
is misread forbids nobody anything.
"""

import codecs
import gzip
import io
from typing import IO, Final

from core.refusal import invalid

_HEAD: Final = 4096
_LATIN_1: Final = "postlane_latin_1"
_ARCHIVE: Final = b"PK\x03\x04"
_GZIP: Final = b"\x1f\x8b"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_LATIN_1, _as_latin_1)


def decoded(raw: IO[bytes]) -> io.TextIOWrapper:
    """The text of a stream, its lines ending in LF. Raises Refused for what is no text."""
    stream = _peekable(raw)
    head = stream.peek(_HEAD)[:_HEAD]
    if head.startswith(_ARCHIVE):
        raise invalid(
            "file", "it is a zip archive or a spreadsheet: unpack it, or save the sheet as CSV", "invalid_file"
        )
    if head.startswith(_GZIP):
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream))
        head = stream.peek(_HEAD)[:_HEAD]
    return io.TextIOWrapper(stream, _encoding(head), _LATIN_1, newline=None)


def _peekable(raw: IO[bytes]) -> io.BufferedReader:
    return raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[arg-type]  # has readinto


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    quarter = len(head) // 4
    if quarter and head[1::2].count(0) > quarter:
        return "utf-16-le"
    if quarter and head[::2].count(0) > quarter:
        return "utf-16-be"
    return "utf-8"
