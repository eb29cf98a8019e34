"""Lines of CSV that a spreadsheet opens and our imports take back. Pure."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Final

_COMMANDS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, also in the wide forms that some spreadsheets take for the same (OWASP)."""


def line(values: Iterable[object]) -> str:
    """One line with its end. None is an empty cell, a time is ISO 8601, a flag is `true` or `false`."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    """Words of anybody: behind a blank a spreadsheet takes them for no formula, and an import drops it."""
    return f" {text}" if text.lstrip().startswith(_COMMANDS) else text
