"""A column of a table names something that its rows have: what `emit` shows without `cells` is the object itself, and
not its face."""

import ast
import dataclasses
import importlib
import typing
from collections.abc import Iterator
from pathlib import Path

from cli.output import Column

_COMMANDS = Path(__file__).resolve().parents[3] / "cli" / "commands"


def test_columns_without_cells_name_fields_of_the_object() -> None:
    shown = list(_shown_as_they_are())
    assert len(shown) > 5, "the tables were found"
    wrong = [f"{where}: {keys - fields}" for where, keys, fields in shown if keys - fields]
    assert not wrong, "these columns are empty for every row: give `cells`"


def _shown_as_they_are() -> Iterator[tuple[str, set[str], set[str]]]:
    """Where an object with a face is shown without `cells`: the keys of the columns, and the fields there are."""
    for path in sorted(_COMMANDS.glob("*.py")):
        module = importlib.import_module(f"cli.commands.{path.stem}")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                given = {one.arg: one.value for one in call.keywords}
                if ast.unparse(call.func) != "emit" or "cells" in given or "columns" not in given:
                    continue
                fields = _fields(module, call)
                if fields:
                    yield f"{path.stem}.{function.name}", _keys(module, function, given["columns"]), fields


def _fields(module: object, call: ast.Call) -> set[str]:
    """Of what the face takes; none where that is no dataclass."""
    face = getattr(module, ast.unparse(call.args[1]), None) if len(call.args) > 1 else None
    if face is None:
        return set()
    taken = next(iter(typing.get_type_hints(face).values()))
    return {one.name for one in dataclasses.fields(taken)} if dataclasses.is_dataclass(taken) else set()


def _keys(module: object, function: ast.FunctionDef, columns: ast.expr) -> set[str]:
    """Of a constant of the module, else of all columns that the function makes."""
    constant: tuple[Column, ...] | None = getattr(module, ast.unparse(columns), None)
    if constant is not None:
        return {one.key for one in constant}
    made = (node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Column")
    return {str(node.args[0].value) for node in made if isinstance(node.args[0], ast.Constant)}
