"""Tables and objects on a terminal: made narrower by leaving out whole columns, never by cutting what stands in one.

A column says when it is left out (`drop`) and whether its text may wrap. What does not fit even so is written as one
block a row. Everything goes through `core/visible`: text from remote servers may not steer the terminal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.visible import visible

GAP = 2
"""Blanks between two columns."""

WRAPPED = 20
"""A column that may wrap is given at least this width, or it is left out."""


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
    drop: int = 1
    """On a narrow terminal the highest are left out first, from the right among equals; 0 stays, as does the first."""
    wrap: bool = False
    """Holds sentences: they may go over several lines."""
    below: bool = False
    """Stands in a line of its own under its row where not all columns fit beside each other: a long id."""

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return self.title or self.key.replace("_", " ")

    def cell(self, record: Mapping[str, object]) -> str:
        """What stands in it for one row."""
        return visible(self.show(record.get(self.key)))


def print_rows(console: Console, rows: Sequence[Mapping[str, object]], columns: Sequence[Column], title: str) -> None:
    """A table as wide as the terminal allows, and a line that names what was left out."""
    kept = _fitting(columns, rows, console.width)
    below = [column for column in columns if column.below] if len(kept) < len(columns) else []
    if below:
        kept = _fitting([column for column in columns if not column.below], rows, console.width)
    if not kept:
        for n, row in enumerate(rows):
            if n:
                console.print()
            print_object(console, row, columns, "" if n else title)
        return
    if title:
        console.print(_title(title))
    widths = _shared_out(kept, rows, console.width) if below else {}
    table = _table(kept, widths)
    for row in rows:
        table.add_row(*(Text(column.cell(row)) for column in kept))
        if below:
            console.print(table)
            for column in below:
                console.print(Text(f"  {column.cell(row)}", column.style), soft_wrap=True)
            table = _table(kept, widths, heads=False)
    if not below:
        console.print(table)
    left_out = [" ".join(column.heading.split()) for column in columns if column not in (*kept, *below)]
    if left_out:
        console.print(Text(f"Left out: {', '.join(left_out)}. A wider terminal shows more, --json all.", style="dim"))


def print_object(console: Console, record: Mapping[str, object], columns: Sequence[Column], title: str) -> None:
    """A line for each column. Long values are left to the terminal, so that they stay whole when copied."""
    if title:
        console.print(_title(title))
    width = max((cell_len(column.heading) for column in columns), default=0)
    for column in columns:
        heading = column.heading + " " * (width - cell_len(column.heading) + GAP)
        console.print(Text.assemble((heading, "dim"), (column.cell(record), column.style)), soft_wrap=True)


def _table(columns: Sequence[Column], widths: Mapping[str, int], *, heads: bool = True) -> Table:
    """Without rows; as wide as what stands in it, where no widths are given."""
    table = Table(header_style="bold", box=None, pad_edge=False, show_header=heads)
    for column in columns:
        table.add_column(
            column.heading, style=column.style, justify=column.justify, no_wrap=not column.wrap, overflow="fold",
            width=widths.get(column.key),
        )  # fmt: skip
    return table


def _shared_out(columns: Sequence[Column], rows: Sequence[Mapping[str, object]], width: int) -> dict[str, int]:
    """A width for each column, the same in every row; those that wrap share what the others leave."""
    widths = {column.key: _width(column, rows) for column in columns}
    wrapping = [column for column in columns if column.wrap]
    left = width - sum(widths.values()) - GAP * (len(columns) - 1)
    return widths | {column.key: widths[column.key] + left // len(wrapping) for column in wrapping}


def _title(text: str) -> Text | None:
    return Text(visible(text), style="italic") if text else None


def _fitting(columns: Sequence[Column], rows: Sequence[Mapping[str, object]], width: int) -> list[Column]:
    """The columns that fit beside each other; none when not even those that stay do."""
    kept = list(columns)
    widths = {id(column): _width(column, rows) for column in columns}
    leaving = sorted((column for column in kept[1:] if column.drop), key=lambda one: (one.drop, kept.index(one)))
    while sum(widths[id(column)] for column in kept) + GAP * (len(kept) - 1) > width:
        if not leaving:
            return []
        kept.remove(leaving.pop())
    return kept


def _width(column: Column, rows: Sequence[Mapping[str, object]]) -> int:
    """How much the column needs at least."""
    cells = [line for row in rows for line in column.cell(row).split("\n")]
    natural = max(map(cell_len, [*column.heading.split("\n"), *cells]))
    return min(natural, WRAPPED) if column.wrap else natural
