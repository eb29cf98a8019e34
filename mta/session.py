"""The pool of open SMTP sessions of one process.

Owns which sessions are open, who may use one, and when one ends: per source IP and mail server, per source IP and
provider where the provider counts that way, and over all. It sends nothing (`mta/smtp_client`), opens nothing itself
(`mta/connect`) and chooses no host (`mta/deliver`, its only caller).

Waiting is fair: who has waited longest among those whose limits have room comes first, so one busy server cannot starve
another even when the process's overall limit is reached. All of it runs in one event loop; there are no locks.

Where several processes share the limits, a new connection also needs a lease (`mta/connection_leases`). Whoever waits
for one has its place among the process's own limits already, and is served by a session that is handed back, if that
comes first.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from core.errors import UnavailableError
from mta.connect import Session
from mta.connection_leases import ConnectionLeases, Key, LeaseLine
from mta.memory import Memory
from mta.model import EgressIp, Host, Response
from mta.session_slots import Ceiling, PoolStats, Slot, Waiter, Waiters

Opener = Callable[[EgressIp, Host], Awaitable[Session | Response]]

CLOSE_SECONDS = 5.0
"""How long `close` waits for QUITs. Nothing is lost by a connection that ends without one."""

LENGTH_SECONDS = 600.0
"""How long a server's number of mails per connection is believed. To find out again costs one reply a session."""

LENGTHS = 10_000

CLOSED = "the session pool is closed"


