"""What an inbound listener lets in: connections, their rate, mails an address may get, and bytes held in memory.

aiosmtpd bounds none of these and leaves them to its user on purpose. One `Gate` and one `ByteBudget` per listener, used
from its event loop only.
"""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.rate_windows import RateWindow

MINUTE: Final = 60.0
_IPV6_CUSTOMER: Final = 64
"""Bits of an IPv6 address that name who has it: anybody's smallest network is a /64 (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What one listener lets in."""

    connections: int
    """Open at the same time, all addresses together."""
    connections_per_ip: int
    new_per_minute: int
    """Connections an address may open in a minute."""


class Gate:
    """Counts the connections of one listener by who has the address: an IPv4 address, an IPv6 network of 64 bits."""

    def __init__(self, limits: GateLimits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._new = RateWindow(limits.new_per_minute, MINUTE, monotonic)

    def enter(self, address: str, make_room: Callable[[], bool] = lambda: False) -> str:
        """Count a connection and return "" (call `leave` when it ends), or the reason to refuse it. `make_room` is
        asked when all are taken: whether somebody has left for this one."""
        source = source_of(address)
        if self._open[source] >= self._limits.connections_per_ip:
            return "too many connections from your address"
        if not self._new.count(source):
            return "too many new connections from your address"
        if self.open() >= self._limits.connections and not make_room():
            return "too many connections"
        self._open[source] += 1
        return ""

    def leave(self, address: str) -> None:
        """A connection that had entered has ended."""
        source = source_of(address)
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]

    def open(self) -> int:
        """Connections that are open now."""
        return self._open.total()


def source_of(address: str) -> str:
    """The name under which an address is counted. What is no address (a test's socket) is its own."""
    if ":" not in address:
        return address
    try:
        ip = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((int(ip), _IPV6_CUSTOMER), strict=False))


class ByteBudget:
    """Bytes of mail that all connections of a listener may hold together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._room = asyncio.Event()

    @property
    def held(self) -> int:
        """Bytes in use."""
        return self._held

    def take(self, size: int) -> bool:
        """Count `size` more bytes; False, and nothing counted, when they are too many."""
        if self._held + size > self._limit:
            return False
        self._held += size
        return True

    def give_back(self, size: int) -> None:
        """These bytes are no longer in memory."""
        self._held -= size
        self._room.set()

    async def room(self, size: int, seconds: float) -> bool:
        """Wait until `size` bytes could be taken, `seconds` at most. Takes nothing: who waits holds nothing either, so
        that two who wait cannot wait for each other."""
        try:
            async with asyncio.timeout(seconds):
                while self._held + size > self._limit:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            return False
        return True
