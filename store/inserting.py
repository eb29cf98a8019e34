"""Rows of several tables as values in PostgreSQL's binary form (`store/copying`): many by COPY, few by one statement.

    WRITE = Insert(Table("INSERT INTO t", {"id": "uuid", "names": "text[]"}), ...)
    rows_of_t = [(uuid(one.id), listed(one.names)) for one in ...]
    await connection.execute(WRITE.statement, WRITE.parameters([rows_of_t, ...]))

A COPY takes two round trips, each a turn of a loop that is busy with others; one statement for four tables takes as
much of the driver as one COPY does. From fifty rows on COPY is cheaper for the server.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import psycopg

from store import arrays
from store.copying import begin, text

_INTO: Final = "INSERT INTO "
_LISTS: Final = "text[]"

Row = tuple[bytes, ...]
"""A value for each column."""


class Table(NamedTuple):
    """What is written of a table: type by column, in the order of a row's values."""

    into: str
    """`INSERT INTO` with its name, by which one finds who writes it."""
    columns: Mapping[str, str]
    beside: str = ""
    """Another table with a row for each of this one's: what columns of both are called is the same in both."""

    @property
    def name(self) -> str:
        """Its name alone."""
        return self.into.removeprefix(_INTO)

    @property
    def copy(self) -> str:
        """The statement that copies such rows."""
        return f"{self.into.replace(_INTO, 'COPY ')} ({', '.join(self.columns)}) FROM STDIN (FORMAT BINARY)"

    def lines(self, rows: Iterable[Row]) -> Iterator[bytes]:
        """Rows as `copying.send` sends them."""
        first = begin(len(self.columns))
        return (b"".join((first, *row)) for row in rows)


def listed(values: Sequence[str]) -> bytes:
    """Of `text[]`, in place of `copying.texts`: an array of arrays has none of different lengths."""
    return text(arrays.quoted(values))


class Insert:
    """Writes rows of these tables, all of them or none."""

    def __init__(self, *tables: Table) -> None:
        kept = {table.name: table for table in tables}
        self._tables = [(table, kept[table.beside].columns if table.beside else {}) for table in tables]
        *first, last = (_insert(table, besides) for table, besides in self._tables)
        written = ", ".join(f"w{n} AS ({one})" for n, one in enumerate(first))
        self.statement = f"WITH {written} {last}" if written else last
        self._own = [
            [
                (n, _parameter(table.name, column), _element(kind))
                for n, (column, kind) in enumerate(table.columns.items())
                if column not in besides
            ]
            for table, besides in self._tables
        ]

    def parameters(self, rows: Iterable[Sequence[Row]]) -> dict[str, arrays.Array]:
        """`rows` of each table, maybe none of it."""
        made: dict[str, arrays.Array] = {}
        for own, its in zip(self._own, rows, strict=True):
            columns = list(zip(*its, strict=True))
            for n, name, element in own:
                made[name] = arrays.of(element, columns[n] if columns else ())
        return made


def _insert(table: Table, besides: Mapping[str, str]) -> str:
    given, values = [], []
    for n, (column, kind) in enumerate(table.columns.items()):
        given.append(
            f"%({_parameter(table.beside if column in besides else table.name, column)})s::{_of_array(kind)}[]"
        )
        values.append(f"c{n}::{kind}" if kind == _LISTS else f"c{n}")
    names = ", ".join(f"c{n}" for n in range(len(table.columns)))
    return (
        f"{table.into} ({', '.join(table.columns)})"
        f" SELECT {', '.join(values)} FROM unnest({', '.join(given)}) AS u({names})"
    )


def _parameter(table: str, column: str) -> str:
    return f"{table}.{column}"


def _of_array(kind: str) -> str:
    return "text" if kind == _LISTS else kind


def _element(kind: str) -> int:
    return psycopg.adapters.types[_of_array(kind)].oid
