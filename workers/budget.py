"""How many bytes of mail one worker process has in memory: of large mail, shared out between the sites they go to, and
of small mail that was composed ahead of its session.

A site that takes its mail slowly, or not at all, uses up its own share and nobody else's. Within a site it is first
come, first served; between sites whoever fits, but nobody overtakes a mail that only waits for room in all.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

LARGE_BYTES = 128 * 1024 * 1024
"""Content of large mails that one process has in memory at a time; as composed mail it is about a third more."""

SITE_BYTES = LARGE_BYTES // 8
"""Of them, for one site. A mail larger than this goes alone."""

SMALL_BYTES = 256 * 1024
"""A mail up to this size waits for its own site only: many slow sites together may hold all the rest."""


AHEAD_BYTES = 8 * 1024 * 1024
"""Composed small mails that wait for a session: 400 of 20 KB, half a second's work. Where servers are slow the batches
under way had 5,000 of them, and a process keeps most of the memory it once needed. Beyond it mail is composed when its
session is ready, as large mail is."""


class Ahead:
    """Counts what was composed and is not sent yet."""

    def __init__(self, limit: int = AHEAD_BYTES) -> None:
        self._limit = limit
        self._used = 0

    def used(self) -> int:
        """Bytes of the mails that wait."""
        return self._used

    def has_room(self) -> bool:
        """Whether more may be composed ahead: each batch that asks brings a chunk."""
        return self._used < self._limit

    def take(self, size: int) -> None:
        """A mail was composed."""
        self._used += size

    def give_back(self, size: int) -> None:
        """It is out of memory."""
        self._used -= size


@dataclass(slots=True, eq=False)
class _Waiting:
    site: str
    size: int
    let_in: "asyncio.Future[None]"


class ByteBudget:
    """Lets mails in until their sizes add up to a limit; the others wait. One that is larger than the limit goes alone,
    so nothing waits for ever."""

    def __init__(self, limit: int = LARGE_BYTES, each: int = SITE_BYTES, small: int = SMALL_BYTES) -> None:
        """In bytes: of all sites, of one site, and of a mail that does not wait for other sites."""
        self._limit = limit
        self._each = each
        self._small = small
        self._used: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []

    def used(self) -> int:
        """Bytes of the mails that are in."""
        return self._used.total()

    async def take(self, site: str, size: int, seconds: float) -> bool:
        """Be let in with `size` bytes, until `give_back`. False when that takes longer than `seconds`."""
        waiting = _Waiting(site, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._let_in()
        try:
            await asyncio.wait({waiting.let_in}, timeout=seconds)
        except asyncio.CancelledError:
            if not self._left_out(waiting):
                self.give_back(site, size)
            raise
        return not self._left_out(waiting)

    def give_back(self, site: str, size: int) -> None:
        """That mail is out of memory."""
        self._used[site] -= size
        if not self._used[site]:
            del self._used[site]
        self._let_in()

    def _left_out(self, waiting: _Waiting) -> bool:
        """Stop waiting; True when it was not let in."""
        if waiting.let_in.done():
            return False
        self._waiting.remove(waiting)
        self._let_in()
        return True

    def _let_in(self) -> None:
        behind: set[str] = set()
        crowded = False
        for one in list(self._waiting):
            small = one.size <= self._small
            at_site = one.site not in behind and self._fits(one.size, self._used[one.site], self._each)
            if at_site and (small or (not crowded and self._fits(one.size, self.used(), self._limit))):
                self._waiting.remove(one)
                self._used[one.site] += one.size
                one.let_in.set_result(None)
                continue
            behind.add(one.site)
            crowded = crowded or (at_site and not small)

    @staticmethod
    def _fits(size: int, used: int, limit: int) -> bool:
        return used == 0 or used + size <= limit
