"""Connections per source IP and mail server (or provider), counted over all worker processes through Redis.

The `ConnectionLeases` that `mta/session` asks before it opens a connection. Owns how many leases this process holds,
their renewal, and whom of its own waiters a lease goes to; it opens and ends nothing, that is the session pool's.

One task talks to Redis, one call at a time, and says of each key how many connections this process holds and how many
more it wants (connections.lua). So nothing is lost or counted twice, whatever call fails; a dead process's leases run
out within `lease` seconds; and what a wiped Redis forgot is back within `RENEW_SECONDS`. A call is made when a
connection was opened or closed, while somebody waits, and each `RENEW_SECONDS`; a mail costs nothing.

Limits are shared fairly: a free connection goes to the waiting process that holds the fewest. A process that holds more
is asked, with its next renewal, to end unused sessions, or those handed back next.

While Redis cannot be asked, a process opens no more than one connection per key, and once its leases are about to run
out it ends all but one.
"""

import asyncio
import contextlib
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.logs import get_logger
from mta.connection_leases import GiveUp, Key
from pools.scripts import TIMEOUT_SECONDS, Script

_log = get_logger(__name__)

LEASE_SECONDS = 10.0
"""After this the connections of a process that no longer calls are free for others."""

RENEW_SECONDS = 1.0
"""Between two calls of a process that needs nothing. So long the wish of another one may stay unseen."""

POLL_SECONDS = 0.1
"""Between two tries for a connection that others hold."""

RELEASE_SECONDS = 0.005
"""A lease goes back after this, so that a connection that is to be replaced by a new one is told in one call."""

_OWED_SECONDS = 3.0
"""A wish of another process is forgotten after this; connections.lua (ASKED) repeats it then."""

_KEYS_PER_CALL = 200
"""A key costs Redis some microseconds, in which it serves nobody else."""

_PREFIX = "postlane:connections:"
_TOLD = struct.Struct("<HHH")
_ANSWER = struct.Struct("<HH")
_MOST = 2**16 - 1


@dataclass(slots=True, eq=False)
class _Ask:
    future: "asyncio.Future[bool]"
    once: bool


