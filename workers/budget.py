"""How many bytes of large mail one worker process has in memory. Of mail whose content was too
large to come with its claim."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Lets mails in until their sizes add up to the limit; the others wait, first come first served.

    A mail larger than the limit goes alone, so nothing waits for ever.
    """

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        self._limit = limit
        self._used = 0
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()

    def used(self) -> int:
        """Bytes of the mails that are in."""
        return self._used

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        """Be in with `size` bytes for the length of the block."""
        async with self._turn, self._changed:
            await self._changed.wait_for(lambda: self._used == 0 or self._used + size <= self._limit)
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._changed:
                self._changed.notify_all()
