"""A database for one command: opened, used inside one loop, closed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli import context
from cli.auditing import audited
from core.settings import Settings
from store.database import Database

T = TypeVar("T")


def quiet_pools() -> None:
    """A pool warns of each failed try; the one line that a person needs is the error that the command ends with."""
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


def with_database(work: Callable[[Database], Awaitable[T]], settings: Settings | None = None) -> T:
    """Run `work` with an open database, which notes what a command changes. Raises ConfigurationError,
    DatabaseUnavailableError."""
    found = settings or context.settings()
    quiet_pools()

    async def run() -> T:
        database = Database(found.database_url, size=3, name="postlane-cli")
        await database.open()
        try:
            return await work(audited(database))
        finally:
            await database.close()

    return asyncio.run(run())
