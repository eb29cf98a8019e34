"""Contacts as lines of CSV, for spreadsheets and other systems. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator

from audience.properties import Definitions
from messages.people import Seen
from web.faces.contacts import contact_face

COLUMNS = (
    "email", "first_name", "last_name", "language", "time_zone", "status", "unsubscribed", "created_at",
)  # fmt: skip


def header(definitions: Definitions) -> str:
    """The first line: the contact's own fields, then each property by its key."""
    return _line([*COLUMNS, *definitions])


def lines(found: Iterable[Seen], definitions: Definitions) -> Iterator[str]:
    """A line for each."""
    for one in found:
        face = contact_face(one)
        yield _line([*(face[name] for name in COLUMNS), *(one.contact.properties.get(key) for key in definitions)])


def _line(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: object) -> object:
    """Words of anybody: behind a blank a spreadsheet takes them for no formula, and an import drops it."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return "" if value is None else value.isoformat() if hasattr(value, "isoformat") else value
    return f" {value}" if value.lstrip().startswith(("=", "+", "-", "@")) else value
