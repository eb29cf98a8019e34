"""Imports that are stopped: each line is stored once, whoever was killed and when."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from store.database import Database
from suppression.importing import BATCH, Progress, imports, run
from suppression.reading import ListReader, Terms

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LINES = ["email,reason\n", *(f"user{n}@example.com,bounce\n" for n in range(2 * BATCH + 500))]


class _KilledError(Exception):
    pass


def reader(lines: Iterator[str]) -> ListReader:
    return ListReader(lines, Terms(NOW, actor="a test"))


async def stored(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM suppressions")).fetchone()
    return int(row[0]) if row else 0


async def test_a_stopped_import_goes_on_behind_what_is_stored(database: Database) -> None:
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        raise _KilledError

    with pytest.raises(_KilledError):
        await run(database, reader(iter(LINES)), "list.csv", "the same", stop)
    assert await stored(database) == BATCH
    async with database.connection() as connection:
        (under_way,) = await imports(connection)
    assert (under_way.line, under_way.added, under_way.finished_at) == (BATCH + 1, BATCH, None)

    done = await run(database, reader(iter(LINES)), "list.csv", "the same", told.append)
    assert (done.resumed_at, done.line) == (BATCH + 1, len(LINES))
    assert (done.added, done.known, done.wrong) == (len(LINES) - 1, 0, 0)
    assert await stored(database) == len(LINES) - 1

    again = await run(database, reader(iter(LINES)), "list.csv", "the same", told.append)
    assert (again.resumed_at, again.added, again.known) == (0, 0, len(LINES) - 1)


async def test_a_file_that_breaks_off_keeps_what_was_read(database: Database) -> None:
    def torn() -> Iterator[str]:
        yield from itertools.islice(LINES, BATCH + 100)
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")

    with pytest.raises(EOFError):
        await run(database, reader(torn()), "list.csv.gz", "torn", lambda _: None)
    assert await stored(database) == BATCH


async def test_a_run_that_was_overtaken_takes_nothing_back(database: Database) -> None:
    """Somebody began the same import twice, and the slower one is stopped after the other is done."""
    told: list[Progress] = []
    loop = asyncio.get_running_loop()

    def slow() -> Iterator[str]:
        yield from LINES[: BATCH + 1]
        other = run(database, reader(iter(LINES)), "list.csv", "the same", told.append)
        asyncio.run_coroutine_threadsafe(other, loop).result(60)
        yield from LINES[BATCH + 1 : 2 * BATCH + 1]
        raise EOFError

    with pytest.raises(EOFError):
        await run(database, reader(slow()), "list.csv", "the same", lambda _: None)
    async with database.connection() as connection:
        (only,) = await imports(connection)
    assert (only.line, only.finished_at is not None) == (len(LINES), True)
    assert only.added + only.known == len(LINES) - 1
