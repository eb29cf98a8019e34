"""The database's clock, for whoever writes due times: everything that later compares them asks PostgreSQL.

A machine whose own clock is an hour wrong must not delay mail, nor hasten it. So the database is asked for its time now
and then, and a stopwatch, which nobody sets, says how long ago that was.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from core.tasks import end
from store.database import Connection, Database, DatabaseUnavailableError

_AGAIN_SECONDS: Final = 30.0
"""A stopwatch drifts by microseconds in this time; this is for a server that was replaced by another."""
_AWAY_SECONDS: Final = 1.0
_START_SECONDS: Final = 2.0
"""How long a start waits for the first answer. It goes on without: the database need not be there yet."""


async def transaction_time(connection: Connection) -> datetime:
    """When the transaction began, as `now()` says in its statements."""
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None, "it has a row"
    found: datetime = row[0]
    return found


class DatabaseClock:
    """A `core.clock.Clock`. Shows the machine's time until the database has answered for the first time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: tuple[datetime, float] | None = None
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep_asking(), name="database-clock")]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._answered.wait()

    async def stop(self) -> None:
        await end(self._tasks)

    def now(self) -> datetime:
        """The moment by the database's clock, in UTC."""
        if self._told is None:
            return datetime.now(UTC)
        moment, at = self._told
        return moment + timedelta(seconds=time.monotonic() - at)

    async def _keep_asking(self) -> None:
        while True:
            try:
                await self._ask()
            except DatabaseUnavailableError:
                await asyncio.sleep(_AWAY_SECONDS)
            else:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _ask(self) -> None:
        async with self._database.connection() as connection:
            asked = time.monotonic()
            row = await (await connection.execute("SELECT now()")).fetchone()
        if row is not None:
            self._told = row[0], (asked + time.monotonic()) / 2
            self._answered.set()
