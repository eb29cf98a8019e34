"""Reads a list that another system exported: each line an entry, a fault, or somebody who is passed over.

Takes a plain file with one address a line, CSV with or without a header, and JSON. `core/list_files` gives the lines,
`core/list_rows` their cells, `suppression/columns` says what they mean. Never stops at a bad line: each one comes back
as a `Fault` with its number, so that a list of ten million is imported but for its three typos. Pure.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from core.addresses import AddressError, fold_address
from core.clock import YEARS
from core.list_rows import MARKS, csv_rows, json_object, json_records, plain_rows, says_something, split
from suppression.columns import (
    Columns,
    columns_of,
    columns_seen,
    gets_mail,
    moment,
    plain,
    reason_of,
    reason_of_state,
)
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rules import plain_detail
from suppression.subjects import is_domain, subject

_LOOKED_AT: Final = 20
"""Lines among which the header is looked for: some exports begin with a title."""
_REMEMBERED: Final = 10_000
"""Different rows kept, but for their addresses."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every line that says nothing else."""

    now: datetime
    scope: SuppressionScope = SuppressionScope.ALL
    source: Source = Source.IMPORT
    reason: Reason | None = None
    """None: what the file as a whole says, else `import`."""
    owner: UUID | None = None
    only_for: UUID | None = None
    topic: UUID | None = None
    actor: str = ""
    topics: frozenset[tuple[UUID, UUID]] | None = None
    """Applications with their topics; None: whatever a line names is taken."""
    domains: bool = False
    """Lines such as `@example.com` are taken. They stand for every address of a domain, or for a slip of the hand."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that was not taken."""

    line: int
    text: str
    """The address as it stands there, at most 200 characters."""
    reason: str


class Passed(Enum):
    """Why a line that is right is not taken."""

    OVER = "over"
    """Its time has ended."""
    GETS_MAIL = "gets_mail"
    """The other system writes to them."""


Item = Addition | Fault | Passed

_Decided = tuple[SuppressionEntry, UUID | None, UUID | None] | Passed
"""What a row says beside its address: the entry, its application and its topic."""
_Row = tuple[Columns, int, list[str] | str]
"""The same with the columns."""


