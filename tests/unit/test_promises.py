"""`docs/promises.md` names the tests that hold each promise: they are there, and every promise has some."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([a-z_/]+\.py)::([a-z_0-9]+)`", PAGE)


def _tests(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_named_test_is_there() -> None:
    assert {f"{file}::{name}" for file, name in NAMED if name not in _tests(ROOT / "tests" / file)} == set()


def test_each_of_the_seven_promises_is_held_by_tests() -> None:
    sections = PAGE.split("\n## ")[1:]

    assert [section[:2] for section in sections] == [f"{n}." for n in range(1, 8)]
    assert [section[:2] for section in sections if "`" not in section or "::" not in section] == []
