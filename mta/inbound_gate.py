"""Who may connect to an inbound listener, how often, and how many at once. In memory, one `Gate` per listener.

aiosmtpd bounds neither connections nor their rate and leaves that to its user on purpose. Counts are kept per key in
fixed windows: twice the limit can pass around the change of a window, and forgetting is one `clear`.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
_REMEMBERED: Final = 100_000
"""Keys counted in a window. A flood from more than that is no longer told apart, and refused."""


class RateWindow:
    """At most `limit` events per key within `seconds`."""

    def __init__(self, limit: int, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._monotonic = monotonic
        self._ends = monotonic() + seconds
        self._counts: Counter[Hashable] = Counter()

    def count(self, key: Hashable) -> bool:
        """Note one event; False when it is one too many."""
        now = self._monotonic()
        if now >= self._ends:
            self._counts.clear()
            self._ends = now + self._seconds
        if len(self._counts) >= _REMEMBERED and key not in self._counts:
            return False
        self._counts[key] += 1
        return self._counts[key] <= self._limit


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What one listener lets in."""

    connections: int
    """Open at the same time, all addresses together: bounds memory, a connection holds one mail at most."""
    connections_per_ip: int
    new_per_minute: int
    """Connections an address may open in a minute."""


class Gate:
    """Counts the connections of one listener. Used from its event loop only."""

    def __init__(self, limits: GateLimits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._new = RateWindow(limits.new_per_minute, MINUTE, monotonic)

    def enter(self, address: str) -> str:
        """Count a connection and return "" (call `leave` when it ends), or the reason to refuse it."""
        if self._open.total() >= self._limits.connections:
            return "too many connections"
        if self._open[address] >= self._limits.connections_per_ip:
            return "too many connections from your address"
        if not self._new.count(address):
            return "too many new connections from your address"
        self._open[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """A connection that had entered has ended."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def open(self) -> int:
        """Connections that are open now."""
        return self._open.total()
