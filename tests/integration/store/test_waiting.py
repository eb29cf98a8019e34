"""A large answer of PostgreSQL takes few turns of a busy loop, and never keeps the loop for itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from store.database import Database, DatabaseUnavailableError

ENDLESS = "SELECT lpad(n::text, 8000, 'x') FROM generate_series(1, 10000000) n"
TEXT = 8_000
"""Characters of a row."""


class Turns:
    """How many turns the loop has had."""

    def __init__(self, seconds: float) -> None:
        """Each takes at least so long, for others."""
        self.count = 0
        self._seconds = seconds

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0)
            time.sleep(self._seconds)  # a loop that is busy
            self.count += 1


@asynccontextmanager
async def turning(seconds: float) -> AsyncIterator[Turns]:
    turns = Turns(seconds)
    task = asyncio.create_task(turns.run())
    try:
        yield turns
    finally:
        task.cancel()


async def read(database: Database, rows: int) -> list[str]:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT lpad(n::text, %s, 'x') FROM generate_series(1, %s) n", [TEXT, rows], prepare=False
        )
        return [text for (text,) in await cursor.fetchall()]


async def test_a_large_answer_takes_few_turns_of_a_busy_loop(database: Database) -> None:
    """libpq reads 16 kB at a time: 4 MB would be 250 turns."""
    async with turning(0.002) as turns:
        found = await read(database, 500)

    assert [text.lstrip("x") for text in found] == [str(n) for n in range(1, 501)]
    assert {len(text) for text in found} == {TEXT}
    assert turns.count < 125


async def test_others_have_their_turn_while_a_very_large_one_comes(database: Database) -> None:
    async with turning(0) as turns:
        found = await read(database, 5_000)

    assert len(found) == 5_000
    assert turns.count > 20


async def test_a_reader_who_is_cancelled_in_the_middle_leaves_connections_that_serve(database: Database) -> None:
    assert await read(database, 1)  # the pool may swallow a cancellation while it waits for its first connection
    async with turning(0):
        for moment in (0.001, 0.01, 0.03):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(moment):
                    await read(database, 50_000)

    assert len(await read(database, 3)) == 3


async def test_a_connection_that_is_lost_in_the_middle_says_so(database: Database, database_url: str) -> None:
    """The server ends it while its answer comes."""

    async def read_and_lose() -> None:
        async with database.connection() as connection:
            reading = asyncio.create_task(connection.execute(ENDLESS))
            await asyncio.sleep(0.05)
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
            await reading

    with pytest.raises(DatabaseUnavailableError):
        await read_and_lose()
    assert len(await read(database, 3)) == 3