class ListReader:
    """Iterates over the items of a list. `line` is the last line that was read for them."""

    def __init__(self, lines: Iterable[str], terms: Terms, behind: int = 0) -> None:
        """Items of the lines up to `behind` are left out; it is the last line of an item."""
        self.behind = behind
        self._lines = iter(lines)
        self.terms = terms
        self._bare = SuppressionEntry(terms.scope, terms.reason or Reason.IMPORT, terms.source, "")
        self._decided: dict[tuple[object, ...], _Decided] = {}
        self.line = 0
        self.seen = "nothing"
        """What the file looked like, in words for whoever wonders why nothing was taken."""

    def __iter__(self) -> Iterator[Item]:
        head = list(itertools.islice(self._lines, _LOOKED_AT))
        opening = next((line.strip() for line in head if says_something(line)), "")
        if not opening:
            self.seen = f"{len(head)} empty lines" if head else "an empty file"
            return
        rows = self._json(head) if opening[0] in "{[" else None
        for columns, at, row in rows if rows is not None else self._table(head):
            if isinstance(row, str):
                yield Fault(at, "", row)
            elif row and self.line > self.behind:
                yield self._item(row, columns)

    # Rows

    def _table(self, head: list[str]) -> Iterator[_Row]:
        start, mark, columns = _layout(head)
        skipped = max(0, self.behind - start)  # without a look at them: a list of millions is soon where it was
        lines = itertools.islice(itertools.chain(head[start:], self._lines), skipped, None)
        self.line = start = start + skipped
        shown = [repr(mark), "as separator"] if mark else ["one address a line"]
        self.seen = " ".join([*shown, f"beginning with {next(filter(says_something, head)).strip()[:80]!r}"])
        rows = csv_rows(lines, mark) if mark else plain_rows(lines)
        for at, row in rows:
            self.line = start + at
            yield columns, self.line, row

    def _json(self, head: list[str]) -> Iterator[_Row] | None:
        """One object a line, or one document; None: it only looks like JSON."""
        first = next(line for line in head if says_something(line))
        if isinstance(json_object(first), dict):
            self.seen = "one JSON object a line"
            return self._json_lines(itertools.chain(head, self._lines))
        text = "".join(itertools.chain(head, self._lines))
        records = json_records(json_object(text))
        if records is None:
            self._lines = iter(text.splitlines(keepends=True)[len(head) :])
            return None
        self.seen = f"a JSON document with {len(records)} objects"
        return self._json_records(records)

    def _json_lines(self, lines: Iterable[str]) -> Iterator[_Row]:
        for self.line, line in enumerate(lines, 1):
            if line.strip():
                yield _fields(self.line, json_object(line))

    def _json_records(self, records: Sequence[object]) -> Iterator[_Row]:
        for self.line, record in enumerate(records, 1):
            yield _fields(self.line, record)

    # Items

    def _item(self, row: list[str], columns: Columns) -> Item:
        text = _cell(row, columns.address)
        try:
            kept = self._subject(text)
            decided = self._decide(row, columns)
        except AddressError as error:
            return Fault(self.line, text[:200], error.reason)
        except ValueError as error:
            return Fault(self.line, text[:200], str(error))
        if isinstance(decided, Passed):
            return decided
        entry, only_for, topic = decided
        t = self.terms
        since = moment(_cell(row, columns.since)) if columns.since is not None else None
        begun = since if since is not None and since < t.now else None
        return Addition(kept, entry, t.owner, only_for, topic, actor=t.actor, since=begun)

    def _decide(self, row: list[str], columns: Columns) -> "_Decided":
        """What the cells beside the address and the time say: the same on most lines of a list, so it is remembered.
        Raises ValueError."""
        said = list(row)
        for place in (columns.address, columns.since):
            if place is not None and place < len(said):
                said[place] = ""
        key = (*said, columns)
        decided = self._decided.get(key)
        if decided is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            self._decided[key] = decided = self._said(row, columns)
        return decided

    def _said(self, row: list[str], columns: Columns) -> "_Decided":
        if columns.members or (columns.state is not None and gets_mail(_cell(row, columns.state))):
            return Passed.GETS_MAIL
        entry = self._entry(row, columns)
        only_for, topic = self._whose(row, columns)
        if (entry.scope is SuppressionScope.TOPIC) != (topic is not None):
            raise ValueError("an entry for a topic needs its scope, topic and application")
        if topic is not None and self.terms.topics is not None and (only_for, topic) not in self.terms.topics:
            raise ValueError(f"the application has no topic {topic}")
        if entry.expires_at is not None and entry.expires_at <= self.terms.now:
            return Passed.OVER
        return entry, only_for, topic

    def _whose(self, row: list[str], columns: Columns) -> tuple[UUID | None, UUID | None]:
        """As our own export has it; what was asked for comes first."""
        t = self.terms
        only_for, topic = _cell(row, columns.only_for), _cell(row, columns.topic)
        return t.only_for or _id(only_for), t.topic or _id(topic)

    def _subject(self, text: str) -> str:
        if text[:1] == "@" or ":" in text:
            kept = subject(text)
            if is_domain(kept) and not self.terms.domains:
                raise ValueError("this stands for every address of a domain, which has to be asked for (--domains)")
            return kept
        return fold_address(text)

    def _entry(self, row: list[str], columns: Columns) -> SuppressionEntry:
        """The entry of a row. Raises ValueError for a scope or an end that cannot be read."""
        if len(row) == 1:
            return self._bare
        t, word, state = self.terms, _cell(row, columns.reason), _cell(row, columns.state)
        reason = t.reason or columns.usual or Reason.IMPORT
        known = (reason_of(word) if word else None) or (reason_of_state(state) if state else None)
        if word or state:
            reason = known or reason
        detail = _cell(row, columns.detail) or (word if word and plain(word) not in _PLAIN_WORDS else "")
        scope_text, end = _cell(row, columns.scope).lower(), _cell(row, columns.expires_at)
        scope = SuppressionScope(scope_text) if scope_text and t.topic is None else t.scope
        expires = moment(end) if end else None
        if end and expires is None:
            raise ValueError(f"{end[:60]!r} is no time between {YEARS.start} and {YEARS.stop}")
        note = plain_detail(_cell(row, columns.note))
        return SuppressionEntry(scope, reason, t.source, plain_detail(detail), expires, note)


_PLAIN_WORDS: Final = frozenset(plain(word) for reason in Reason for word in (reason.value, reason.name)) | {
    "hardbounce", "bounce", "bounced", "spamcomplaint", "complained", "unsubscribed", "manualsuppression", "cleaned",
}  # fmt: skip
"""Words for a reason that say nothing beyond it."""


def _layout(head: Sequence[str]) -> tuple[int, str, Columns]:
    """Lines to pass over, the separator ("": one address a line), and the columns.

    A header is the first line that names a column of addresses; else the columns are those of the first line with an
    address, and what stands above it is a header in words we do not know.
    """
    for number, line in enumerate(head):
        for mark in MARKS:
            columns = columns_of(split(line, mark))
            if columns is not None:
                return number + 1, mark, columns
    for number, line in enumerate(head):
        for mark in MARKS:
            cells = split(line, mark)
            place = next((index for index, cell in enumerate(cells) if _is_subject(cell)), None)
            if place is not None and (len(cells) > 1 or mark == MARKS[-1]):
                return number, mark if len(cells) > 1 else "", columns_seen(cells, place)
    return 0, "", Columns(0)


def _is_subject(text: str) -> bool:
    try:
        return bool(subject(text))
    except AddressError:
        return False


def _cell(row: Sequence[str], index: int | None) -> str:
    return row[index].strip() if index is not None and index < len(row) else ""


def _id(text: str) -> UUID | None:
    """Raises ValueError."""
    return UUID(text) if text else None


def _fields(number: int, record: object) -> _Row:
    if not isinstance(record, dict):
        return Columns(0), number, "this is no JSON object"
    columns = columns_of(list(record))
    if columns is None:
        return Columns(0), number, f"no field of {', '.join(list(record)[:6])} holds an address"
    return columns, number, ["" if value is None else str(value) for value in record.values()]
