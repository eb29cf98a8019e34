"""The session pool with leases that another pool shares, against a real sink. The twin of Redis is one dictionary."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.errors import UnavailableError
from mta.connect import Connector, Session
from mta.connection_leases import GiveUp, Key
from mta.model import Host
from mta.session import SessionPool
from mta.session_slots import Ceiling
from mta.tls import TlsPolicy
from tests.integration.mta.couriers import FIRST, QUICK
from tests.smtp_sink import Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]

HOSTS = [Host(f"mx{number}.test", f"127.0.0.{number}", 10) for number in range(1, 4)]
FIVE = Ceiling(connections=5, messages=100)
WIDE = Ceiling(connections=5, messages=100, provider="big", provider_connections=5)


class Shared:
    """What all processes together hold. `most` is the limit in place of the one that is asked with."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held: Counter[Key] = Counter()
        self.waiting: deque[tuple[Key, asyncio.Future[None]]] = deque()
        self.broken = False

    def free(self, key: Key) -> None:
        self.held[key] -= 1
        for entry in list(self.waiting):
            if entry[0] == key and not entry[1].done():
                self.waiting.remove(entry)
                self.held[key] += 1
                entry[1].set_result(None)
                return


class Leases:
    """One process's view of it."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.held: Counter[Key] = Counter()
        self.to_end = 0
        self.give_up: GiveUp = lambda key, n: 0

    async def acquire(self, key: Key, limit: int) -> bool:
        await asyncio.sleep(0.001)
        if self.shared.broken:
            raise RuntimeError("a bug in the leases")
        if self.shared.held[key] >= self.shared.most:
            return False
        self.shared.held[key] += 1
        self.held[key] += 1
        return True

    async def wait(self, key: Key, limit: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.shared.waiting.append((key, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.shared.free(key)
            raise
        self.held[key] += 1

    def release(self, key: Key) -> None:
        assert self.held[key] > 0, "released what it never had"
        self.held[key] -= 1
        self.shared.free(key)

    def wanted(self, key: Key) -> bool:
        self.to_end -= 1
        return self.to_end >= 0

    def attach(self, give_up: GiveUp) -> None:
        self.give_up = give_up


@asynccontextmanager
async def pools(most: int, *rules: Rule) -> AsyncIterator[tuple[SessionPool, SessionPool, SmtpSink]]:
    """Two processes' pools; in the end neither has anything left."""
    shared = Shared(most)
    async with SmtpSink(*rules, address="0.0.0.0") as sink:
        views = [Leases(shared), Leases(shared)]
        made = [SessionPool(Connector(sink.port, QUICK, TlsPolicy()).open, leases=view) for view in views]
        try:
            yield made[0], made[1], sink
        finally:
            for pool in made:
                await pool.close()
            await asyncio.sleep(0.02)
            assert [pool.stats().open for pool in made] == [0, 0]
            assert [pool.stats().waiting for pool in made] == [0, 0]
            assert shared.held.total() == 0


def view(pool: SessionPool) -> Leases:
    line = pool._line
    assert line is not None
    leases = line._leases
    assert isinstance(leases, Leases)
    return leases


async def take(pool: SessionPool, host: int = 0, ceiling: Ceiling = FIVE) -> Session:
    session = await pool.take(FIRST, HOSTS[host], ceiling)
    assert isinstance(session, Session), session
    return session


async def settle() -> None:
    await asyncio.sleep(0.05)


async def test_a_lease_lasts_from_before_opening_until_after_closing() -> None:
    async with pools(1) as (here, there, sink):
        session = await take(here)
        assert view(here).held == {(FIRST.address, "127.0.0.1"): 1}
        here.give_back(session)
        assert await take(here) is session  # a mail costs no lease
        waiting = asyncio.ensure_future(take(there))
        await settle()
        assert (waiting.done(), there.stats().waiting) == (False, 1)
        here.discard(session)
        there.give_back(await asyncio.wait_for(waiting, 2))
        assert sink.journal.most_open["127.0.1.1"] == 1


async def test_a_session_handed_back_serves_who_waits_for_a_lease() -> None:
    async with pools(1) as (here, _, sink):
        held = await take(here)
        waiting = [asyncio.ensure_future(take(here)) for _ in range(3)]
        await settle()
        for one in waiting:
            here.give_back(held)
            assert await asyncio.wait_for(one, 1) is held
        here.give_back(held)
        await settle()
        assert here.stats().open == 1
        assert sink.journal.connections == 1


async def test_a_lease_that_comes_after_a_session_did_goes_back() -> None:
    async with pools(2) as (here, there, _):
        mine, theirs = await take(here), await take(there)
        waiting = asyncio.ensure_future(take(here))
        await settle()
        there.discard(theirs)  # the lease is granted now …
        here.give_back(mine)  # … and before it is heard of, the session is handed over
        assert await waiting is mine
        await settle()
        assert view(here).held.total() == 1
        here.give_back(mine)


