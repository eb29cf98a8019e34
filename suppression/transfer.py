"""Entries of the suppression list as CSV that `suppression/reading` takes back. Pure."""

import csv
from collections.abc import Iterable
from typing import Final, TextIO

from suppression.entries import Suppression

EXPORT_COLUMNS: Final = (
    "email", "scope", "reason", "source", "detail", "note", "created_at", "expires_at", "only_for", "topic_id",
)  # fmt: skip


def write_header(out: TextIO) -> None:
    """The first line of a CSV export."""
    csv.writer(out, lineterminator="\n").writerow(EXPORT_COLUMNS)


def write_rows(out: TextIO, entries: Iterable[Suppression]) -> None:
    """Entries as CSV lines."""
    csv.writer(out, lineterminator="\n").writerows(_row(entry) for entry in entries)


def _row(entry: Suppression) -> tuple[object, ...]:
    return (
        entry.address, entry.scope.value, entry.reason.value, entry.source.value, _text(entry.detail),
        _text(entry.note),
        entry.created_at.isoformat(), entry.expires_at.isoformat() if entry.expires_at else "",
        entry.only_for or "", entry.topic or "",
    )  # fmt: skip


def _text(text: str) -> str:
    """Words of anybody: behind a blank a spreadsheet takes them for no formula, and reading drops it."""
    return f" {text}" if text.startswith(("=", "+", "-", "@")) else text
