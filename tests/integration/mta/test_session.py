"""The session pool against real sinks: limits, reuse, waiting turns, idle ends, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from core.errors import UnavailableError
from mta.connect import Connector, Session
from mta.model import EgressIp, Host, Response
from mta.session import SessionPool
from mta.session_slots import Ceiling
from mta.tls import TlsPolicy
from tests.integration.mta.couriers import FIRST, QUICK, SECOND, courier, mail, providers, route
from tests.smtp_sink import SILENCE, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]

ONE = Ceiling(connections=1, messages=100)
TWO = Ceiling(connections=2, messages=100)
HOSTS = [Host(f"mx{number}.test", f"127.0.0.{number}", 10) for number in range(1, 5)]


@asynccontextmanager
async def pool(
    limit: int = 100, idle_seconds: float = 30.0, *rules: Rule
) -> AsyncIterator[tuple[SessionPool, SmtpSink]]:
    """A pool, and a sink on all addresses of 127.0.0.0/8."""
    async with SmtpSink(*rules, address="0.0.0.0") as sink:
        made = SessionPool(Connector(sink.port, QUICK, TlsPolicy()).open, idle_seconds, limit)
        try:
            yield made, sink
        finally:
            await made.close()
            assert made.stats().open == 0


async def take(
    from_pool: SessionPool, host: Host = HOSTS[0], ceiling: Ceiling = ONE, source: EgressIp = FIRST
) -> Session:
    session = await from_pool.take(source, host, ceiling)
    assert isinstance(session, Session), session
    return session


async def settle() -> None:
    """Time for loopback round trips and the callbacks behind them."""
    await asyncio.sleep(0.05)


async def test_a_session_is_used_again_and_again() -> None:
    async with pool() as (sessions, sink):
        first = await take(sessions)
        sessions.give_back(first)
        assert sessions.has_idle(FIRST, HOSTS[0])
        assert await take(sessions) is first
        assert not sessions.has_idle(FIRST, HOSTS[0])
        sessions.give_back(first)
        stats = sessions.stats()
        assert (stats.open, stats.idle, stats.opened_total, stats.reused_total) == (1, 1, 1, 1)
        assert sink.journal.connections == 1


async def test_sources_and_hosts_do_not_share() -> None:
    async with pool() as (sessions, _):
        taken = [await take(sessions, host, ONE, source) for source in (FIRST, SECOND) for host in HOSTS[:2]]
        assert len(set(map(id, taken))) == 4
        for session in taken:
            sessions.give_back(session)


async def test_two_names_for_one_bind_address_are_two_sources() -> None:
    """Where only 127.0.0.1 exists, pool IPs differ in nothing but their name and EHLO."""
    async with pool() as (sessions, sink):
        for source in (replace(FIRST, bind_address="127.0.0.1"), replace(SECOND, bind_address="127.0.0.1")):
            sessions.give_back(await take(sessions, source=source))
        assert [line for _, line in sink.journal.commands] == ["EHLO out1.test", "EHLO out2.test"]


async def test_more_connections_than_allowed_wait_their_turn() -> None:
    async with pool() as (sessions, sink):
        held = [await take(sessions, ceiling=TWO) for _ in range(2)]
        order: list[int] = []

        async def queue(number: int) -> None:
            session = await take(sessions, ceiling=TWO)
            order.append(number)
            await asyncio.sleep(0.01)
            sessions.give_back(session)

        waiting = [asyncio.ensure_future(queue(number)) for number in range(5)]
        await settle()
        assert (order, sessions.stats().waiting) == ([], 5)
        for session in held:
            sessions.give_back(session)
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2, 3, 4]
        assert sink.journal.connections == sink.journal.most_open["127.0.1.1"] == 2


async def test_a_provider_wide_limit_counts_all_its_servers() -> None:
    wide = Ceiling(connections=2, messages=100, provider="big", provider_connections=2)
    async with pool() as (sessions, sink):
        held = [await take(sessions, host, wide) for host in HOSTS[:2]]
        third = asyncio.ensure_future(take(sessions, HOSTS[2], wide))
        other = await take(sessions, HOSTS[2], wide, SECOND)
        await settle()
        assert not third.done()
        sessions.give_back(held[0])  # to another server: it is ended, and its place goes to who waits
        sessions.give_back(await third)
        sessions.give_back(held[1])
        sessions.give_back(other)
        assert sink.journal.most_open["127.0.1.1"] == 2


async def test_an_unused_session_makes_room_for_another_server_of_the_provider() -> None:
    wide = Ceiling(connections=2, messages=100, provider="big", provider_connections=1)
    async with pool() as (sessions, sink):
        sessions.give_back(await take(sessions, HOSTS[0], wide))
        sessions.give_back(await asyncio.wait_for(take(sessions, HOSTS[1], wide), 2))
        assert sink.journal.most_open["127.0.1.1"] == 1
        assert ("QUIT" in [line for _, line in sink.journal.commands]) is True


async def test_the_overall_limit_ends_the_longest_unused() -> None:
    async with pool(2) as (sessions, _):
        for host in HOSTS:
            sessions.give_back(await asyncio.wait_for(take(sessions, host), 2))
        assert sessions.stats().open == 2
        assert [sessions.has_idle(FIRST, host) for host in HOSTS] == [False, False, True, True]


async def test_a_busy_server_does_not_starve_another_one() -> None:
    async with pool(1) as (sessions, sink):
        served: list[str] = []

        async def use(host: Host, times: int) -> None:
            for _ in range(times):
                session = await take(sessions, host)
                served.append(host.name)
                await asyncio.sleep(0.002)
                sessions.give_back(session)

        busy = [asyncio.ensure_future(use(HOSTS[0], 20)) for _ in range(4)]
        await asyncio.sleep(0.01)
        await asyncio.wait_for(use(HOSTS[1], 1), 5)
        assert served.count("mx1.test") < 40
        await asyncio.gather(*busy)
        assert served.count("mx1.test") == 80
        assert max(sink.journal.most_open.values()) == 1


async def test_a_connection_carries_no_more_mails_than_allowed() -> None:
    async with SmtpSink() as sink:
        async with courier(sink.port, providers(messages=3)) as out:
            to = route("127.0.0.1")
            reuse = [(await out.deliver(to, FIRST, mail())).reuse_count for _ in range(7)]
        assert reuse == [0, 1, 2, 0, 1, 2, 0]
        assert sink.journal.connections == 3
        assert [line for _, line in sink.journal.commands].count("QUIT") == 3


async def test_the_lower_limit_of_setting_and_provider_holds() -> None:
    async with SmtpSink() as sink:
        limits = providers(wide=3, connections=5, messages=50)
        async with courier(sink.port, limits, connections_per_host=4, messages_per_connection=2) as out:
            for below, most in (("big.test", 3), ("test", 4)):
                to = route("127.0.0.1", below=below)
                sink.journal.most_open.clear()
                done = await asyncio.gather(*(out.deliver(to, FIRST, mail()) for _ in range(40)))
                assert {delivery.response.code for delivery in done} == {250}
                assert max(delivery.reuse_count for delivery in done) == 1
                await asyncio.sleep(0.05)
                assert sink.journal.most_open["127.0.1.1"] <= most


async def test_unused_sessions_end_with_quit_after_their_time() -> None:
    async with pool(100, 0.15) as (sessions, sink):
        early, late = await take(sessions, HOSTS[0]), await take(sessions, HOSTS[1])
        sessions.give_back(early)
        await asyncio.sleep(0.1)
        sessions.give_back(late)
        await asyncio.sleep(0.1)
        assert [sessions.has_idle(FIRST, host) for host in HOSTS[:2]] == [False, True]
        await asyncio.sleep(0.15)
        assert sessions.stats().open == 0
        assert [line for _, line in sink.journal.commands].count("QUIT") == 2


async def test_a_session_the_server_ended_frees_its_place_at_once() -> None:
    async with pool() as (sessions, sink):
        sessions.give_back(await take(sessions))
        sink.hang_up(b"421 4.4.2 bye\r\n")
        await settle()
        assert sessions.stats().open == 0
        sessions.give_back(await take(sessions))
        assert sink.journal.connections == 2


async def test_dropping_idle_sessions_leaves_the_others() -> None:
    async with pool() as (sessions, _):
        taken = [
            await take(sessions, HOSTS[0], TWO),
            await take(sessions, HOSTS[0], TWO),
            await take(sessions, HOSTS[1]),
        ]
        for session in taken:
            sessions.give_back(session)
        sessions.drop_idle(FIRST, HOSTS[0])
        assert (sessions.stats().open, sessions.has_idle(FIRST, HOSTS[1])) == (1, True)


async def test_a_failed_opening_gives_its_place_to_the_next() -> None:
    async with pool(100, 30.0, Rule("connect", "421 busy", times=3)) as (sessions, _):
        results = await asyncio.gather(*(sessions.take(FIRST, HOSTS[0], ONE) for _ in range(4)))
        assert [isinstance(result, Response) for result in results] == [True, True, True, False]
        assert isinstance(results[3], Session)
        sessions.give_back(results[3])


async def test_cancelled_waiters_take_nothing_with_them() -> None:
    async with pool() as (sessions, _):
        held = await take(sessions)
        waiting = [asyncio.ensure_future(take(sessions)) for _ in range(3)]
        await settle()
        waiting[0].cancel()
        sessions.give_back(held)  # handed to the second before the first has run its cancellation
        waiting[1].cancel()  # cancelled after it was served, before it knew
        assert await asyncio.wait_for(waiting[2], 2) is held
        sessions.give_back(held)
        assert (sessions.stats().open, sessions.stats().waiting) == (1, 0)


async def test_a_waiter_cancelled_with_a_granted_place_passes_it_on() -> None:
    async with pool() as (sessions, _):
        held = await take(sessions)
        waiting = [asyncio.ensure_future(take(sessions)) for _ in range(2)]
        await settle()
        sessions.discard(held)
        waiting[0].cancel()
        sessions.give_back(await asyncio.wait_for(waiting[1], 2))
        assert sessions.stats().open == 1


async def test_a_cancelled_opening_frees_its_place() -> None:
    async with pool(100, 30.0, Rule("connect", SILENCE, times=1)) as (sessions, sink):
        opening = asyncio.ensure_future(take(sessions))
        await settle()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert sessions.stats().open == 0
        await settle()
        assert sink.journal.open["127.0.1.1"] == 0


async def test_close_ends_the_idle_politely_the_busy_at_once_and_refuses_who_waits() -> None:
    async with pool() as (sessions, sink):
        busy = await take(sessions, HOSTS[0])
        sessions.give_back(await take(sessions, HOSTS[1]))
        waiting = asyncio.ensure_future(take(sessions, HOSTS[0]))
        await settle()
        await sessions.close()
        with pytest.raises(UnavailableError):
            await waiting
        with pytest.raises(UnavailableError):
            await take(sessions, HOSTS[2])
        sessions.give_back(busy)
        await settle()
        assert sessions.stats().open == 0
        assert sink.journal.open["127.0.1.1"] == 0
        assert [line for _, line in sink.journal.commands].count("QUIT") == 1


async def test_close_does_not_wait_for_a_server_that_ignores_quit() -> None:
    async with pool(100, 30.0, Rule("quit", SILENCE)) as (sessions, _):
        sessions.give_back(await take(sessions))
        await asyncio.wait_for(sessions.close(), 2)
        assert sessions.stats().open == 0


async def test_a_crowd_over_few_places_is_served_within_all_limits() -> None:
    """Twelve (source, host) pairs, five places, callers that cancel, servers that hang up: everything comes back."""
    async with pool(5, 30.0, Rule("rset", "250 ok")) as (sessions, sink):
        done = 0

        async def use(number: int) -> None:
            nonlocal done
            source, host = (FIRST, SECOND)[number % 2], HOSTS[number % 3]
            session = await sessions.take(source, host, TWO)
            if isinstance(session, Response):
                return
            keep = False
            try:
                await asyncio.sleep(0.001)
                keep = number % 7 != 0
            finally:
                (sessions.give_back if keep else sessions.discard)(session)
            done += 1
            assert sessions.stats().open <= 5

        tasks = [asyncio.ensure_future(use(number)) for number in range(200)]
        for task in tasks[::10]:
            asyncio.get_running_loop().call_later(0.01, task.cancel)
        asyncio.get_running_loop().call_later(0.03, sink.hang_up)
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 15)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert done >= 100
        assert sessions.stats().waiting == 0
        assert sum(sink.journal.most_open.values()) <= 10


async def test_a_learned_number_of_mails_holds_until_a_longer_session_was_welcome() -> None:
    async with pool() as (sessions, _):
        sessions.learn_length(FIRST, HOSTS[0], 2)
        sessions.learn_length(FIRST, HOSTS[0], 1)  # a server that restarts; two were welcome before
        for carried, kept in ((1, True), (2, False), (5, False), (3, True), (5, False)):
            session = await take(sessions)
            session.carried = carried
            sessions.give_back(session)
            assert sessions.has_idle(FIRST, HOSTS[0]) == kept, carried
            await settle()


async def test_a_replaced_session_keeps_its_place_before_those_who_wait() -> None:
    async with pool() as (sessions, sink):
        first = await take(sessions)
        waiting = asyncio.ensure_future(take(sessions))
        await settle()
        second = await sessions.replace(first, FIRST, HOSTS[0])
        assert isinstance(second, Session)
        assert (waiting.done(), first.client.usable, sessions.stats().open) == (False, False, 1)
        sessions.give_back(second)
        assert await waiting is second
        sessions.give_back(second)
        assert sink.journal.connections == 2


async def test_a_cancelled_replacement_leaves_nothing() -> None:
    async with pool() as (sessions, sink):
        session = await take(sessions)
        sink.rules.append(Rule("connect", SILENCE))
        replacing = asyncio.ensure_future(sessions.replace(session, FIRST, HOSTS[0]))
        await settle()
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing
        assert sessions.stats().open == 0
