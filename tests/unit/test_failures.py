"""Every row of docs/failures.md names a test that is there."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
_ROW: Final = re.compile(r"^\| (?!It is|They are|---).*\|$", re.MULTILINE)
_SKIP: Final = "skip"
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def _rows() -> list[str]:
    return _ROW.findall((ROOT / "docs" / "failures.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", _rows())
def test_the_test_of_a_row_is_there(row: str) -> None:
    found = _TEST.findall(row)
    assert found, "a row without a test is a hope"
    for file, name in found:
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("row", _rows())
def test_a_row_whose_test_does_not_run_everywhere_says_so(row: str) -> None:
    """A condition of the machine before the test, or around it: what the row says was not shown there."""
    ((file, name),) = _TEST.findall(row)
    where = re.search(r"\| ([^|`]*(?:`[^|`]*`)?): `tests/[^|]*\|$", row)
    assert bool(where and where[1].strip()) is _is_conditional(ROOT / file, name)


def _is_conditional(file: Path, name: str) -> bool:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    marks = [_SKIP in ast.unparse(node) for node in tree.body if isinstance(node, ast.Expr | ast.Assign)]
    within = [
        isinstance(node, ast.If) or _SKIP in ast.unparse(found)
        for node in tree.body
        for found in ast.walk(node)
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) and found.name == name
    ]
    return any(marks) or any(within)


def test_there_are_rows() -> None:
    assert len(_rows()) > 40
