"""Lines of CSV: what spreadsheets make of them, and what an import gets back."""

import csv
import io
from datetime import UTC, datetime

import pytest

from core import csv_lines


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", "  @", "\uff1d", "\uff20"])
def test_no_text_begins_a_formula(begin: str) -> None:
    text = f'{begin}HYPERLINK("x")'
    ((cell, _),) = csv.reader(io.StringIO(csv_lines.line([text, 1]), newline=""))

    assert cell.startswith(" ")
    assert cell.strip() == text.strip()


def test_what_is_no_text_stays_as_it_is() -> None:
    written = csv_lines.line(["a,b", None, True, -5, datetime(2026, 11, 28, tzinfo=UTC)])

    assert written == '"a,b",,true,-5,2026-11-28T00:00:00+00:00\n'