class SharedConnections:
    """The leases of one process. Used in one event loop, by one session pool."""

    def __init__(
        self,
        redis_url: str,
        lease: float = LEASE_SECONDS,
        timeout: float = TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lease`: seconds, more than twice RENEW_SECONDS. `timeout`: seconds that one call to Redis may take."""
        self._script = Script(redis_url, "connections", timeout, monotonic)
        self._name = os.urandom(8)
        self._lease = lease
        self._monotonic = monotonic
        self._held: dict[Key, int] = {}
        self._limits: dict[Key, int] = {}
        self._asks: dict[Key, deque[_Ask]] = {}
        self._owed: dict[Key, tuple[int, float]] = {}
        """Connections to be ended when they are handed back, and until when that is asked."""
        self._leaving: dict[Key, int] = {}
        """Leases whose connections are being ended for other processes: nobody here gets them."""
        self._dirty: set[Key] = set()
        """Keys of which Redis does not know what we hold."""
        self._scarce: set[Key] = set()
        """Keys of which Redis had fewer than we wanted when it was asked last."""
        self._wake = asyncio.Event()
        self._waking: asyncio.TimerHandle | None = None
        self._give_up: GiveUp = lambda key, n: 0
        self._cut_off = False
        self._heard = monotonic()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin to talk to Redis; its being away is no error."""
        await self._round()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Give back what was released, and end. Close the session pool before; what it still holds runs out."""
        if self._task is not None:
            # Not cancelled: what a call under way was granted is to be known, and given back.
            self._stopping = True
            self._wake.set()
            await self._task
            await self._round()
        await self._script.close()

    # What the session pool calls

    async def acquire(self, key: Key, limit: int) -> bool:
        """One try, one round trip. False when the `limit` connections of all processes are in use."""
        if self._cut_off:
            return self._grant_alone(key, limit)
        return await self._ask(key, limit, once=True)

    async def wait(self, key: Key, limit: int) -> None:
        """Try until it is granted; in the order of calls within this process. Cancelling withdraws."""
        await self._ask(key, limit, once=False)

    def release(self, key: Key) -> None:
        """One lease goes back, or straight to who waits for it here when no other process is to have it."""
        leaving = self._leaving.get(key, 0)
        if leaving:
            self._leaving[key] = leaving - 1
        elif not self._cut_off and self._serve(key, 1):
            return
        held = self._held[key] - 1
        if held:
            self._held[key] = held
        else:
            for book in (self._held, self._owed, self._leaving):
                book.pop(key, None)
        self._dirty.add(key)
        self._scarce.discard(key)  # who asks next is answered at once: there is one again
        asyncio.get_running_loop().call_later(RELEASE_SECONDS, self._wake.set)

    def wanted(self, key: Key) -> bool:
        """True when a connection of `key` that is handed back should end; each True settles one of those asked for."""
        if key not in self._owed:
            return False
        n, until = self._owed.pop(key)
        if until < self._monotonic():
            return False
        if n > 1:
            self._owed[key] = n - 1, until
        self._leaving[key] = self._leaving.get(key, 0) + 1
        return True

    def attach(self, give_up: GiveUp) -> None:
        """Whom to ask for unused connections."""
        self._give_up = give_up

    @property
    def held(self) -> int:
        """Leases of this process, for metrics."""
        return sum(self._held.values())

    # Asking

    async def _ask(self, key: Key, limit: int, once: bool) -> bool:
        ask = _Ask(asyncio.get_running_loop().create_future(), once)
        self._limits[key] = max(0, min(limit, _MOST))
        self._asks.setdefault(key, deque()).append(ask)
        self._touch(key, at_once=once)
        try:
            return await ask.future
        except asyncio.CancelledError:
            self._withdraw(key, ask)
            raise

    def _withdraw(self, key: Key, ask: _Ask) -> None:
        if not ask.future.cancelled() and ask.future.done():
            if ask.future.result():
                self.release(key)
        else:
            self._drop(key, (ask,))
            self._touch(key, at_once=False)

    def _drop(self, key: Key, asks: Iterable[_Ask]) -> None:
        queue = self._asks.get(key, deque())
        for ask in asks:
            with contextlib.suppress(ValueError):
                queue.remove(ask)
        if not queue:
            self._asks.pop(key, None)

    def _serve(self, key: Key, n: int) -> int:
        """Give up to `n` leases to who waits here, the longest first; returns how many there were to take one."""
        served = 0
        while served < n and key in self._asks:
            ask = self._asks[key][0]
            self._drop(key, (ask,))
            if not ask.future.done():
                ask.future.set_result(True)
                served += 1
        return served

    def _serve_new(self, key: Key, n: int) -> int:
        """The same with leases that this process did not hold before."""
        served = self._serve(key, n)
        if served:
            self._held[key] = self._held.get(key, 0) + served
        return served

    def _touch(self, key: Key, *, at_once: bool = True) -> None:
        """Redis is to hear of it: at once, or, where it has just had no connection for us, when it is asked again."""
        self._dirty.add(key)
        if at_once or key not in self._scarce:
            self._wake.set()
        elif self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(POLL_SECONDS, self._ask_again)

    def _ask_again(self) -> None:
        self._waking = None
        self._wake.set()

    # Talking to Redis

    async def _run(self) -> None:
        renewed = self._monotonic()
        while not self._stopping:
            await self._pause(renewed + RENEW_SECONDS - self._monotonic())
            if self._monotonic() >= renewed + RENEW_SECONDS or self._cut_off:
                renewed = self._monotonic()
                self._dirty.update(self._held)
            self._dirty.update(self._asks)
            try:
                await self._round()
            except Exception as error:
                # A bug. Without this task no connection is ever opened again, and nobody would see it stop.
                _log.error("shared_connections_failed", exc_info=error)
                await asyncio.sleep(RENEW_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Until somebody needs something, or the end. Cut off, nobody is listened to: what they need stays noted."""
        if self._cut_off:
            await asyncio.sleep(POLL_SECONDS)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, POLL_SECONDS) if self._asks else seconds):
                await self._wake.wait()

    async def _round(self) -> None:
        """Say all that is to be said; a call without any key shows Redis that we are there."""
        self._wake.clear()
        keys = list(self._dirty)
        for start in range(0, max(len(keys), 1), _KEYS_PER_CALL):
            if not await self._sync(keys[start : start + _KEYS_PER_CALL]):
                self._alone()
                return

    async def _sync(self, keys: Sequence[Key]) -> bool:
        """One call; False when Redis cannot be asked."""
        asked = {key: tuple(self._asks.get(key, ())) for key in keys}
        told = b"".join(
            _TOLD.pack(self._held.get(key, 0), min(len(asked[key]), _MOST), self._limits.get(key, 0)) for key in keys
        )
        self._dirty.difference_update(keys)
        names = [f"{_PREFIX}{source}|{server}".encode() for source, server in keys]
        answer = await self._script.run(names, self._name, told, struct.pack("<d", self._lease))
        if answer is None:
            self._dirty.update(keys)
            return False
        if self._cut_off:
            self._cut_off = False
            self._owed.clear()
        self._heard = self._monotonic()
        for key, (granted, give) in zip(keys, _ANSWER.iter_unpack(answer), strict=True):
            self._heed(key, granted, give, asked[key])
        return True

    def _heed(self, key: Key, granted: int, give: int, asked: Sequence[_Ask]) -> None:
        if granted < len(asked):
            self._scarce.add(key)
        else:
            self._scarce.discard(key)
        if self._serve_new(key, granted) < granted:
            self._touch(key)  # who wanted it has gone
        self._refuse(key, asked)
        if give:
            self._owe(key, give, self._monotonic() + _OWED_SECONDS)
        if key not in self._held and key not in self._asks:
            self._limits.pop(key, None)

    def _refuse(self, key: Key, asked: Sequence[_Ask]) -> None:
        """Tell those who asked once and got nothing."""
        for ask in asked:
            if ask.once and not ask.future.done():
                self._drop(key, (ask,))
                ask.future.set_result(False)

    def _owe(self, key: Key, n: int, until: float) -> None:
        ended = self._give_up(key, n)
        if ended:
            self._leaving[key] = self._leaving.get(key, 0) + ended
        if ended < n:
            self._owed[key] = n - ended, until

    # Without Redis

    def _alone(self) -> None:
        """Nobody can be asked: one connection per key, and only one once our leases may be given to others."""
        self._cut_off = True
        for key in list(self._asks):
            if key not in self._held and self._limits[key] > 0:
                self._serve_new(key, 1)
            self._refuse(key, tuple(self._asks.get(key, ())))
        if self._monotonic() - self._heard > self._lease - 2 * RENEW_SECONDS:
            for key, held in list(self._held.items()):
                if held > 1:
                    self._owe(key, held - 1, float("inf"))

    def _grant_alone(self, key: Key, limit: int) -> bool:
        if key in self._held or limit < 1:
            return False
        self._limits[key] = min(limit, _MOST)
        self._held[key] = 1
        self._dirty.add(key)
        return True
