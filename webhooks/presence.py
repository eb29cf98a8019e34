"""That a process which sends webhooks is alive: an advisory lock on a connection of its own (`webhooks/queue`).

PostgreSQL lets go of it the moment the process is killed, and what the process served is free for others. When the
connection alone is lost we are taken for dead too: `held` says whether that was seen, and the next `take` is under
another name, so that our own endpoints are free as well.
"""

from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import psycopg

from store.database import Connection, Database
from webhooks import queue


class Presence:
    """One per process; `leave` it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._open = AsyncExitStack()
        self.me = uuid4()

    @property
    def held(self) -> bool:
        """Whether the lock is ours, as far as we have looked."""
        return self._connection is not None

    async def take(self) -> UUID:
        """Take the lock; our name from now on. Raises DatabaseUnavailableError."""
        await self.leave()
        async with AsyncExitStack() as opened:
            connection = await opened.enter_async_context(self._database.connection())
            self.me = uuid4()
            while not await queue.present(connection, self.me):
                self.me = uuid4()
            self._connection, self._open = connection, opened.pop_all()
        return self.me

    async def check(self) -> bool:
        """Whether it is still held."""
        try:
            if self._connection is not None:
                await self._connection.execute("SELECT 1")
        except psycopg.Error:
            await self.leave()
        return self.held

    async def leave(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            # The lock is the connection's: back in the pool it would keep us alive.
            await self._connection.close()
        self._connection = None
        await self._open.aclose()
