"""Rows of several tables that one statement writes arrive as what they were, all of them or none."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from core.ids import uuid7
from store import copying
from store.copying import NULL, boolean, integer, json, moment, octets, smallint, text, uuid
from store.database import Database
from store.inserting import Insert, Row, Table, listed
from tests.integration.messages.emails import execute, rows

KINDS = Table(
    "INSERT INTO of_all_kinds",
    {
        "a": "uuid", "b": "text", "c": "text[]", "d": "int2", "e": "int4", "f": "bool", "g": "timestamptz",
        "h": "bytea", "i": "jsonb",
    },
)  # fmt: skip
NAMED = Table("INSERT INTO named", {'"to"': "text"})
WRITE = Insert(KINDS, NAMED)


@pytest.fixture(autouse=True)
async def tables(database: Database) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in KINDS.columns.items())
    await execute(database, f"CREATE TABLE of_all_kinds ({columns})")
    await execute(database, 'CREATE TABLE named ("to" text NOT NULL)')


async def written(database: Database, of_kinds: list[Row], named: list[Row]) -> tuple[list[tuple[Any, ...]], list[str]]:
    async with database.transaction() as connection:
        await connection.execute(WRITE.statement, WRITE.parameters([of_kinds, named]))
    return await found(database)


async def found(database: Database) -> tuple[list[tuple[Any, ...]], list[str]]:
    names = await rows(database, 'SELECT "to" FROM named ORDER BY 1')
    return await rows(database, "SELECT * FROM of_all_kinds ORDER BY d, e"), [name for (name,) in names]


async def test_they_come_back_as_they_were(database: Database) -> None:
    one, at = uuid7(), datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)
    many = ["", "a,b", '"{}\\"', "NULL", "Grüße\t\n"]
    given = [
        (*[NULL] * 3, smallint(1), *[NULL] * 5),
        (
            uuid(one), text("NULL\\N"), listed(many), smallint(2), integer(-1), boolean(True), moment(at),
            octets(b"\0\xff"), json(b'[["a","b"]]'),
        ),
        (uuid(one), text(""), listed([]), smallint(3), integer(3), boolean(False), moment(at), octets(b""), json(b"1")),
    ]  # fmt: skip
    assert await written(database, given, [(text("Bob"),), (text("Ann"),)]) == (
        [
            (*[None] * 3, 1, *[None] * 5),
            (one, "NULL\\N", many, 2, -1, True, at, b"\0\xff", [["a", "b"]]),
            (one, "", [], 3, 3, False, at, b"", 1),
        ],
        ["Ann", "Bob"],
    )


async def test_what_two_tables_share_is_given_once(database: Database) -> None:
    await execute(database, "CREATE TABLE aged (b text, age int4, d int2)")
    write = Insert(KINDS, Table("INSERT INTO aged", {"b": "text", "age": "int4", "d": "int2"}, beside="of_all_kinds"))
    kinds = [(NULL, text(name), NULL, smallint(n), *[NULL] * 5) for n, name in enumerate(("Ann", "Bob"))]
    aged = [(text("Ann"), integer(40), smallint(0)), (text("Bob"), integer(50), smallint(1))]
    given = write.parameters([kinds, aged])
    async with database.transaction() as connection:
        await connection.execute(write.statement, given)

    assert len(given) == len(KINDS.columns) + 1
    assert await rows(database, "SELECT * FROM aged ORDER BY d") == [("Ann", 40, 0), ("Bob", 50, 1)]


async def test_a_table_may_have_no_rows(database: Database) -> None:
    assert await written(database, [], [(text("Ann"),)]) == ([], ["Ann"])
    assert await written(database, [], []) == ([], ["Ann"])


@pytest.mark.parametrize("wrong", [NULL, text("a\0b")])
async def test_where_one_row_is_wrong_none_is_written(wrong: bytes, database: Database) -> None:
    right = (*[NULL] * 3, smallint(1), *[NULL] * 5)
    with pytest.raises((psycopg.DataError, psycopg.IntegrityError)):
        await written(database, [right], [(text("Ann"),), (wrong,)])

    assert await found(database) == ([], [])


async def test_rows_are_copied_as_well(database: Database) -> None:
    async with database.connection() as connection, connection.cursor() as cursor, cursor.copy(NAMED.copy) as copy:
        await copying.send(copy, NAMED.lines([(text("Ann"),), (text("Bob"),)]))

    assert (await found(database))[1] == ["Ann", "Bob"]
