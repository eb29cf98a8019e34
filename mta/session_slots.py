"""What the session pool deals in: limits, the right to a connection, and who waits for one."""

import asyncio
from collections import deque
from dataclasses import dataclass

from mta.connect import Session
from mta.connection_leases import Key, LeaseWaiter


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The limits that hold for one use of the pool."""

    connections: int
    """Connections from one source IP to one server address."""
    messages: int
    """Mails through one connection; then it is ended with QUIT and a new one opened."""
    provider: str = ""
    """Set when `provider_connections` counts all servers of this provider together."""
    provider_connections: int = 0


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Figures for metrics. `open` counts every used slot: idle, in use, being opened or being closed."""

    open: int
    idle: int
    waiting: int
    opened_total: int
    reused_total: int
    waited_total: int


@dataclass(slots=True, eq=False)
class Slot:
    """The right to one connection; held from before it is opened until after it is closed."""

    key: Key
    group: Key | None
    ceiling: Ceiling
    leased: bool = False

    @property
    def lease(self) -> Key:
        """What the limit shared with other processes counts by."""
        return self.group or self.key

    @property
    def lease_limit(self) -> int:
        return self.ceiling.provider_connections if self.group else self.ceiling.connections


@dataclass(slots=True, eq=False)
class Waiter:
    """A mail that waits for a session."""

    slot: Slot
    number: int
    """Grows with every waiter: the smallest has waited longest."""
    future: "asyncio.Future[Session | None]"
    """Resolves to a session to use, or to None: slot and lease are yours, open one."""
    shares: bool = False
    """It may go behind mails that others have under way."""
    promised: bool = False
    """A connection is being ended to make room for this one."""
    leasing: LeaseWaiter | None = None
    """It has its slot, and waits in the line for a lease."""


class Waiters:
    """Those who wait for a session, server by server. Empty it is falsy."""

    def __init__(self) -> None:
        self._queues: dict[Key, deque[Waiter]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __contains__(self, server: Key) -> bool:
        return server in self._queues

    def add(self, waiter: Waiter) -> None:
        """It waits behind all others."""
        self._queues.setdefault(waiter.slot.key, deque()).append(waiter)

    def remove(self, waiter: Waiter) -> None:
        """It waits no more."""
        queue = self._queues.get(waiter.slot.key)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._queues[waiter.slot.key]

    def head(self, server: Key) -> Waiter | None:
        """Who has waited longest for this server."""
        queue = self._queues.get(server)
        if queue is None:
            return None
        while queue and queue[0].future.done():
            queue.popleft()  # cancelled, and not yet come round to leaving the queue
        if queue:
            return queue[0]
        del self._queues[server]
        return None

    def heads(self) -> list[Waiter]:
        """The longest waiting of each server, longest first."""
        heads = [head for server in list(self._queues) if (head := self.head(server)) is not None]
        return sorted(heads, key=lambda waiter: waiter.number)

    def fail(self, error: Exception) -> None:
        """Nobody gets anything any more."""
        for queue in self._queues.values():
            for waiter in queue:
                if not waiter.future.done():
                    waiter.future.set_exception(error)
        self._queues.clear()
