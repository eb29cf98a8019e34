"""What the session pool deals in: limits, the right to a connection, and who waits for one."""

import asyncio
from dataclasses import dataclass

from mta.connect import Session
from mta.connection_leases import Key


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
    """Resolves to a session to use, or to None: the slot is yours, open one."""
    shares: bool = False
    """It may go behind mails that others have under way."""
    promised: bool = False
    """A connection is being ended to make room for this one."""
