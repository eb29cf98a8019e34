"""Entries of the suppression list as CSV that `suppression/reading` takes back. Pure."""

from collections.abc import Iterable
from typing import Final, TextIO

from core import csv_lines
from suppression.entries import Suppression

EXPORT_COLUMNS: Final = (
    "email", "scope", "reason", "source", "detail", "note", "created_at", "expires_at", "only_for", "topic_id",
)  # fmt: skip


def write_header(out: TextIO) -> None:
    """The first line of a CSV export."""
    out.write(csv_lines.line(EXPORT_COLUMNS))


def write_rows(out: TextIO, entries: Iterable[Suppression]) -> None:
    """Entries as CSV lines."""
    out.writelines(csv_lines.line(_row(entry)) for entry in entries)


def _row(entry: Suppression) -> tuple[object, ...]:
    return (
        entry.address, entry.scope.value, entry.reason.value, entry.source.value, entry.detail,
        entry.note, entry.created_at, entry.expires_at, entry.only_for, entry.topic,
    )  # fmt: skip