class SessionPool:
    """Take a session, use it, give it back or discard it. Every taken session must come back one of the two ways."""

    def __init__(
        self, opener: Opener, idle_seconds: float = 30.0, limit: int = 1000, leases: ConnectionLeases | None = None
    ) -> None:
        """`idle_seconds`: how long an unused session stays open. `limit`: connections of this process, all together.
        `leases`: where the limits of `Ceiling` hold over several processes; None: each process has them to itself.
        """
        self._opener = opener
        self._idle_seconds = idle_seconds
        self._limit = limit
        self._used: dict[Key, int] = {}
        self._total = 0
        self._slots: dict[Session, Slot] = {}
        self._by_key: dict[Key, list[Session]] = {}
        self._idle: OrderedDict[Session, None] = OrderedDict()  # longest idle first
        self._idle_by_key: dict[Key, list[Session]] = {}
        self._waiting = Waiters()
        self._line = LeaseLine(leases, self._give_up, self.give_back) if leases is not None else None
        self._lengths: Memory[Key, int] = Memory(LENGTHS)
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._opened_total = self._reused_total = self._waited_total = 0
        self._closed = False

    async def take(self, source: EgressIp, host: Host, ceiling: Ceiling, *, behind: bool = False) -> Session | Response:
        """A session ready for MAIL, kept or new; waits for room. A Response when it could not be opened. `behind`:
        rather than to wait, one that others use, behind their mails.

        UnavailableError once `close` was called.
        """
        if self._closed:
            raise UnavailableError(CLOSED)
        key = (source.address, host.address)
        session = self._pop_idle(key)
        if session is not None:
            session.solo = not behind
            return session
        group = (source.address, ceiling.provider) if ceiling.provider else None
        slot = Slot(key, group, ceiling)
        if self._room(slot):
            self._occupy(slot)  # nobody who waits has room, so nobody is overtaken
        else:
            session = (self._shared(slot) if behind else None) or await self._wait(slot, behind)
            if session is not None:
                return session
        if self._line is not None and not slot.leased:
            session = await self._lease(slot, self._line, behind)
            if session is not None:
                return session
        opened = await self._open(slot, source, host)
        if isinstance(opened, Session):
            opened.solo = not behind
        return opened

    def give_back(self, session: Session) -> None:
        """The mail is through, whatever the answer was. A session that can carry another one is kept."""
        slot = self._slots[session]
        session.users -= 1
        if session.users:
            self._share(session, slot)
        elif not session.client.usable:
            self._cut(session)
        elif session.spent or self._closed or session.carried >= self._most(session, slot) or self._should_end(slot):
            self._end(session)
        elif self._hand_over(session, slot):
            self._share(session, slot)
        else:
            session.idle_since = asyncio.get_running_loop().time()
            self._idle[session] = None
            self._idle_by_key.setdefault(slot.key, []).append(session)
            session.client.rest(lambda: self._lost(session))
            self._sweep_later()

    def retire(self, session: Session) -> None:
        """Give back a session that is in order and of no use to us: it ends with QUIT once nobody has it."""
        session.spent = True
        self.give_back(session)

    def discard(self, session: Session) -> None:
        """The session is of no more use, or in an unknown state: cut it off. Whoever else has it gives it back."""
        session.users -= 1
        session.client.abort()
        if session.users <= 0:
            self._cut(session)

    async def replace(
        self, session: Session, source: EgressIp, host: Host, *, behind: bool = False
    ) -> Session | Response:
        """A new connection at once, in the place and with the lease of one that its server has ended or has had enough
        of. The old one is out of use in any case; while others still wait for replies there, a place of its own."""
        session.spent = True  # nobody else gets it, while QUIT waits for its answer either
        if session.users > 1:
            session.users -= 1
            return await self.take(source, host, self._slots[session].ceiling, behind=behind)
        try:
            await session.client.quit()
        except BaseException:
            self.discard(session)
            raise
        session.client.abort()
        slot = self._forget(session)
        if self._closed:
            self._free(slot)
            raise UnavailableError(CLOSED)
        return await self._open(slot, source, host)

    def learn_length(self, source: EgressIp, host: Host, mails: int) -> None:
        """This server ended a session after so many mails and would take more through a new one: so many it gets."""
        key = (source.address, host.address)
        if mails > (self._lengths.get(key) or 0):
            self._lengths.note(key, mails, LENGTH_SECONDS)

    def has_idle(self, source: EgressIp, host: Host) -> bool:
        """True when a mail to this host needs no new connection now."""
        return (source.address, host.address) in self._idle_by_key

    def drop_idle(self, source: EgressIp, host: Host) -> None:
        """Cut off the unused sessions to a server that was seen to have closed one: it probably restarted."""
        for session in self._idle_by_key.get((source.address, host.address), [])[:]:
            self._unrest(session)
            self.discard(session)

    def stats(self) -> PoolStats:
        """The figures of this moment."""
        return PoolStats(
            self._total,
            len(self._idle),
            len(self._waiting) + len(self._line or ()),
            self._opened_total,
            self._reused_total,
            self._waited_total,
        )

    async def close(self) -> None:
        """End unused sessions with QUIT, cut off the ones in use, and refuse waiting callers. A few seconds at most."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._waiting.fail(UnavailableError(CLOSED))
        if self._line is not None:
            self._line.close(UnavailableError(CLOSED))
        for session in list(self._idle):
            self._unrest(session)
            self._end(session)
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)
        for task in self._closing:
            task.cancel()
        for session in self._slots:
            session.client.abort()

    # Several mails on one session

    def _shared(self, slot: Slot) -> Session | None:
        """A session to the same server that has room behind the mails it carries, the one with fewest first. None where
        others have waited longer."""
        if slot.key in self._waiting or (self._line is not None and self._line.waits(slot.key)):
            return None
        found = [one for one in self._by_key.get(slot.key, ()) if self._has_room(one, self._slots[one])]
        if not found:
            return None
        session = min(found, key=lambda one: one.users)
        session.users += 1
        self._reused_total += 1
        return session

    def _has_room(self, session: Session, slot: Slot) -> bool:
        if self._closed or session.spent or session.solo or session.client.lost:
            return False
        if not 0 < session.users < session.client.window:
            return False
        return session.carried + session.users < self._most(session, slot)

    def _share(self, session: Session, slot: Slot) -> None:
        """Let those who wait for this server go behind the mails that the session carries."""
        while self._has_room(session, slot):
            if self._should_end(slot):
                session.spent = True
            elif not self._hand_over(session, slot):
                return

    # Opening and ending

    def _cut(self, session: Session) -> None:
        """At once."""
        session.client.abort()
        self._free(self._forget(session))

    def _forget(self, session: Session) -> Slot:
        """It is open no more; its slot is."""
        slot = self._slots.pop(session)
        sessions = self._by_key[slot.key]
        sessions.remove(session)
        if not sessions:
            del self._by_key[slot.key]
        return slot

    def _most(self, session: Session, slot: Slot) -> int:
        """Mails that this session may carry."""
        if not self._lengths:
            return slot.ceiling.messages
        learned = self._lengths.get(slot.key)
        if learned is None:
            return slot.ceiling.messages
        if session.carried > learned and not session.users:
            self._lengths.amend(slot.key, session.carried)  # it is still open: so many are welcome after all
        return min(learned, slot.ceiling.messages)

    async def _open(self, slot: Slot, source: EgressIp, host: Host) -> Session | Response:
        try:
            session = await self._opener(source, host)
        except BaseException:
            self._free(slot)
            raise
        if isinstance(session, Response):
            self._free(slot)
            return session
        self._slots[session] = slot
        self._by_key.setdefault(slot.key, []).append(session)
        self._opened_total += 1
        return session

    def _end(self, session: Session) -> None:
        """Say QUIT in the background; the slot stays used until then, because the server counts it until then."""
        task = asyncio.get_running_loop().create_task(self._quit(session))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _quit(self, session: Session) -> None:
        try:
            await session.client.quit()
        finally:
            self.discard(session)

    def _lost(self, session: Session) -> None:
        """An unused session was ended by the server."""
        if session in self._idle:
            self._unrest(session)
            self.discard(session)

    # Idle sessions

    def _pop_idle(self, key: Key) -> Session | None:
        """The session used last, so that the surplus grows old and is closed."""
        sessions = self._idle_by_key.get(key)
        while sessions:
            session = sessions[-1]
            self._unrest(session)
            if session.client.usable:
                session.users = 1
                self._reused_total += 1
                return session
            self.discard(session)
        return None

    def _unrest(self, session: Session) -> None:
        session.client.resume()
        del self._idle[session]
        key = self._slots[session].key
        sessions = self._idle_by_key[key]
        sessions.remove(session)
        if not sessions:
            del self._idle_by_key[key]

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            oldest = next(iter(self._idle))
            self._sweeper = loop.call_at(oldest.idle_since + self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """End what was unused for too long, and look again when the next one is due."""
        self._sweeper = None
        due = asyncio.get_running_loop().time() - self._idle_seconds
        while self._idle:
            oldest = next(iter(self._idle))
            if oldest.idle_since > due:
                self._sweep_later()
                return
            self._unrest(oldest)
            self._end(oldest)

    # Room and waiting

    def _room(self, slot: Slot, without: Slot | None = None) -> bool:
        """True when the limits let `slot` be used now, or once `without` is free."""
        gone = 0 if without is None else 1
        if self._total - gone >= self._limit:
            return False
        for key, limit in ((slot.key, slot.ceiling.connections), (slot.group, slot.ceiling.provider_connections)):
            if key is not None:
                freed = gone if without is not None and key in (without.key, without.group) else 0
                if self._used.get(key, 0) - freed >= limit:
                    return False
        return True

    def _occupy(self, slot: Slot) -> None:
        self._total += 1
        self._used[slot.key] = self._used.get(slot.key, 0) + 1
        if slot.group is not None:
            self._used[slot.group] = self._used.get(slot.group, 0) + 1

    def _free(self, slot: Slot) -> None:
        self._total -= 1
        for key in (slot.key, slot.group):
            if key is not None:
                self._used[key] -= 1
                if not self._used[key]:
                    del self._used[key]
        if slot.leased and self._line is not None:
            slot.leased = False
            self._line.release(slot.lease)
        if self._waiting:
            self._admit(slot)

    async def _wait(self, slot: Slot, shares: bool) -> Session | None:
        """Queue up, for a slot and then for its lease. A session handed over by another user, or None when both were
        granted."""
        self._waited_total += 1
        waiter = Waiter(slot, self._waited_total, asyncio.get_running_loop().create_future(), shares)
        self._waiting.add(waiter)
        waiter.promised = self._evict_for(slot)
        try:
            session = await waiter.future
        except BaseException as error:
            self._withdraw(waiter, cancelled=isinstance(error, asyncio.CancelledError))
            raise
        if waiter.leasing is not None:
            self._leased(slot, session)
        return session

    def _leased(self, slot: Slot, session: Session | None) -> None:
        """Its waiting in the line is over. With a session that was handed over first the slot is free again."""
        if self._line is not None:
            self._line.left(slot.lease)
        if session is not None:
            self._free(slot)
        else:
            slot.leased = True

    def _withdraw(self, waiter: Waiter, *, cancelled: bool) -> None:
        """The waiting caller was cancelled, perhaps after it had already been served; or the pool is closed."""
        slot, future = waiter.slot, waiter.future
        if waiter.leasing is not None and self._line is not None:
            if cancelled:
                self._line.withdraw(waiter.leasing)
            self._line.left(slot.lease)
            self._free(slot)
        elif not future.done() or future.cancelled():
            self._waiting.remove(waiter)
        elif future.exception() is None:
            session = future.result()
            if session is None:
                self._free(slot)
            else:
                self.give_back(session)

    def _hand_over(self, session: Session, slot: Slot) -> bool:
        """Give the session straight to who has waited longest for the same server. While others have it, only if that
        one may go behind their mails: else the session is kept from filling up, so that its turn comes."""
        shared = session.users > 0
        if self._line is not None and self._line.hand_over(slot.key, session, shared=shared):
            session.users += 1
            self._reused_total += 1
            return True
        head = self._waiting.head(slot.key)
        if head is None or (shared and not head.shares):
            return False
        self._waiting.remove(head)
        session.users += 1
        session.solo = not head.shares
        self._reused_total += 1
        head.future.set_result(session)
        return True

    def _should_yield(self, slot: Slot) -> bool:
        """True when somebody who has waited longer, for another server, needs just this slot."""
        if not self._waiting or (slot.group is None and self._total < self._limit):
            return False  # who waits for this server gets the session, and to others its place is nothing
        own = self._waiting.head(slot.key)
        for head in self._waiting.heads():
            if head is own:
                return False
            if not head.promised and self._room(head.slot, without=slot):
                head.promised = True
                return True
        return False

    def _evict_for(self, slot: Slot) -> bool:
        """End the longest unused session whose place `slot` could take."""
        for session in self._idle:
            if self._room(slot, without=self._slots[session]):
                self._unrest(session)
                self._end(session)
                return True
        return False

    def _admit(self, freed: Slot) -> None:
        """Grant free slots to those who have waited longest among those with room. Only where the freed slot counted
        for more than its server may that be one who waits for another one."""
        if freed.group is None and self._total + 1 < self._limit:
            head = self._waiting.head(freed.key)
            if head is not None and self._room(head.slot):
                self._grant(head)
            return
        while self._waiting and not self._closed:
            heads = self._waiting.heads()
            lucky = next((head for head in heads if self._room(head.slot)), None)
            if lucky is None:
                for head in heads:
                    head.promised = self._evict_for(head.slot)
                return
            self._grant(lucky)

    def _grant(self, lucky: Waiter) -> None:
        """The slot is its own. Where leases are needed it goes on waiting, in their line, and is not woken for that."""
        slot = lucky.slot
        self._waiting.remove(lucky)
        self._occupy(slot)
        if self._line is None:
            lucky.future.set_result(None)
        else:
            lucky.leasing = self._line.enter(slot.key, slot.lease, slot.lease_limit, lucky.future, lucky.shares)

    # Leases

    async def _lease(self, slot: Slot, line: LeaseLine, shares: bool) -> Session | None:
        """Wait for the lease of a slot. A session when one was handed over first; the slot is free again then."""
        try:
            session = await line.wait(slot.key, slot.lease, slot.lease_limit, shares)
        except BaseException:
            self._free(slot)
            raise
        if session is not None:
            self._free(slot)
        else:
            slot.leased = True
        return session

    def _should_end(self, slot: Slot) -> bool:
        """True when the place or the lease of a session that comes back is more needed elsewhere."""
        if self._line is not None and self._line.wants_end(slot.key, slot.lease):
            return True
        return self._should_yield(slot)

    def _give_up(self, lease: Key, n: int) -> int:
        """End up to `n` unused sessions that hold such a lease, the longest unused first."""
        chosen = [session for session in self._idle if self._slots[session].lease == lease][:n]
        for session in chosen:
            self._unrest(session)
            self._end(session)
        return len(chosen)
