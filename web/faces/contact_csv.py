"""Contacts as lines of CSV, for spreadsheets and other systems. Pure."""

from collections.abc import Iterable, Iterator

from audience.properties import Definitions
from core import csv_lines
from messages.people import Seen
from web.faces.contacts import contact_face

COLUMNS = (
    "email", "first_name", "last_name", "language", "time_zone", "status", "unsubscribed", "created_at",
)  # fmt: skip


def header(definitions: Definitions) -> str:
    """The first line: the contact's own fields, then each property by its key."""
    return csv_lines.line([*COLUMNS, *definitions])


def lines(found: Iterable[Seen], definitions: Definitions) -> Iterator[str]:
    """A line for each."""
    for one in found:
        face = contact_face(one)
        yield csv_lines.line(
            [*(face[name] for name in COLUMNS), *(one.contact.properties.get(key) for key in definitions)]
        )
