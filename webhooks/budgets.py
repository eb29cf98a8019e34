"""How many requests are under way at a time: in all, and of each owner, so that nobody takes the turns of others."""

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary


class Budget:
    """Requests of one kind."""

    def __init__(self, whole: int, each: int) -> None:
        """`each`: of one owner, in all of its endpoints."""
        self.whole = asyncio.Semaphore(whole)
        self.waiting = 0
        """Tasks that have no turn yet."""
        self._each = each
        self._owners: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    def turn(self, owner: UUID) -> "Turn":
        """Turns of this owner: `async with` waits for one, first among its own, then among all."""
        return Turn(self._owners.setdefault(owner, asyncio.Semaphore(self._each)), self)


class Turn:
    """Entered by as many tasks at a time as want to, for a request each. Who is in may go on with the next one until it
    is `wanted`: then leave it, and enter again behind those who wait."""

    def __init__(self, own: asyncio.Semaphore, budget: Budget) -> None:
        self._own = own
        self._budget = budget

    @property
    def wanted(self) -> bool:
        """Somebody waits for one of this budget."""
        return self._budget.waiting > 0

    async def __aenter__(self) -> None:
        self._budget.waiting += 1
        try:
            await self._enter()
        finally:
            self._budget.waiting -= 1

    async def _enter(self) -> None:
        await self._own.acquire()
        try:
            await self._budget.whole.acquire()
        except BaseException:
            self._own.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._budget.whole.release()
        self._own.release()
