"""Connection leases: the limits on connections that several processes share, as the session pool sees them.

`mta` speaks to no broker, so `ConnectionLeases` is only the shape of it: behind the one of `pools` stands Redis, and a
process that is alone needs none. `LeaseLine` owns who in this process waits for a lease. A lease is asked for with each
connection opened and goes back when it is closed; what a mail costs is two look-ups in dictionaries.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
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


GRACE_SECONDS = 0.25
"""How long a lease is still asked for when nobody waits any more."""


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
class LeaseWaiter:
    """A mail that waits for a lease."""

    server: Key
    lease: Key
    future: "asyncio.Future[Session | None]"
    """Resolves to None: the lease is yours; or to a session that was handed back meanwhile."""
    number: int
    """Grows with every waiter: the smallest has waited longest."""
    shares: bool = False
    """It may go behind mails that others have under way on a session."""
    refused: bool = False
    """There was none when it was asked for."""
    promised_until: float = 0.0
    """Loop time until which a connection is being ended to make room for this one."""


@dataclass(slots=True, eq=False)
class _Asker:
    """Asks for the leases of one key, one after the other, as long as somebody waits."""

    task: "asyncio.Task[None] | None" = None
    refused: bool = False
    dismissal: asyncio.TimerHandle | None = None


class LeaseLine:
    """Those of one session pool who wait for a lease. Each is served by its lease, or by a session handed back.

    There is one question at a time per key, whoever waits: under load every mail waits for a moment and is served by a
    session handed back, and a question for each of them cost a fifth of a worker's time.
    """

    def __init__(self, leases: ConnectionLeases, give_up: GiveUp, give_back: Callable[[Session], None]) -> None:
        """`give_up` ends unused sessions of the pool; `give_back` takes a session whose receiver was cancelled."""
        self._leases = leases
        self._give_up = give_up
        self._give_back = give_back
        self._line: dict[Key, deque[LeaseWaiter]] = {}
        self._askers: dict[Key, _Asker] = {}
        self._number = 0
        leases.attach(give_up)

    def __len__(self) -> int:
        return sum(map(len, self._line.values()))

    async def wait(self, server: Key, lease: Key, limit: int, shares: bool = False) -> Session | None:
        """None once the lease is had: release it after the connection is closed. Or a session to that server, which
        came first; then there is no lease. When cancelled, neither is left over."""
        waiter = self.enter(server, lease, limit, asyncio.get_running_loop().create_future(), shares)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self.withdraw(waiter)
            raise
        finally:
            self.left(lease)

    def enter(
        self, server: Key, lease: Key, limit: int, future: "asyncio.Future[Session | None]", shares: bool
    ) -> LeaseWaiter:
        """Put somebody into the line who waits already. Whoever awaits `future` calls `left` afterwards, and `withdraw`
        when cancelled."""
        self._number += 1
        waiter = LeaseWaiter(server, lease, future, self._number, shares)
        self._line.setdefault(server, deque()).append(waiter)
        self._engage(waiter, limit)
        return waiter

    def withdraw(self, waiter: LeaseWaiter) -> None:
        """The caller was cancelled, perhaps after it had already been served."""
        self._leave(waiter)
        future = waiter.future
        if future.cancelled() or not future.done() or future.exception() is not None:
            return
        session = future.result()
        if session is None:
            self._leases.release(waiter.lease)
        else:
            self._give_back(session)

    def left(self, lease: Key) -> None:
        """One who waited for it does so no more. When nobody does just now, it is asked for a moment longer, because
        the next mail often comes at once."""
        asker = self._askers.get(lease)
        if asker is not None and asker.dismissal is None and not self._is_wanted(lease):
            asker.dismissal = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._dismiss, lease, asker)

    def hand_over(self, server: Key, session: Session, *, shared: bool = False) -> bool:
        """Give a session to who has waited longest for this server; False when nobody does. `shared`: others have it,
        so only if that one shares."""
        queue = self._line.get(server)
        while queue:
            waiter = queue[0]
            if waiter.future.done():
                self._leave(waiter)
            elif shared and not waiter.shares:
                return False
            else:
                self._leave(waiter)
                session.solo = not waiter.shares
                waiter.future.set_result(session)
                return True
        return False

    def waits(self, server: Key) -> bool:
        """Whether anybody waits for this server."""
        return server in self._line

    def wants_end(self, server: Key, lease: Key) -> bool:
        """True when a session that comes back is to be ended because its lease is more needed: by another process, or
        here for another server of the provider. Whoever waits for the same server is served by the session itself."""
        return self._leases.wanted(lease) or (bool(self._line) and self._missed(server, lease))

    def release(self, lease: Key) -> None:
        """The connection that a lease was for is closed."""
        self._leases.release(lease)

    def close(self, error: Exception) -> None:
        """Nobody gets anything any more."""
        self._fail(list(chain(*self._line.values())), error)
        for asker in self._askers.values():
            if asker.task is not None:
                asker.task.cancel()

    # Asking

    def _engage(self, waiter: LeaseWaiter, limit: int) -> None:
        asker = self._askers.get(waiter.lease)
        if asker is None:
            asker = self._askers[waiter.lease] = _Asker()
            asker.task = asyncio.get_running_loop().create_task(self._ask(waiter.lease, limit, asker))
            asker.task.add_done_callback(partial(self._ended, waiter.lease, asker))
        elif asker.refused:
            self._refuse(waiter)

    async def _ask(self, lease: Key, limit: int, asker: _Asker) -> None:
        while self._first(lease) is not None:
            # Where leases are scarce the next one is not there at once either: whoever has waited for one waits on.
            if not asker.refused and not await self._leases.acquire(lease, limit):
                asker.refused = True
                for waiter in self._of(lease):
                    self._refuse(waiter)
            if asker.refused:
                await self._leases.wait(lease, limit)
            first = self._first(lease)
            if first is None:
                self._leases.release(lease)
                break
            self._leave(first)
            first.future.set_result(None)
        self._forget(lease, asker)  # at once: whoever comes now starts a new one

    def _ended(self, lease: Key, asker: _Asker, task: "asyncio.Task[None]") -> None:
        """Nobody waited any more, or something broke, which must not leave anybody waiting."""
        self._forget(lease, asker)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(self._of(lease), error)

    def _dismiss(self, lease: Key, asker: _Asker) -> None:
        asker.dismissal = None
        if not self._is_wanted(lease) and asker.task is not None:
            self._forget(lease, asker)
            asker.task.cancel()

    def _forget(self, lease: Key, asker: _Asker) -> None:
        if asker.dismissal is not None:
            asker.dismissal.cancel()
            asker.dismissal = None
        if self._askers.get(lease) is asker:
            del self._askers[lease]

    def _refuse(self, waiter: LeaseWaiter) -> None:
        waiter.refused = True
        if self._give_up(waiter.lease, 1):
            self._promise(waiter)

    # The line

    def _of(self, lease: Key) -> list[LeaseWaiter]:
        return [one for one in chain(*self._line.values()) if one.lease == lease and not one.future.done()]

    def _is_wanted(self, lease: Key) -> bool:
        return any(one.lease == lease and not one.future.done() for one in chain(*self._line.values()))

    def _first(self, lease: Key) -> LeaseWaiter | None:
        return min(self._of(lease), key=lambda one: one.number, default=None) if self._line else None

    def _fail(self, waiters: Iterable[LeaseWaiter], error: BaseException) -> None:
        for waiter in waiters:
            self._leave(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(error)

    def _leave(self, waiter: LeaseWaiter) -> None:
        queue = self._line.get(waiter.server)
        if queue is None:
            return
        if queue[0] is waiter:
            queue.popleft()
        elif waiter in queue:
            queue.remove(waiter)
        if not queue:
            del self._line[waiter.server]

    def _missed(self, server: Key, lease: Key) -> bool:
        if server in self._line or lease == server:
            return False  # served by the session itself; or by no other server's
        now = asyncio.get_running_loop().time()
        for waiter in chain(*self._line.values()):
            if waiter.lease == lease and waiter.refused and waiter.promised_until < now:
                self._promise(waiter)
                return True
        return False

    def _promise(self, waiter: LeaseWaiter) -> None:
        waiter.promised_until = asyncio.get_running_loop().time() + PROMISE_SECONDS
