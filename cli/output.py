"""What commands print: tables for people, JSON for programs, errors with a code.

Owns the one decision "person or program": JSON when standard output is not a terminal or `--json` is given; for
errors, standard error decides. Every command prints through here. Never reads settings, never ends the process.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import PostlaneError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")]
"""Type of the parameter that every command with output has: `as_json: JsonOption = False`."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class CliError(PostlaneError):
    """A command cannot do what it was asked. `code` is stable and meant for scripts; `hint` says what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def shown(value: object) -> str:
    """A value as a cell: "" for None, yes/no, UTC times to the second, lists joined by commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={shown(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(shown(one) for one in value)
    return str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, or one line of a single object."""

    key: str
    """Key of the mapping, or attribute of the dataclass."""
    title: str = ""
    """Heading; the key with blanks when empty."""
    style: str = ""
    justify: Literal["left", "right", "center"] = "left"
    show: Callable[[Any], str] = shown

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return self.title or self.key.replace("_", " ")


def wants_json(as_json: bool) -> bool:
    """Whether this command's answer goes to a program."""
    return as_json or not sys.stdout.isatty()


def emit(
    data: object,
    *,
    as_json: bool = False,
    columns: Sequence[Column] = (),
    title: str = "",
    empty: str = "Nothing found.",
) -> None:
    """Print one object (mapping or dataclass) or rows of them.

    For a program all of `data` is printed as JSON, whatever the columns say. For a person only the columns are (all
    keys of the first row when there are none), with control characters made visible: text from remote servers may not
    steer the terminal. `empty` is said when there are no rows.
    """
    if wants_json(as_json):
        print_json(data)
        return
    console = Console()
    if _is_record(data):
        console.print(_object_table(_record(data), columns, title))
        return
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes)):
        raise TypeError(f"cannot show {type(data).__name__} as a table")
    rows = [_record(row) for row in data]
    console.print(_rows_table(rows, columns, title) if rows else Text(empty, style="dim"))


def print_json(data: object) -> None:
    """Print JSON on standard output; dates as ISO 8601, dataclasses as objects, anything unknown as its text."""
    sys.stdout.write(_json(list(data) if isinstance(data, (set, frozenset)) else data))
    sys.stdout.flush()


def _json(data: object) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(data, default=str, option=options).decode()


def say(message: str, style: str = "") -> None:
    """One line for the person at the terminal, on standard error, so that it never mixes with JSON."""
    Console(stderr=True, highlight=False).print(Text(visible(message), style=style), soft_wrap=True)


def print_error(code: str, message: str, hint: str = "", *, as_json: bool = False) -> None:
    """Print an error on standard error: `error[code]: message` and the hint, or `{"error": {...}}` for a program."""
    if as_json or not sys.stderr.isatty():
        body = {"code": code, "message": message} | ({"hint": hint} if hint else {})
        sys.stderr.write(_json({"error": body}))
        return
    console = Console(stderr=True, highlight=False)
    line = Text.assemble((f"error[{code}]", "bold red"), ": ", visible(message))
    console.print(line, soft_wrap=True)
    if hint:
        console.print(Text.assemble(("  hint", "cyan"), ": ", visible(hint)), soft_wrap=True)


def visible(text: str) -> str:
    r"""The text with control characters, but tab and newline, written as `\x1b`."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _is_record(data: object) -> bool:
    return isinstance(data, Mapping) or (is_dataclass(data) and not isinstance(data, type))


def _record(data: object) -> Mapping[str, object]:
    if isinstance(data, Mapping):
        return data
    if is_dataclass(data) and not isinstance(data, type):
        return asdict(data)
    raise TypeError(f"a row is a mapping or a dataclass, not {type(data).__name__}")


def _rows_table(rows: Sequence[Mapping[str, object]], columns: Sequence[Column], title: str) -> Table:
    columns = columns or [Column(key) for key in rows[0]]
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.heading, style=column.style, justify=column.justify)
    for row in rows:
        table.add_row(*(Text(visible(column.show(row.get(column.key)))) for column in columns))
    return table


def _object_table(record: Mapping[str, object], columns: Sequence[Column], title: str) -> Table:
    table = Table(title=title or None, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for column in columns or [Column(key) for key in record]:
        table.add_row(column.heading, Text(visible(column.show(record.get(column.key))), style=column.style))
    return table
