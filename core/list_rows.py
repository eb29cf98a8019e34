"""Lines of a list as rows of cells: CSV with whatever separator, or one value a line; what JSON there is in them. Pure.

Never stops at a bad line: a quotation mark that nobody closed takes no other line with it, and a line too long to be
an entry is a fault with its number. Used for lists of suppressed addresses and of contacts; what the columns mean is
theirs to know.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TextIO

import orjson

MARKS: Final = (",", ";", "\t", "|")
"""What separates cells."""
LONGEST_LINE: Final = 1024 * 1024
"""Characters. A line that is longer is cut: nobody has so much to say about a person."""
_MOST_LINES: Final = 20
"""Lines one CSV entry may have: a server's reply that was kept as detail has fewer."""
_END_OF_CELL: Final = re.compile(r"[,;\t|]")

Cells = tuple[int, list[str] | str]
"""The line it ends with, and the cells of a row ([]: nothing), or why it cannot be read."""


def bounded(text: TextIO) -> Iterator[str]:
    """The lines of a stream, however long: a file without an end of line takes no memory."""
    for line in iter(partial(text.readline, LONGEST_LINE), ""):
        yield line
        while len(line) == LONGEST_LINE and not line.endswith("\n"):
            line = text.readline(LONGEST_LINE)


def split(line: str, mark: str) -> list[str]:
    """The cells of one line; [] for what is no CSV."""
    try:
        return [cell.strip() for cell in next(csv.reader([line.strip()], delimiter=mark), [])]
    except csv.Error:
        return []


def says_something(line: str) -> bool:
    """Neither empty nor a comment."""
    text = line.strip()
    return bool(text) and text[0] != "#"


def plain_rows(lines: Iterable[str]) -> Iterator[Cells]:
    """Never through the CSV reader: there a stray quotation mark swallows the lines behind it."""
    for number, line in enumerate(lines, 1):
        cell = _END_OF_CELL.split(line.strip(), 1)[0].strip().strip('"')
        yield number, [cell] if says_something(line) else []


class _Lines:
    """Lines for the CSV reader: no more than an entry may have, and those behind the first can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self.taken: list[str] = []
        """Lines of the entry that is being read."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) > _MOST_LINES:
            raise StopIteration
        line = self._back.popleft() if self._back else next(self._lines)
        self.taken.append(line)
        return line

    def back(self) -> None:
        """Give back all but the first."""
        self._back.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def csv_rows(lines: Iterable[str], mark: str) -> Iterator[Cells]:
    """A quotation mark that nobody closed takes no other line with it: each is read by itself then."""
    given, at = _Lines(lines), 0
    reader = csv.reader(given, delimiter=mark)
    while (row := _next_row(reader)) is not None:
        if len(given.taken) > 1 and (isinstance(row, str) or not _closed(given.taken, mark)):
            given.back()
            row = _next_row(csv.reader(given.taken, delimiter=mark)) or []
        at += len(given.taken)
        given.taken.clear()
        says = isinstance(row, str) or (row and not row[0].startswith("#") and any(map(str.strip, row)))
        yield at, row if says else []


def _next_row(reader: Iterator[list[str]]) -> list[str] | str | None:
    """None at the end; a text says why it is no row."""
    try:
        return next(reader, None)
    except csv.Error as error:
        return f"not CSV: {error}"


def _closed(lines: Sequence[str], mark: str) -> bool:
    """Whether these lines are one entry, with the quotation marks where the format has them."""
    try:
        return len(lines) <= _MOST_LINES and len(list(csv.reader(lines, delimiter=mark, strict=True))) == 1
    except csv.Error:
        return False


def json_object(text: str) -> Any:
    """The value of a JSON text; None for what is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def json_records(document: Any) -> list[object] | None:
    """The objects of a document: a list of them, or the first such list in an object, as APIs answer."""
    found = document
    if isinstance(document, dict):
        found = next((value for value in document.values() if isinstance(value, list)), None)
    return found if isinstance(found, list) else None
