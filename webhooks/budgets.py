"""How many requests are under way at a time: in all, and of each owner, so that nobody takes the turns of others."""

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary


class Budget:
    """Requests of one kind."""

    def __init__(self, whole: int, each: int) -> None:
        """`each`: of one owner, in all of its endpoints."""
        self._whole = asyncio.Semaphore(whole)
        self._each = each
        self._owners: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    def turn(self, owner: UUID) -> "Turn":
        """Turns of this owner: `async with` waits for one, first among its own, then among all."""
        return Turn(self._owners.setdefault(owner, asyncio.Semaphore(self._each)), self._whole)


class Turn:
    """Entered once for each request, by as many tasks at a time as want to."""

    def __init__(self, own: asyncio.Semaphore, whole: asyncio.Semaphore) -> None:
        self._own = own
        self._whole = whole

    async def __aenter__(self) -> None:
        await self._own.acquire()
        try:
            await self._whole.acquire()
        except BaseException:
            self._own.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._whole.release()
        self._own.release()
