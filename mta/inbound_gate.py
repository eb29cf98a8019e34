"""Who may connect to an inbound listener, how often, and how many at once. In memory, one `Gate` per listener.

aiosmtpd bounds neither connections nor their rate and leaves that to its user on purpose. Counts are kept per address
in fixed windows: twice the limit can pass around the change of a window, and forgetting is one `clear`.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60.0
FAILURE_SECONDS: Final = 300.0
_REMEMBERED: Final = 100_000
"""Keys counted in a window. A flood from more addresses than that is no longer told apart, and refused."""


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
        self._turn()
        if len(self._counts) >= _REMEMBERED and key not in self._counts:
            return False
        self._counts[key] += 1
        return self._counts[key] <= self._limit

    def full(self, key: Hashable) -> bool:
        """Whether the next event of this key would be one too many."""
        self._turn()
        return self._counts.get(key, 0) >= self._limit

    def _turn(self) -> None:
        now = self._monotonic()
        if now >= self._ends:
            self._counts.clear()
            self._ends = now + self._seconds


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What one listener lets in."""

    connections: int
    """Open at the same time, all addresses together: bounds memory, a connection holds one mail at most."""
    connections_per_ip: int
    new_per_minute: int
    """Connections an address may open in a minute."""
    failures: int = 10
    """Wrong passwords of an address in 5 minutes; then it has to wait for the rest of them."""


class Gate:
    """Counts the connections of one listener. Used from its event loop only."""

    def __init__(self, limits: GateLimits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._new = RateWindow(limits.new_per_minute, WINDOW_SECONDS, monotonic)
        self._failures = RateWindow(limits.failures, FAILURE_SECONDS, monotonic)

    def enter(self, address: str) -> str:
        """"" and the connection counts (call `leave` when it ends), or the reason to refuse it."""
        if self._open.total() >= self._limits.connections:
            return "too many connections"
        if self._open[address] >= self._limits.connections_per_ip:
            return "too many connections from your address"
        if self._failures.full(address):
            return "too many failed log-ins from your address"
        if not self._new.count(address):
            return "too many new connections from your address"
        self._open[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """A connection that had entered has ended."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def failed(self, address: str) -> bool:
        """Note a wrong password; False when the address has had its share of them."""
        self._failures.count(address)
        return not self._failures.full(address)

    def open(self) -> int:
        """Connections that are open now."""
        return self._open.total()
