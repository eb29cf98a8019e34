"""Connection limits that several processes share, as the session pool sees them.

`mta` speaks to no broker, so `ConnectionLeases` is only the shape of it: `pools/slots` has the one behind which stands
Redis, and a process that is alone needs none. `LeaseLine` owns who in this process waits for a lease. Called by
`mta/session`, for each connection opened and closed; what a mail costs is two look-ups in dictionaries.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Protocol

from mta.connect import Session

Key = tuple[str, str]
"""What a limit counts by: (source IP, server address) or (source IP, provider). An address never equals a name."""

GiveUp = Callable[[Key, int], int]
"""End up to so many unused connections of a key now; says how many there were."""

PROMISE_SECONDS = 2.0
"""How long an ended connection may take to make room; after that another one is ended. A QUIT takes a round trip, but
the lease may go to another process."""


class ConnectionLeases(Protocol):
    """Leave to hold connections, within limits over all processes. Used in one event loop."""

    async def acquire(self, key: Key, limit: int) -> bool:
        """Ask once for one connection of `key`, of which all processes together may hold `limit`."""
        ...

    async def wait(self, key: Key, limit: int) -> None:
        """Ask until it is granted. Cancelling withdraws; a lease that was just granted goes back."""
        ...

    def release(self, key: Key) -> None:
        """A connection with a lease was closed, or was not opened after all."""
        ...

    def wanted(self, key: Key) -> bool:
        """True when a connection of `key` that is handed back is to be ended for another process. Each True counts as
        one such ending."""
        ...

    def attach(self, give_up: GiveUp) -> None:
        """Whom to ask for unused connections when another process waits for one. Called once, by the session pool."""
        ...


@dataclass(slots=True, eq=False)
class _Asking:
    server: Key
    lease: Key
    future: "asyncio.Future[Session | None]"
    """Resolves to None: the lease is yours; or to a session that was handed back meanwhile."""
    refused: bool = False
    """There was none when it was asked for."""
    promised_until: float = 0.0
    """Loop time until which a connection is being ended to make room for this one."""


class LeaseLine:
    """Those of one session pool who wait for a lease. Each is served by its lease, or by a session handed back."""

    def __init__(self, leases: ConnectionLeases, give_up: GiveUp, give_back: Callable[[Session], None]) -> None:
        """`give_up` ends unused sessions of the pool; `give_back` takes a session whose receiver was cancelled."""
        self._leases = leases
        self._give_up = give_up
        self._give_back = give_back
        self._line: dict[Key, deque[_Asking]] = {}
        leases.attach(give_up)

    def __len__(self) -> int:
        return sum(map(len, self._line.values()))

    async def wait(self, server: Key, lease: Key, limit: int) -> Session | None:
        """None once the lease is had: release it after the connection is closed. Or a session to that server, which
        came first; then there is no lease. When cancelled, neither is left over."""
        loop = asyncio.get_running_loop()
        asking = _Asking(server, lease, loop.create_future())
        self._line.setdefault(server, deque()).append(asking)
        task = loop.create_task(self._ask(asking, limit))
        task.add_done_callback(partial(self._answered, asking))
        try:
            return await asking.future
        except asyncio.CancelledError:
            self._withdraw(asking)
            raise
        finally:
            task.cancel()

    def hand_over(self, server: Key, session: Session) -> bool:
        """Give a session to who has waited longest for this server; False when nobody does."""
        for asking in list(self._line.get(server, ())):
            self._leave(asking)
            if not asking.future.done():
                asking.future.set_result(session)
                return True
        return False

    def wants_end(self, server: Key, lease: Key) -> bool:
        """True when a session that comes back is to be ended because its lease is more needed: by another process, or
        here for another server of the provider. Whoever waits for the same server is served by the session itself."""
        return self._leases.wanted(lease) or (bool(self._line) and self._missed(server, lease))

    def release(self, lease: Key) -> None:
        """The connection that a lease was for is closed."""
        self._leases.release(lease)

    def close(self, error: Exception) -> None:
        """Nobody gets anything any more."""
        for asking in list(chain(*self._line.values())):
            self._leave(asking)
            if not asking.future.done():
                asking.future.set_exception(error)

    async def _ask(self, asking: _Asking, limit: int) -> None:
        if not await self._leases.acquire(asking.lease, limit):
            asking.refused = True
            if self._give_up(asking.lease, 1):
                self._promise(asking)
            await self._leases.wait(asking.lease, limit)

    def _answered(self, asking: _Asking, task: "asyncio.Task[None]") -> None:
        """The lease is granted, or something broke, which must not leave anybody waiting."""
        if task.cancelled():
            return
        error = task.exception()
        if asking.future.done():
            if error is None:
                self._leases.release(asking.lease)
            return
        self._leave(asking)
        if error is not None:
            asking.future.set_exception(error)
        else:
            asking.future.set_result(None)

    def _withdraw(self, asking: _Asking) -> None:
        """The caller was cancelled, perhaps after it had already been served."""
        self._leave(asking)
        future = asking.future
        if future.cancelled() or not future.done() or future.exception() is not None:
            return
        session = future.result()
        if session is None:
            self._leases.release(asking.lease)
        else:
            self._give_back(session)

    def _leave(self, asking: _Asking) -> None:
        queue = self._line.get(asking.server)
        if queue is not None and asking in queue:
            queue.remove(asking)
            if not queue:
                del self._line[asking.server]

    def _missed(self, server: Key, lease: Key) -> bool:
        if server in self._line:
            return False
        now = asyncio.get_running_loop().time()
        for asking in chain(*self._line.values()):
            if asking.lease == lease and asking.refused and asking.promised_until < now:
                self._promise(asking)
                return True
        return False

    def _promise(self, asking: _Asking) -> None:
        asking.promised_until = asyncio.get_running_loop().time() + PROMISE_SECONDS
