"""A first look at a list, before anything is done: what its columns hold and are taken as, its first people as they
would be read, what speaks against lines, and what would become of them (`rehearse`).

Only the first lines are looked at (`LOOKED_AT`): what is found of them says how many they were.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Final

from audience.checks import MailRecords
from audience.importing import asking, slices
from audience.importing.columns import ColumnMap, Layout
from audience.importing.merging import Terms
from audience.importing.rows import ContactReader, Fault, Row
from audience.importing.slices import Domains, Progress, Work, read
from audience.properties import Definitions
from core.ids import uuid7
from core.list_files import TORN, decoded, lent
from core.list_rows import bounded, split
from core.refusal import invalid
from store.database import Database

LOOKED_AT: Final = 2_000
"""Lines."""
_SAMPLES: Final = 3
"""Values of a column that are shown, from so many more lines."""
_FEW_LINES: Final = 40
_LONGEST_LINE: Final = 20_000
_LONGEST_VALUE: Final = 60
_PEOPLE: Final = 5


@dataclass(frozen=True, slots=True)
class Column:
    """One of a list."""

    number: int
    """From 1."""
    name: str
    """Its header; "" where the list has none."""
    values: tuple[str, ...]
    """The first of them."""
    taken: str
    """A field, `properties.KEY`, "" for nothing."""
    by: str
    """What names it in a `ColumnMap`."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    columns: Sequence[Column]
    people: Sequence[Row]
    lines: int
    """That were looked at, without header and empty ones."""
    good: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    """The first of them."""


def columns(file: IO[bytes], known: Definitions, given: ColumnMap) -> Sequence[Column]:
    """What the columns hold, and are taken as. Raises Refused."""
    lines, reader = _reader(file, known, given)
    return _columns(reader.opened(), lines.kept)


def look(file: IO[bytes], known: Definitions, given: ColumnMap, *, vouched: bool) -> Look:
    """The same, and what the first lines hold; `vouched`: their consent is proved. Raises Refused."""
    lines, reader = _reader(file, known, given)
    try:
        count, people, faults = read(iter(reader), vouched)
    except TORN as error:
        raise invalid("file", f"it is damaged: {error}", "invalid_file") from None
    reasons = Counter(fault.why.value for fault in faults)
    return Look(
        _columns(reader.opened(), lines.kept), people[:_PEOPLE], count, len(people), dict(reasons.most_common()),
        faults[:_PEOPLE],
    )  # fmt: skip


async def rehearse(
    database: Database, records: MailRecords, terms: Terms, file: IO[bytes], known: Definitions
) -> Progress:
    """What would become of the first lines: all is done, DNS asked, and nothing kept. Raises Refused."""
    _, reader = _reader(file, known, terms.columns)
    try:
        return await slices.run(database, Work(uuid7(), terms, reader, Domains(records), dry=True), lambda _: None)
    except TORN as error:
        raise invalid("file", f"it is damaged: {error}", "invalid_file") from None


class _Kept:
    """Lines that pass through, the first of them kept."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.kept: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if len(self.kept) < _FEW_LINES:
                self.kept.append(line[:_LONGEST_LINE])
            yield line


def _reader(file: IO[bytes], known: Definitions, given: ColumnMap) -> tuple[_Kept, ContactReader]:
    text = decoded(lent(file), asking.MOST_UNPACKED)
    lines = _Kept(islice(bounded(text), LOOKED_AT))
    return lines, ContactReader(lines, known, given)


def _columns(layout: Layout, kept: Sequence[str]) -> Sequence[Column]:
    rows = [split(line, layout.mark) if layout.mark else [line.strip()] for line in kept[layout.start :]]
    width = len(layout.header) or max((len(row) for row in rows), default=1)
    taken = {place: name for name, place in layout.places.items()}
    names = [*layout.header, *[""] * (width - len(layout.header))]
    return [
        Column(place + 1, names[place][:200], _values(rows, place), taken.get(place, ""), _by(names, place))
        for place in range(width)
    ]


def _values(rows: Sequence[Sequence[str]], place: int) -> tuple[str, ...]:
    found = (row[place][:_LONGEST_VALUE] for row in rows if place < len(row) and row[place])
    return tuple(islice(dict.fromkeys(found), _SAMPLES))


def _by(names: Sequence[str], place: int) -> str:
    """A name that is its alone, else its number: a header may come again, or be empty."""
    name = names[place].strip()
    alone = [one.strip().lower() for one in names].count(name.lower()) == 1
    return name if name and alone and not name.isdigit() else str(place + 1)
