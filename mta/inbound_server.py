"""The inbound SMTP listeners themselves, on the process's one event loop (no Controller thread of aiosmtpd).

Owns the set of connections: who comes in, who has to leave for others, and the end of all. What a connection does is
`mta/inbound_session`, what is answered `mta/inbound`, what is bounded `mta/inbound_gate`.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final, cast

from mta.inbound import ServerOptions, SubmissionHandler
from mta.inbound_gate import ByteBudget, Gate, GateLimits
from mta.inbound_reports import BounceHandler
from mta.inbound_session import BounceConnection, Connection, SubmissionConnection

SUBMISSION_GATE: Final = GateLimits(connections=200, connections_per_ip=100, new_per_minute=6_000)
"""Applications that open a connection per mail, a hundred a second, from one host."""
BOUNCE_GATE: Final = GateLimits(connections=200, connections_per_ip=20, new_per_minute=600)

MEMORY_BYTES: Final = 128 * 1024 * 1024
"""Mail that all clients of a listener may have in memory, beside 64 KB of each. One mail of the largest size fits in
any case."""
PATIENCE_SECONDS: Final = 30.0
"""When all connections are taken, one that was of no use for so long leaves for the next. Mail servers begin at once;
who only holds a connection open does not."""


HANDSHAKE_SECONDS: Final = 10.0
"""For TLS from the first byte: until it is done a connection is not counted."""


@dataclass(slots=True, eq=False)
class Listener:
    """One endpoint: `start`, read `port`, `stop`."""

    handler: SubmissionHandler | BounceHandler
    options: ServerOptions
    gate: Gate
    budget: ByteBudget = field(init=False)
    connections: set[Connection] = field(default_factory=set)
    stopping: bool = False
    port: int = 0
    _empty: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    def __post_init__(self) -> None:
        self.budget = ByteBudget(max(MEMORY_BYTES, 2 * self.options.max_bytes))

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError when the port cannot be had."""
        tls = self.options.tls if self.options.wrapped else None
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, host, port, ssl=tls, ssl_handshake_timeout=HANDSHAKE_SECONDS if tls else None
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self, seconds: float) -> None:
        """Take no more connections, let mails that are being taken finish within `seconds`, end the rest."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in [c for c in self.connections if not c.busy]:
            connection.dismiss("is stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if self.connections else 0):
                await self._empty.wait()
        for connection in list(self.connections):
            if connection.transport is not None:
                cast(asyncio.WriteTransport, connection.transport).abort()

    def admit(self, connection: Connection, address: str) -> str:
        """Let a connection in, or say why not."""
        reason = self.gate.enter(address, self._make_room)
        if not reason:
            self.connections.add(connection)
        return reason

    def left(self, connection: Connection, address: str) -> None:
        """A connection has ended; one that was never let in, or had to leave, does not count."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.gate.leave(address)
        if self.stopping and not self.connections:
            self._empty.set()

    def _make_room(self) -> bool:
        """Dismiss the connection that was of no use for the longest time; False when each was of some lately."""
        idle = [connection for connection in self.connections if not connection.busy]
        longest = min(idle, key=lambda connection: connection.useful_at, default=None)
        if longest is None or longest.loop.time() - longest.useful_at < PATIENCE_SECONDS:
            return False
        longest.dismiss("has others waiting")
        self.left(longest, longest.address)
        return True

    def _connection(self) -> Connection:
        if isinstance(self.handler, SubmissionHandler):
            return SubmissionConnection(self.handler, self)
        return BounceConnection(self.handler, self)
