"""At most so many events per key within so long, counted in the memory of one process (`core/shared_windows`: by all of
them together).

What is counted per stranger is bounded in number, and when it is full the key that was quiet longest is forgotten: a
flood of new keys may make us forget, but never refuse those who come later.
"""

import time
from collections.abc import Callable, Hashable
from typing import Final

_REMEMBERED: Final = 100_000
"""Keys counted in a window: about 20 MB."""


class RateWindow:
    """At most `limit` events per key within `seconds`, in this process.

    Windows are fixed: twice the limit can pass around the change of one, and forgetting is one `clear`.
    """

    def __init__(
        self, limit: int, seconds: float, monotonic: Callable[[], float] = time.monotonic, most: int = _REMEMBERED
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._monotonic = monotonic
        self._most = most
        self._ends = monotonic() + seconds
        self._counts: dict[Hashable, int] = {}
        """The key that was quiet longest stands first."""

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, key: Hashable) -> bool:
        """Note one event; False when it is one too many."""
        now = self._monotonic()
        if now >= self._ends:
            self._counts.clear()
            self._ends = now + self._seconds
        count = self._counts.pop(key, 0) + 1
        if len(self._counts) >= self._most:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = count
        return count <= self._limit
