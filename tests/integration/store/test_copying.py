"""Rows written in PostgreSQL's binary form arrive as what they were."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from core.ids import uuid7
from store import copying
from store.copying import boolean, integer, json, moment, octets, smallint, text, texts, uuid
from store.database import Database
from tests.integration.messages.emails import execute, rows

_TABLE = (
    "CREATE TABLE of_all_kinds (a uuid, b text, c text[], d smallint, e integer, f boolean, g timestamptz, h bytea,"
    " i jsonb)"
)
_COPY = "COPY of_all_kinds FROM STDIN (FORMAT BINARY)"


async def _sent(database: Database, given: list[bytes]) -> list[tuple[Any, ...]]:
    await execute(database, _TABLE)
    async with database.connection() as connection, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copying.send(copy, given)
    return await rows(database, "SELECT * FROM of_all_kinds ORDER BY d, e")


def _row(*values: bytes) -> bytes:
    return b"".join((copying.begin(9), *values))


async def test_they_come_back_as_they_were(database: Database) -> None:
    one, at = uuid7(), datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=timezone(timedelta(hours=-3)))
    early = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    many = ["", "a,b", '"{}\\"', "Grüße\t\n"]
    given = [
        _row(*[copying.NULL] * 3, smallint(-32768), *[copying.NULL] * 5),
        _row(
            uuid(one), text("Grüße\t\\N\n"), texts(many), smallint(7), integer(-(2**31)), boolean(True), moment(at),
            octets(b"\0\xff"), json(b'[["a","b"]]'),
        ),
        _row(
            uuid(None), text(""), texts([]), smallint(7), integer(2**31 - 1), boolean(False), moment(early),
            octets(None), json(b"{}"),
        ),
    ]  # fmt: skip
    assert await _sent(database, given) == [
        (None, None, None, -32768, None, None, None, None, None),
        (one, "Grüße\t\\N\n", many, 7, -(2**31), True, at, b"\0\xff", [["a", "b"]]),
        (None, "", [], 7, 2**31 - 1, False, early, None, {}),
    ]


async def test_nothing_and_much(database: Database) -> None:
    """Also what does not go in one piece."""
    assert await _sent(database, []) == []
    await execute(database, "DROP TABLE of_all_kinds")
    long = "x" * 100_000
    given = [_row(copying.NULL, text(long), copying.NULL, smallint(n), *[copying.NULL] * 5) for n in range(20)]
    assert [(row[1], row[3]) for row in await _sent(database, given)] == [(long, n) for n in range(20)]


async def test_what_is_no_text_is_refused(database: Database) -> None:
    """By the database a NUL, as a value that is wrong; what can be no UTF-8 before that."""
    with pytest.raises(psycopg.DataError):
        await _sent(database, [_row(copying.NULL, text("a\0b"), *[copying.NULL] * 7)])
    with pytest.raises(ValueError, match="surrogates"):
        text("\ud800")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        smallint(32768)
    with pytest.raises(ValueError, match="does not fit"):
        integer(2**31)
    with pytest.raises(TypeError):
        moment(datetime(2026, 3, 1))  # noqa: DTZ001  # refused
