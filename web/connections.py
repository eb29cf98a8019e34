"""How many connections one process keeps open, and which may stay: in total, per client, and by the clock.

A client is an IPv4 address or an IPv6 /64. When all places are taken, the connection that has been waiting longest for
its next request gives way; nobody is refused for what others keep open, unless every place is at work. A sweep
every half second closes what is overdue, so that no request pays for a timer. Knows nothing of HTTP: that is
`web/protocol`.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Protocol

SWEEP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one process allows."""

    total: int
    per_client: int
    head_seconds: float = 15.0
    """From the first byte of a connection, or of the next request, to the end of the head."""
    body_seconds: float = 30.0
    """For a body, and a second more for every 16 KB that came: a slow line is enough, a trickle is not."""
    answer_seconds: float = 60.0
    """How long an answer waits for a client that does not read."""


class Connection(Protocol):
    """What is kept open."""

    @property
    def idle_since(self) -> float | None:
        """Since when it has been waiting for a request to begin; None while it is at work."""

    def overdue(self, now: float) -> bool:
        """Whether its client has had its time."""

    def end(self) -> None:
        """Close it; the client of a request that is under way is told why, as far as HTTP allows."""


class Connections:
    """The open connections of one process."""

    def __init__(self, limits: ConnectionLimits, loop: asyncio.AbstractEventLoop) -> None:
        self._limits = limits
        self._loop = loop
        self._open: dict[Connection, str] = {}
        self._clients: Counter[str] = Counter()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, address: str) -> bool:
        """Take it in. False: this client has enough, or every place is at work."""
        client = client_of(address)
        if self._clients[client] >= self._limits.per_client:
            return False
        if len(self._open) >= self._limits.total and not self._make_room():
            return False
        self._open[connection] = client
        self._clients[client] += 1
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._end_overdue)
        return True

    def leave(self, connection: Connection) -> None:
        """It is closed. Does nothing for one that was not taken in."""
        client = self._open.pop(connection, None)
        if client is None:
            return
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def _make_room(self) -> bool:
        waiting = [(one.idle_since, number) for number, one in enumerate(self._open) if one.idle_since is not None]
        if not waiting:
            return False
        connection = list(self._open)[min(waiting)[1]]
        connection.end()
        self.leave(connection)
        return True

    def _end_overdue(self) -> None:
        now = self._loop.time()
        for connection in [one for one in self._open if one.overdue(now)]:
            connection.end()
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self._end_overdue) if self._open else None


@lru_cache(4096)
def client_of(address: str) -> str:
    """Whom an address belongs to: itself, or its /64 for IPv6, of which everybody has 2^64 addresses."""
    if ":" not in address:  # IPv4, or a Unix socket: what reading it costs is felt by every redirect
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket has none
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
