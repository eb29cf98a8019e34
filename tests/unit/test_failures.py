"""Every row of docs/failures.md names a test that is there."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
_ROW: Final = re.compile(r"^\| (?!It is|They are|---).*\|$", re.MULTILINE)
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def _rows() -> list[str]:
    return _ROW.findall((ROOT / "docs" / "failures.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", _rows())
def test_the_test_of_a_row_is_there(row: str) -> None:
    found = _TEST.findall(row)
    assert found, "a row without a test is a hope"
    for file, name in found:
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name


def test_there_are_rows() -> None:
    assert len(_rows()) > 40
