"""The return path domains of all applications: where a bounce of ours may be addressed to.

One answer for all domains, read anew at most once in `KEEP_SECONDS` and only while somebody asks: strangers ask, and
may not cause a query each. A domain that was added is therefore known `KEEP_SECONDS` later, long before its DNS is.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from store.database import Database

KEEP_SECONDS: Final = 5.0


class ReturnPathDomains:
    """One per inbound process; safe to share between tasks of one event loop."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._names: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def has(self, name: str) -> bool:
        """Whether this domain, in lower case, is one of ours. Raises `DatabaseUnavailableError`."""
        if name in self._names and not self._due():
            return True
        async with self._reading:
            if self._due():
                await self._read()
        return name in self._names

    def _due(self) -> bool:
        return self._monotonic() - self._read_at >= KEEP_SECONDS

    async def _read(self) -> None:
        at = self._monotonic()
        async with self._database.connection() as connection:
            cursor = await connection.execute("SELECT DISTINCT lower(return_path_domain) FROM domains")
            self._names = frozenset(row[0] for row in await cursor.fetchall())
        self._read_at = at
