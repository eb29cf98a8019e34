"""Files of lists on the command line: opened, told from one another, and how far reading one is."""

import gzip
import hashlib
import io
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cli.output import CliError, say

_SAMPLE: Final = 1024 * 1024
"""Bytes at the beginning and at the end of a file that, with its size, tell it from another one."""
_TELL_SECONDS: Final = 10.0
"""Between two lines about progress where there is no terminal to draw a bar on."""

TORN: Final = (EOFError, OSError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)
"""What reading a damaged file ends with."""

Tell = Callable[[int, str], None]
"""Gets the line that was reached, and in words what became of the list so far."""


@contextmanager
def opened(file: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """The bytes of a file and its size, or of standard input. Raises CliError."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115  # closed below; opening alone may fail with a message
    except OSError as error:
        raise CliError("cannot_read", f"{file} cannot be read: {error.strerror or error}.") from None
    with source:
        yield source, Path(file).stat().st_size


def cannot_read(file: str, error: Exception) -> CliError:
    """What a damaged file ends the command with."""
    return CliError("cannot_read", f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.")


def fingerprint(file: Path, asked: object) -> str:
    """Tells this file, imported with these terms, from all others."""
    digest = hashlib.sha256(repr(asked).encode())
    with file.open("rb") as source:
        digest.update(source.read(_SAMPLE))
        size = source.seek(0, io.SEEK_END)
        source.seek(max(0, size - _SAMPLE))
        digest.update(source.read(_SAMPLE) + str(size).encode())
    return digest.hexdigest()


@contextmanager
def shown(raw: IO[bytes], size: int | None) -> Iterator[Tell]:
    """Progress as a bar on a terminal, else as a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal or size is None:
        yield _told_in_lines(raw, size)
        return
    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[lines]} lines"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=size, lines="0")
        yield lambda line, _: bar.update(task, completed=raw.tell(), lines=f"{line:,}")


def _told_in_lines(raw: IO[bytes], size: int | None) -> Tell:
    told = time.monotonic()

    def tell(line: int, words: str) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            share = f", {raw.tell() * 100 // size} %" if size else ""
            say(f"{line:,} lines{share}: {words}")

    return tell
