"""Suppression lists as text: what other systems export, what we export. Pure; reads and writes lines, nothing else.

Called by the CLI (and whoever takes an upload). `read` accepts a plain file with one address a line, or CSV with a
header that names a column of addresses, such as ours or those of the big services. It never stops at a bad line: each
one comes back as a `Fault` with its number, so that a list of a million is imported but for its three typos.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final, TextIO

from core.addresses import AddressError
from suppression.entries import Addition, Suppression
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rules import DETAIL_LENGTH
from suppression.subjects import is_domain, subject

EXPORT_COLUMNS: Final = ("email", "scope", "reason", "source", "detail", "created_at", "expires_at")

_ADDRESS_COLUMNS: Final = frozenset({"email", "e-mail", "email_address", "emailaddress", "address", "recipient"})
_REASON_COLUMNS: Final = ("reason", "suppressionreason", "origin")
_MOST_LINES: Final = 20
"""Lines one CSV entry may have: a server's reply that was kept as detail has fewer."""
_MARK: Final = "\ufeff"
"""Byte order mark; some spreadsheets put it in front."""
_END_OF_CELL: Final = re.compile(r"[,;\t]")

_REASONS: Final[Mapping[str, Reason]] = {
    **{reason.value: reason for reason in Reason},
    "hardbounce": Reason.HARD_BOUNCE,
    "bounce": Reason.HARD_BOUNCE,
    "bounced": Reason.HARD_BOUNCE,
    "softbounce": Reason.SOFT_BOUNCES,
    "spamcomplaint": Reason.COMPLAINT,
    "spam": Reason.COMPLAINT,
    "unsubscribed": Reason.UNSUBSCRIBE,
    "manualsuppression": Reason.MANUAL,
}
"""Words for the reason, without blanks, hyphens and case. Any other word becomes `import` and is kept in the detail."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that was not taken."""

    line: int
    text: str
    """The address as it stands there, at most 200 characters."""
    reason: str


def read(
    lines: Iterable[str], scope: SuppressionScope, source: Source, now: datetime, reason: Reason = Reason.IMPORT
) -> Iterator[Addition | Fault]:
    """Entries and faults in the order of the lines. `scope` and `reason` hold for lines that name none themselves.

    Empty lines and lines that begin with "#" are passed over, and so are entries that ended before `now`.
    """
    numbered = enumerate(lines, 1)
    opening = next(((number, text) for number, text in numbered if _says_something(text.removeprefix(_MARK))), None)
    if opening is None:
        return
    number, header = opening[0], opening[1].removeprefix(_MARK).strip()
    usual = SuppressionEntry(scope, reason, source, "")
    delimiter = next((mark for mark in ",;\t" if mark in header), ",")
    columns = _Columns.of([name.strip(' "').lower() for name in header.split(delimiter)])
    if columns is None:
        rows = _plain_rows(chain([(number, header)], numbered))
        columns = _Columns(0)
    else:
        rows = _csv_rows((line for _, line in numbered), delimiter, number)
    for number, row in rows:
        item = Fault(number, "", row) if isinstance(row, str) else _item(row, columns, usual, now, number)
        if item is not None:
            yield item


def write_header(out: TextIO) -> None:
    """The first line of a CSV export."""
    csv.writer(out, lineterminator="\n").writerow(EXPORT_COLUMNS)


def write_rows(out: TextIO, entries: Iterable[Suppression]) -> None:
    """Entries as CSV lines that `read` takes back."""
    writer = csv.writer(out, lineterminator="\n")
    for entry in entries:
        expires = entry.expires_at.isoformat() if entry.expires_at else ""
        created = entry.created_at.isoformat()
        writer.writerow(
            (entry.address, entry.scope.value, entry.reason.value, entry.source.value, entry.detail, created, expires)
        )


def plain_detail(text: str) -> str:
    """`text` as a detail: one line, printable (PostgreSQL takes no NUL, UTF-8 no lone surrogate), of bounded length."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()[:DETAIL_LENGTH]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the fields stand in a row; None for a field the file does not have."""

    address: int
    reason: int | None = None
    scope: int | None = None
    detail: int | None = None
    expires_at: int | None = None

    @staticmethod
    def of(names: list[str]) -> "_Columns | None":
        """From a header; None when no name in it stands for an address: the line is no header."""
        address = next((index for index, name in enumerate(names) if name in _ADDRESS_COLUMNS), None)
        if address is None:
            return None
        found = {name: index for index, name in reversed(list(enumerate(names)))}
        reason = next((found[name] for name in _REASON_COLUMNS if name in found), None)
        return _Columns(address, reason, found.get("scope"), found.get("detail"), found.get("expires_at"))


_Rows = Iterator[tuple[int, list[str] | str]]
"""Line number with the cells of a row, or with the reason why it cannot be read."""


def _plain_rows(lines: Iterable[tuple[int, str]]) -> _Rows:
    """One address a line. Never through the CSV reader: there a stray quotation mark swallows the lines behind it."""
    for number, line in lines:
        if _says_something(line):
            yield number, [_END_OF_CELL.split(line.strip(), 1)[0].strip().strip('"')]


def _says_something(line: str) -> bool:
    text = line.strip()
    return bool(text) and text[0] != "#"


def _csv_rows(lines: Iterator[str], delimiter: str, before: int) -> _Rows:
    """Rows behind a header that took the lines up to `before`."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        start = reader.line_num
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield before + reader.line_num, f"not CSV: {error}"
            continue
        if reader.line_num - start > _MOST_LINES:
            taken = f"lines {before + start + 1} to {before + reader.line_num}"
            yield before + start + 1, f"a quotation mark that is not closed makes one entry of {taken}"
        elif any(cell.strip() for cell in row) and not row[0].startswith("#"):
            yield before + reader.line_num, row


def _cell(row: list[str], index: int | None) -> str:
    return row[index].strip() if index is not None and index < len(row) else ""


def _item(
    row: list[str], columns: _Columns, usual: SuppressionEntry, now: datetime, line: int
) -> Addition | Fault | None:
    text = _cell(row, columns.address)
    if "\ufffd" in text:
        return Fault(line, text[:200], "the line is not UTF-8")
    try:
        address = subject(text)
        if is_domain(address):
            raise ValueError("this stands for every address of a domain: add it by itself")
        entry = _entry(row, columns, usual)
    except AddressError as error:
        return Fault(line, text[:200], error.reason)
    except ValueError as error:
        return Fault(line, text[:200], str(error))
    if entry.expires_at is not None and entry.expires_at <= now:
        return None
    return Addition(address, entry)


def _entry(row: list[str], columns: _Columns, usual: SuppressionEntry) -> SuppressionEntry:
    """The entry of a row. Raises ValueError for a scope or an end that cannot be read."""
    if len(row) == 1:
        return usual
    scope_text, end = _cell(row, columns.scope).lower(), _cell(row, columns.expires_at)
    word, detail = _cell(row, columns.reason), _cell(row, columns.detail)
    reason = usual.reason
    if word:
        known = _REASONS.get(word.lower()) or _REASONS.get("".join(filter(str.isalnum, word.lower())))
        reason = known or Reason.IMPORT
        detail = detail or ("" if known else word)
    scope = SuppressionScope(scope_text) if scope_text else usual.scope
    return SuppressionEntry(scope, reason, usual.source, plain_detail(detail), _moment(end) if end else None)


def _moment(text: str) -> datetime:
    """ISO 8601; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
