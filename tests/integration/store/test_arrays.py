"""Array parameters written by hand arrive as what they were."""

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from core.ids import uuid7
from store import arrays
from store.database import Database


async def test_they_come_back_as_they_were(database: Database) -> None:
    ids = [uuid7(), None, uuid7()]
    times = [
        datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC),
        None,
        datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=-3))),
    ]
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT %s::uuid[], %s::timestamptz[], %s::smallint[]",
            [arrays.uuids(ids), arrays.moments(times), arrays.integers([-1, 0, 32767])],
        )
        assert await cursor.fetchone() == (ids, times, [-1, 0, 32767])


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_what_was_sent_in_binary_goes_back_as_it_came(database: Database, count: int) -> None:
    ids = [uuid7() for _ in range(count)]
    times = [datetime(2026, 3, 1, 12, 30, 15, 250 + n, tzinfo=UTC) for n in range(count)]
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT uuid_send(id), timestamptz_send(at) FROM unnest(%s::uuid[], %s::timestamptz[]) AS u(id, at)",
            [arrays.uuids(ids), arrays.moments(times)],
            binary=True,
        )
        told = await cursor.fetchall()
        cursor = await connection.execute(
            "SELECT %s::uuid[], %s::timestamptz[]",
            [arrays.sent_uuids([row[0] for row in told]), arrays.sent_moments([row[1] for row in told])],
        )
        assert await cursor.fetchone() == (ids, times)


async def test_nothing_is_an_empty_array(database: Database) -> None:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT %s::uuid[], %s::timestamptz[], %s::smallint[]",
            [arrays.uuids([]), arrays.moments([]), arrays.integers([])],
        )
        assert await cursor.fetchone() == ([], [], [])


@pytest.mark.parametrize(
    "values", [[], [""], ["a"], ["null", "NULL"], ["a@b.example", 'c"d\\"@x', "{e,f}", " ", "\\", '"'], ['"', '"']]
)
async def test_any_texts_come_back_as_they_were(database: Database, values: list[str]) -> None:
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT %s::text[]", [arrays.quoted(values)])
        assert await cursor.fetchone() == (values,)
        with_nulls = [None, *values, None]
        cursor = await connection.execute("SELECT %s::text[]", [arrays.some_texts(with_nulls)])
        assert await cursor.fetchone() == (with_nulls,)
        cursor = await connection.execute("SELECT count(*) WHERE 'a' = ANY(%s)", [arrays.quoted(values)])
        assert await cursor.fetchone() == ("a" in values,)


async def test_words_come_back_as_they_were(database: Database) -> None:
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT %s::text[]", [arrays.words(["delivered", "bounced"])])
        assert await cursor.fetchone() == (["delivered", "bounced"],)


async def test_json_comes_back_as_it_was(database: Database) -> None:
    told = [orjson.dumps(value) for value in ("a\x1eb", {"ü": "🎉\x00"}, [])]
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT string_to_array(%s, E'\\x1e')", [arrays.json_texts(told)])
        assert await cursor.fetchone() == ([one.decode() for one in told],)


def test_a_time_without_zone_is_a_bug() -> None:
    with pytest.raises(TypeError, match="naive"):
        arrays.moments([datetime(2026, 3, 1)])  # noqa: DTZ001