async def test_a_session_another_process_wants_is_ended_when_it_comes_back() -> None:
    async with pools(1) as (here, there, sink):
        held = await take(here)
        local = asyncio.ensure_future(take(here))
        foreign = asyncio.ensure_future(take(there))
        await settle()
        view(here).to_end = 2
        here.give_back(held)
        session = await asyncio.wait_for(local, 2)
        assert session is not held, "it was handed on though another process wants its lease"
        here.give_back(session)
        there.give_back(await asyncio.wait_for(foreign, 2))
        assert (sink.journal.connections, sink.journal.most_open["127.0.1.1"]) == (3, 1)


async def test_unused_sessions_of_a_key_are_given_up_and_no_others() -> None:
    async with pools(5) as (here, _, _sink):
        for session in [await take(here, 0), await take(here, 0), await take(here, 1)]:
            here.give_back(session)
        assert view(here).give_up((FIRST.address, "127.0.0.1"), 1) == 1
        assert view(here).give_up((FIRST.address, "127.0.0.1"), 5) == 1
        await settle()
        assert [here.has_idle(FIRST, HOSTS[at]) for at in (0, 1)] == [False, True]


async def test_servers_of_one_provider_share_their_leases() -> None:
    async with pools(1) as (here, _, sink):
        here.give_back(await take(here, 0, WIDE))
        session = await asyncio.wait_for(take(here, 1, WIDE), 2)  # the unused one of the other server was ended
        assert view(here).held == {(FIRST.address, "big"): 1}
        waiting = asyncio.ensure_future(take(here, 2, WIDE))
        await settle()
        here.give_back(session)  # nobody waits for its server: its lease is more needed
        here.give_back(await asyncio.wait_for(waiting, 2))
        assert sink.journal.most_open["127.0.1.1"] == 1


async def test_a_failed_opening_gives_its_lease_back() -> None:
    async with pools(1, Rule("connect", "421 busy", times=2)) as (here, there, _):
        for pool in (here, there):
            assert not isinstance(await pool.take(FIRST, HOSTS[0], FIVE), Session)
        there.give_back(await take(there))


async def test_cancelled_callers_leave_nothing_behind() -> None:
    async with pools(1) as (here, there, _):
        held = await take(here)
        waiting = [asyncio.ensure_future(take(here)) for _ in range(3)]
        foreign = asyncio.ensure_future(take(there))
        await settle()
        waiting[0].cancel()
        here.give_back(held)  # to the second, before the first has run its cancellation
        waiting[1].cancel()  # after it was served, before it knew
        assert await asyncio.wait_for(waiting[2], 1) is held
        here.discard(held)
        foreign.cancel()  # its lease is granted already
        await settle()
        here.give_back(await asyncio.wait_for(take(here), 1))


@pytest.mark.parametrize("turns", range(8))
async def test_a_caller_cancelled_at_any_moment_leaves_nothing_behind(turns: int) -> None:
    async with pools(1) as (here, _, _sink):
        asking = asyncio.ensure_future(take(here))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        if asking.cancel():
            with pytest.raises(asyncio.CancelledError):
                await asking
        else:
            here.give_back(await asking)
        here.give_back(await asyncio.wait_for(take(here), 1))


async def test_a_bug_in_the_leases_reaches_who_waits() -> None:
    async with pools(1) as (here, _, _sink):
        view(here).shared.broken = True
        with pytest.raises(RuntimeError, match="a bug"):
            await take(here)
        assert here.stats().open == 0


async def test_close_refuses_who_waits_for_a_lease() -> None:
    async with pools(1) as (here, there, _):
        held = await take(there)
        waiting = asyncio.ensure_future(take(here))
        await settle()
        await here.close()
        with pytest.raises(UnavailableError):
            await waiting
        there.give_back(held)


async def test_a_crowd_in_two_processes_stays_within_the_limit() -> None:
    async with pools(3) as (here, there, sink):
        served: Counter[SessionPool] = Counter()

        async def use(pool: SessionPool, number: int) -> None:
            for _ in range(10):
                session = await take(pool, number % 3, WIDE)
                await asyncio.sleep(0.001)
                (pool.discard if number % 5 == 0 else pool.give_back)(session)
                served[pool] += 1

        tasks = [asyncio.ensure_future(use((here, there)[number % 2], number)) for number in range(30)]
        for _ in range(100):  # what the real leases do when another process waits
            await asyncio.sleep(0.01)
            for pool in (here, there):
                view(pool).give_up((FIRST.address, "big"), 1)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        assert served == {here: 150, there: 150}
        assert sink.journal.most_open["127.0.1.1"] <= 3
