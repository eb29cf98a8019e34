"""Writes `docs/settings.md`, the reference of all settings, from `core.settings.Settings`.

`python -m deploy.settings_page` writes the page, `--check` only says whether it is up to date (exit status 1 when not);
a test does the same. The class is the only source: name, type, default, bounds and meaning come from its fields, the
headings from the comments that group them. Nothing at run time imports this module.
"""

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from core import settings as module
from core.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

_HEAD = """\
# Settings

Written by `python -m deploy.settings_page` from `core/settings.py`: change it there, not here.

Every process reads its settings once, when it starts: from the environment, and from a file `.env` in its working
directory, where the environment wins. Lists are JSON: `POSTLANE_DNS_SERVERS=["127.0.0.1:53"]`. A wrong value stops the
process with a line that names the variable; a `POSTLANE_` name that is no setting does nothing, and each process says
so when it starts (`setting_unknown`). `postlane init` writes a first `.env`, `postlane doctor` checks the result.
"""

_COLUMNS = "| Variable | Type | Default | Meaning |\n| --- | --- | --- | --- |"

_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
}

_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def render() -> str:
    """The whole page as text."""
    parts = [_HEAD]
    for heading, names in groups():
        rows = (_row(f"{_prefix()}{name.upper()}", Settings.model_fields[name]) for name in names)
        parts.append("\n".join([f"## {heading}", "", _COLUMNS, *rows]) + "\n")
    parts.append("\n".join(["## Identity of a worker", "", _COLUMNS, *_other_variables()]) + "\n")
    return "\n".join(parts)


def groups() -> list[tuple[str, list[str]]]:
    """Field names under the comment (`# Sending`) that stands above them in the class, in the order of the source."""
    source = inspect.getsource(Settings)
    heads = {n: line.strip("# \n") for n, line in enumerate(source.splitlines(), 1) if re.match(r"    # \w+$", line)}
    found: dict[str, list[str]] = {heading: [] for heading in heads.values()}
    for field in ast.walk(ast.parse(source)):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            line = max(n for n in heads if n < field.lineno)
            found[heads[line]].append(field.target.id)
    return list(found.items())


def variables() -> set[str]:
    """Every environment variable that Postlane's processes read."""
    return {f"{_prefix()}{name.upper()}" for name in Settings.model_fields} | set(_read_directly())


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` compare it; the exit status."""
    text = render()
    if "--check" in arguments:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        if not fresh:
            print(f"{PAGE.name} is not up to date: run `python -m deploy.settings_page`", file=sys.stderr)
        return 0 if fresh else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


def _prefix() -> str:
    return str(Settings.model_config["env_prefix"])


def _row(variable: str, field: FieldInfo) -> str:
    kind = _kind(field.annotation)
    bounds = ", ".join(_bounds(field))
    return _line(f"`{variable}`", f"{kind}, {bounds}" if bounds else kind, _default(field), field.description or "")


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _kind(annotation: Any) -> str:  # a type as pydantic keeps it
    if annotation in _KINDS:
        return _KINDS[annotation]
    inner = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_kind(part) for part in inner)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{part}`" for part in inner)
    if get_origin(annotation) in (tuple, list):
        return f"list of {_kind(inner[0])}"
    raise TypeError(f"a setting of type {annotation}: say here how the page should name it")


def _bounds(field: FieldInfo) -> Iterable[str]:
    for constraint in field.metadata:
        for name, sign in _BOUNDS:
            limit = getattr(constraint, name, None)
            if limit is not None:
                yield f"{sign} {limit:g}" if isinstance(limit, float) else f"{sign} {limit}"
        pattern = getattr(constraint, "pattern", None)
        if pattern:
            yield "one of " + ", ".join(f"`{word}`" for word in pattern.strip("^$()").split("|"))


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _read_directly() -> dict[str, str]:
    """Variables that `core/settings.py` reads without a field, with what the reading function says of itself."""
    found = {}
    for function in ast.parse(inspect.getsource(module)).body:
        if isinstance(function, ast.FunctionDef):
            words = (n.value for n in ast.walk(function) if isinstance(n, ast.Constant) and isinstance(n.value, str))
            for word in words:
                if re.fullmatch(rf"{_prefix()}[A-Z_]+", word):
                    found[word] = (ast.get_docstring(function) or "").replace("\n", " ")
    return found


def _other_variables() -> list[str]:
    return [_line(f"`{name}`", "text", "host name", meaning) for name, meaning in sorted(_read_directly().items())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
