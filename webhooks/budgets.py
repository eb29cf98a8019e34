"""How many requests are under way at a time: in all, and of each owner, so that nobody takes the turns of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary


class Budget:
    """Requests of one kind."""

    def __init__(self, whole: int, each: int) -> None:
        """`each`: of one owner, in all of its endpoints."""
        self._whole = asyncio.Semaphore(whole)
        self._each = each
        self._owners: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, owner: UUID) -> AsyncIterator[None]:
        """Wait for a turn of this owner, first among its own, then among all."""
        own = self._owners.setdefault(owner, asyncio.Semaphore(self._each))
        async with own, self._whole:
            yield
