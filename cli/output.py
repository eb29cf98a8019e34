"""What commands print: tables for people, JSON for programs, errors with a code.

Owns the one decision "person or program": JSON when standard output is not a terminal or `--json` is given; for
errors, standard error decides. A program is shown a noun by its face in `web/faces`, as the API's clients are; a list
comes without its envelope. Every command prints through here. Never reads settings, never ends the process.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from textwrap import fill
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from cli.tables import Column, print_object, print_rows, shown
from core.errors import PostlaneError
from core.visible import json_for_terminals, on_one_line, visible

__all__ = [
    "CliError",
    "Column",
    "JsonOption",
    "emit",
    "print_error",
    "print_json",
    "print_raw",
    "print_table",
    "say",
    "shown",
    "tell",
    "visible",
    "wants_json",
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")]
"""Type of the parameter that every command with output has: `as_json: JsonOption = False`."""


class CliError(PostlaneError):
    """A command cannot do what it was asked. `code` is stable and meant for scripts; `hint` says what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def wants_json(as_json: bool) -> bool:
    """Whether this command's answer goes to a program."""
    return as_json or not sys.stdout.isatty()


def emit(
    data: object,
    face: Callable[[Any], object] | None = None,
    *,
    cells: Callable[[Any], Mapping[str, object]] | None = None,
    as_json: bool = False,
    columns: Sequence[Column] = (),
    empty: str = "Nothing found.",
) -> None:
    """Print one thing (mapping or dataclass) or rows of them: to a program by its `face` and whatever the columns say,
    to a person as a table of its `cells`. What has neither is shown as it is."""
    if wants_json(as_json):
        print_json(_each(data, face))
    else:
        print_table(_each(data, cells), columns, empty=empty)


def print_table(
    data: object, columns: Sequence[Column] = (), *, title: str = "", empty: str = "Nothing found."
) -> None:
    """Print one object, or rows of them, for a person: the columns only (all keys of the first row when there are
    none), with control characters made visible. `empty` is said when there are no rows."""
    console = Console()
    if _is_record(data):
        record = _record(data)
        print_object(console, record, columns or [Column(key) for key in record], title)
        return
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes)):
        raise TypeError(f"cannot show {type(data).__name__} as a table")
    rows = [_record(row) for row in data]
    if rows:
        print_rows(console, rows, columns or [Column(key) for key in rows[0]], title)
    else:
        console.print(Text(visible(empty), style="dim"), soft_wrap=True)


def print_json(data: object) -> None:
    """Print JSON on standard output; dates as ISO 8601, dataclasses as objects, anything unknown as its text."""
    sys.stdout.write(_json(list(data) if isinstance(data, (set, frozenset)) else data))
    sys.stdout.flush()


def _json(data: object) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    return json_for_terminals(orjson.dumps(data, default=str, option=options).decode())


def print_raw(data: bytes) -> None:
    """Bytes as they are for a file or a program; on a terminal as text that cannot steer it."""
    if sys.stdout.isatty():
        sys.stdout.write(visible(data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")))
        sys.stdout.flush()
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def tell(message: str, style: str = "") -> None:
    """One sentence of an answer on standard output: text from elsewhere in it can neither steer nor begin a line. A
    terminal that is too narrow for it has its words whole, behind an indent; a pipe has one line."""
    console, line = Console(highlight=False), on_one_line(message)
    if console.is_terminal:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        line = fill(line, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    console.print(Text(line, style=style), soft_wrap=True)


def say(message: str, style: str = "") -> None:
    """One line for the person at the terminal, on standard error, so that it never mixes with JSON."""
    Console(stderr=True, highlight=False).print(Text(visible(message), style=style), soft_wrap=True)


def print_error(code: str, message: str, hint: str = "", *, as_json: bool = False) -> None:
    """Print an error on standard error: `error[code]: message` and the hint, or `{"error": {...}}` for a program."""
    if as_json or not sys.stderr.isatty():
        body = {"code": code, "message": visible(message)} | ({"hint": visible(hint)} if hint else {})
        sys.stderr.write(_json({"error": body}))
        return
    console = Console(stderr=True, highlight=False)
    line = Text.assemble((f"error[{code}]", "bold red"), ": ", visible(message))
    console.print(line, soft_wrap=True)
    if hint:
        console.print(Text.assemble(("  hint", "cyan"), ": ", visible(hint)), soft_wrap=True)


def _each(data: Any, show: Callable[[Any], object] | None) -> object:
    if show is None:
        return data
    return show(data) if _is_record(data) else [show(one) for one in data]


def _is_record(data: object) -> bool:
    return isinstance(data, Mapping) or (is_dataclass(data) and not isinstance(data, type))


def _record(data: object) -> Mapping[str, object]:
    if isinstance(data, Mapping):
        return data
    if is_dataclass(data) and not isinstance(data, type):
        return asdict(data)
    raise TypeError(f"a row is a mapping or a dataclass, not {type(data).__name__}")
