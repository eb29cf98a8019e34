"""A list somebody exported as lines of text, however it is encoded: of suppressed addresses, or of contacts.

UTF-8 with or without a byte order mark, UTF-16 with one or without, gzip around it or a zip archive with one file in
it, lines that end in CR, LF or both. Bytes that are no UTF-8 are taken as Latin-1: most exports hold nothing else but
names of people. `core/list_rows` makes rows of the lines.
"""

import codecs
import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from typing import IO, Any, Final

from core.refusal import invalid

_HEAD: Final = 4096
_LATIN_1: Final = "postlane_latin_1"
_ARCHIVE: Final = b"PK\x03\x04"
_GZIP: Final = b"\x1f\x8b"
_SPOOLED: Final = 16 * 1024 * 1024
"""Bytes of a zip archive from standard input that are kept in memory; beyond them in a file."""
_SHEET: Final = ("[Content_Types].xml", "mimetype")
"""Parts of spreadsheets, which are zip archives too."""
TORN: Final = (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged file ends with, whatever it is packed with."""


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_LATIN_1, _as_latin_1)


def decoded(raw: IO[bytes], most: int | None = None) -> io.TextIOWrapper:
    """The text of a stream, its lines ending in LF. Raises Refused for what is no text, and while it is read for what
    unpacks to more than `most` bytes."""
    stream = _peekable(raw)
    head = stream.peek(_HEAD)[:_HEAD]
    if head.startswith(_ARCHIVE):
        stream = _unpacked(_only_file(stream), most)
        head = stream.peek(_HEAD)[:_HEAD]
    elif head.startswith(_GZIP):
        stream = _unpacked(gzip.GzipFile(fileobj=stream, mode="rb"), most)
        head = stream.peek(_HEAD)[:_HEAD]
    return io.TextIOWrapper(stream, _encoding(head), _LATIN_1, newline=None)


def lent(file: IO[bytes]) -> io.BufferedReader:
    """A file from its beginning, that stays open when whoever reads it is done."""
    file.seek(0)
    return io.BufferedReader(_Lent(file))


class _Lent(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is: an archive wants it."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new place."""
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        """The place."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        data = self._file.read(len(memoryview(buffer)))
        memoryview(buffer)[: len(data)] = data
        return len(data)


class _Bounded(io.RawIOBase):
    """What unpacks to more than it may ends in a refusal: a small archive can hold terabytes."""

    def __init__(self, packed: IO[bytes] | gzip.GzipFile, most: int) -> None:
        self._packed = packed
        self._most = most
        self._read = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        view = memoryview(buffer)
        data = self._packed.read(len(view))
        self._read += len(data)
        if self._read > self._most:
            raise invalid("file", f"it unpacks to more than {self._most // 1024**2:,} MB", "invalid_file")
        view[: len(data)] = data
        return len(data)


def _unpacked(packed: IO[bytes] | gzip.GzipFile, most: int | None) -> io.BufferedReader:
    return io.BufferedReader(_Bounded(packed, most) if most else packed)  # type: ignore[arg-type]  # has readinto


def _only_file(stream: io.BufferedReader) -> IO[bytes]:
    """The one file in a zip archive. Raises Refused when there are several, or none, or it is a spreadsheet."""
    try:
        archive = zipfile.ZipFile(stream if stream.seekable() else _seekable(stream))
        names = [one.filename for one in archive.infolist() if not one.is_dir() and not _is_by_the_way(one.filename)]
        if any(name in _SHEET for name in names):
            raise invalid("file", "it is a spreadsheet: save the sheet as CSV", "invalid_file")
        if len(names) != 1:
            shown = f": {', '.join(names[:3])[:200]}" if names else ""
            raise invalid("file", f"the archive must hold one file, and holds {len(names)}{shown}", "invalid_file")
        return archive.open(names[0])
    except (*TORN, NotImplementedError, RuntimeError) as error:  # RuntimeError: it wants a password
        raise invalid("file", f"the archive cannot be read: {error}", "invalid_file") from None


def _is_by_the_way(name: str) -> bool:
    """What a Mac packs along."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def _seekable(stream: IO[bytes]) -> IO[bytes]:
    copy = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115  # read by the caller, gone with it
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy


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
