"""The courier against real sinks: which host gets the mail, what comes back, and what is never sent."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mta.model import EgressIp, Envelope, Host, Phase, Response, Route, Trouble
from mta.smtp_commands import UnsendableError
from tests.integration.mta.couriers import FIRST, SECOND, courier, mail, providers, route
from tests.smtp_sink import DROP, SILENCE, Offer, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]


@pytest_asyncio.fixture
async def sinks() -> AsyncIterator[list[SmtpSink]]:
    """Three servers on one port of 127.0.0.1, .2 and .3."""
    first = SmtpSink(address="127.0.0.1")
    await first.start()
    rest = [SmtpSink(address=f"127.0.0.{number}", port=first.port) for number in (2, 3)]
    for sink in rest:
        await sink.start()
    yield [first, *rest]
    for sink in (first, *rest):
        await sink.stop()


ALL = route("127.0.0.1", "127.0.0.2", "127.0.0.3")


async def test_a_mail_arrives_from_the_source_ip_with_its_ehlo_name(sinks: list[SmtpSink]) -> None:
    async with courier(sinks[0].port) as out:
        for source in (FIRST, SECOND):
            delivery = await out.deliver(ALL, source, mail())
            assert delivery.response == Response(Phase.DOT, 250, "2.0.0", "taken")
            assert (delivery.host_name, delivery.host_address, delivery.tls) == ("mx0.test", "127.0.0.1", "none")
            assert delivery.started <= delivery.ready <= delivery.ended
            assert 0 <= delivery.ready_milliseconds <= delivery.milliseconds < 5000
    assert [(got.source, got.ehlo) for got in sinks[0].mails] == [
        ("127.0.1.1", "out1.test"),
        ("127.0.1.2", "out2.test"),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        Rule("connect", "421 4.3.2 busy"),
        Rule("connect", SILENCE),
        Rule("connect", DROP),
        Rule("ehlo", "451 4.3.0 not now"),
        Rule("ehlo", DROP),
        Rule("mail", DROP),
        Rule("mail", SILENCE),
    ],
)
async def test_the_next_host_gets_what_this_one_has_not_answered(sinks: list[SmtpSink], rule: Rule) -> None:
    sinks[0].rules.append(rule)
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, FIRST, mail())
    assert (delivery.response.code, delivery.host_name) == (250, "mx1.test")
    assert [len(sink.mails) for sink in sinks] == [0, 1, 0]


@pytest.mark.parametrize(
    ("rule", "code", "trouble"),
    [
        (Rule("connect", "554 5.7.1 your IP is listed"), 554, None),
        (Rule("ehlo", "550 5.7.1 who?"), 550, None),
        (Rule("mail", "451 4.7.1 later"), 451, None),
        (Rule("mail", "421 4.7.0 slow down"), 421, None),
        (Rule("rcpt", "450 4.2.0 greylisted"), 450, None),
        (Rule("rcpt", DROP), 0, Trouble.CLOSED),
        (Rule("data", SILENCE), 0, Trouble.TIMEOUT),
        (Rule("dot", DROP), 0, Trouble.CLOSED),
        (Rule("dot", SILENCE), 0, Trouble.TIMEOUT),
    ],
)
async def test_an_answer_ends_the_walk(sinks: list[SmtpSink], rule: Rule, code: int, trouble: Trouble | None) -> None:
    sinks[0].rules.append(rule)
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, FIRST, mail())
    assert (delivery.response.code, delivery.response.trouble, delivery.host_name) == (code, trouble, "mx0.test")
    assert sinks[1].journal.connections == 0


async def test_unknown_after_the_dot_has_phase_dot_although_the_mail_was_taken(sinks: list[SmtpSink]) -> None:
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, FIRST, mail("dot-drop@x.test"))
    assert (delivery.response.phase, delivery.response.trouble) == (Phase.DOT, Trouble.CLOSED)
    assert len(sinks[0].mails) == 1


async def test_of_several_failures_the_one_with_words_is_reported(sinks: list[SmtpSink]) -> None:
    sinks[0].rules.append(Rule("connect", DROP))
    sinks[1].rules.append(Rule("connect", "421 4.7.0 too many from you"))
    sinks[2].rules.append(Rule("connect", SILENCE))
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, FIRST, mail())
    assert delivery.response == Response(Phase.BANNER, 421, "4.7.0", "too many from you")
    assert [sink.journal.connections for sink in sinks] == [1, 1, 1]


async def test_no_more_than_five_hosts_are_tried(sinks: list[SmtpSink]) -> None:
    more = [SmtpSink(Rule("connect", DROP), address=f"127.0.0.{n}", port=sinks[0].port) for n in range(11, 19)]
    for sink in more:
        await sink.start()
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(route(*[sink.address for sink in more]), FIRST, mail())
    assert delivery.response.trouble is Trouble.CLOSED
    assert (delivery.host_name, delivery.tls) == ("mx0.test", "")
    assert [sink.journal.connections for sink in more] == [1, 1, 1, 1, 1, 0, 0, 0]
    for sink in more:
        await sink.stop()


async def test_an_unreachable_host_is_tried_last_for_a_while(sinks: list[SmtpSink]) -> None:
    sinks[0].rules.append(Rule("connect", DROP))
    async with courier(sinks[0].port) as out:
        for _ in range(3):
            assert (await out.deliver(ALL, FIRST, mail())).host_name == "mx1.test"
    assert [sink.journal.connections for sink in sinks] == [1, 1, 0]


async def test_an_unreachable_host_that_is_reached_again_is_tried_first_again(sinks: list[SmtpSink]) -> None:
    sinks[0].rules.append(Rule("connect", DROP, times=1))
    sinks[1].rules.append(Rule("mail", DROP, times=1))
    async with courier(sinks[0].port) as out:
        both = route("127.0.0.1", "127.0.0.2")
        assert (await out.deliver(both, FIRST, mail())).response.trouble is Trouble.CLOSED  # each of them once
        sinks[1].rules.append(Rule("connect", DROP, times=1))
        sinks[1].rules.append(Rule("ehlo", DROP, times=1))
        assert (await out.deliver(both, FIRST, mail())).host_name == "mx0.test"
        assert (await out.deliver(both, FIRST, mail())).host_name == "mx0.test"


async def test_among_equals_the_host_with_an_open_session_comes_first(sinks: list[SmtpSink]) -> None:
    one_way = route("127.0.0.1", "127.0.0.2", same=True)
    other_way = Route(one_way.destination, one_way.provider, one_way.hosts[::-1])
    async with courier(sinks[0].port) as out:
        for path in (one_way, other_way, one_way):
            await out.deliver(path, FIRST, mail())
    assert [sink.journal.connections for sink in sinks] == [1, 0, 0]


async def test_the_gate_is_asked_when_the_session_stands_and_before_mail(sinks: list[SmtpSink]) -> None:
    seen_at_gate: list[list[str]] = []

    async def gate(_provider: str) -> bool:
        seen_at_gate.append([line for _, line in sinks[0].journal.commands])
        return len(seen_at_gate) > 1

    async with courier(sinks[0].port) as out:
        refused = await out.deliver(ALL, FIRST, mail(), gate)
        assert refused.refused_by_gate
        assert refused.response.code == 0
        sent = await out.deliver(ALL, FIRST, mail(), gate)
        assert not sent.refused_by_gate
        assert (sent.response.code, sent.reuse_count) == (250, 0)
    assert seen_at_gate == [["EHLO out1.test"], ["EHLO out1.test"]]
    assert len(sinks[0].mails) == 1


async def test_a_gate_that_fails_sends_nothing(sinks: list[SmtpSink]) -> None:
    async def gate(_provider: str) -> bool:
        raise LookupError("the suppression list does not answer")

    async with courier(sinks[0].port) as out:
        with pytest.raises(LookupError):
            await out.deliver(ALL, FIRST, mail(), gate)
    assert sinks[0].mails == []


async def test_a_large_mail_is_loaded_once_when_the_session_stands_and_the_gate_has_passed(
    sinks: list[SmtpSink],
) -> None:
    order: list[str] = []

    async def gate(_provider: str) -> bool:
        order.append("gate")
        return True

    async def load() -> Envelope:
        order.append(f"load after {len(sinks[0].journal.commands)} commands")
        return mail()

    sinks[0].rules.append(Rule("mail", DROP))
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, FIRST, load, gate)
    assert (delivery.response.code, delivery.host_name, delivery.refused_by_gate) == (250, "mx1.test", False)
    assert order == ["gate", "load after 1 commands", "gate"]


async def test_nothing_is_loaded_that_the_gate_refuses_and_nothing_sent_that_is_not_there(
    sinks: list[SmtpSink],
) -> None:
    async def refuse(_provider: str) -> bool:
        return False

    async def load() -> Envelope | None:
        loads.append(1)
        return None

    loads: list[int] = []
    async with courier(sinks[0].port) as out:
        assert (await out.deliver(ALL, FIRST, load, refuse)).refused_by_gate
        assert loads == []
        assert (await out.deliver(ALL, FIRST, load)).refused_by_gate
        assert (await out.deliver(ALL, FIRST, mail())).reuse_count == 0
    assert (len(sinks[0].mails), sinks[0].journal.connections) == (1, 1)


@pytest.mark.parametrize("last_words", [b"", b"421 4.4.2 idle for too long\r\n"])
async def test_a_session_that_died_at_rest_is_replaced_without_an_attempt(
    sinks: list[SmtpSink], last_words: bytes
) -> None:
    async with courier(sinks[0].port) as out:
        assert (await out.deliver(ALL, FIRST, mail())).reuse_count == 0
        sinks[0].hang_up(last_words)  # not yet noticed when the next mail comes
        delivery = await out.deliver(ALL, FIRST, mail())
    assert (delivery.response.code, delivery.reuse_count, delivery.host_name) == (250, 0, "mx0.test")
    assert [sink.journal.connections for sink in sinks] == [2, 0, 0]


async def test_a_session_that_dies_at_mail_is_replaced_and_the_gate_asked_again(sinks: list[SmtpSink]) -> None:
    asked = 0

    async def gate(_provider: str) -> bool:
        nonlocal asked
        asked += 1
        return True

    async with courier(sinks[0].port) as out:
        await out.deliver(ALL, FIRST, mail(), gate)
        sinks[0].rules.append(Rule("mail", DROP, times=1))
        delivery = await out.deliver(ALL, FIRST, mail(), gate)
    assert (delivery.response.code, delivery.host_name, asked) == (250, "mx0.test", 3)
    assert sinks[1].journal.connections == 0


async def test_one_dead_session_casts_doubt_on_all_idle_ones_to_that_server(sinks: list[SmtpSink]) -> None:
    async with courier(sinks[0].port) as out:
        await asyncio.gather(*(out.deliver(ALL, FIRST, mail()) for _ in range(3)))
        assert out.stats().idle == 3
        sinks[0].rules.append(Rule("mail", DROP, times=1))
        assert (await out.deliver(ALL, FIRST, mail())).response.code == 250
        assert (out.stats().open, sinks[0].journal.connections) == (1, 4)


async def test_a_fresh_session_that_is_told_4_4_2_is_answered(sinks: list[SmtpSink]) -> None:
    sinks[0].rules.append(Rule("mail", "421 4.4.2 bad connection"))
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, FIRST, mail())
    assert (delivery.response.code, sinks[0].journal.connections) == (421, 1)


async def test_a_source_ip_we_do_not_have_is_our_own_trouble(sinks: list[SmtpSink]) -> None:
    absent = EgressIp("192.0.2.1", "192.0.2.1", "absent.test")
    async with courier(sinks[0].port) as out:
        delivery = await out.deliver(ALL, absent, mail())
    assert (delivery.response.phase, delivery.response.trouble) == (Phase.CONNECT, Trouble.LOCAL_ADDRESS)
    assert delivery.host_name == "mx0.test"
    assert "192.0.2.1" in delivery.response.text


async def test_hosts_of_the_other_ip_version_are_left_out(sinks: list[SmtpSink]) -> None:
    async with courier(sinks[0].port) as out:
        mixed = await out.deliver(route("::1", "127.0.0.1"), FIRST, mail())
        assert (mixed.response.code, mixed.host_address, mixed.out_of_reach) == (250, "127.0.0.1", False)
        only6 = await out.deliver(route("::1"), FIRST, mail())
    assert only6.out_of_reach
    assert only6.response.text == "127.0.1.1 reaches no server of x.test: different IP versions"
    assert (only6.host_name, only6.tls) == ("", "")


async def test_ipv6_from_an_address_of_ours(sinks: list[SmtpSink]) -> None:
    six = EgressIp("::1", "::1", "out6.test")
    async with SmtpSink(address="::1", port=sinks[0].port) as sink, courier(sink.port) as out:
        delivery = await out.deliver(route("127.0.0.1", "::1"), six, mail())
        only4 = await out.deliver(route("127.0.0.1"), six, mail())
        absent = await out.deliver(route("::1"), EgressIp("2001:db8::1", "2001:db8::1", "out6.test"), mail())
    assert (delivery.response.code, delivery.host_address) == (250, "::1")
    assert [(got.source, got.ehlo) for got in sink.mails] == [("::1", "out6.test")]
    assert only4.out_of_reach
    assert absent.response.trouble is Trouble.LOCAL_ADDRESS
    assert sinks[0].journal.connections == 0


async def test_a_route_without_hosts_is_a_bug(sinks: list[SmtpSink]) -> None:
    async with courier(sinks[0].port) as out:
        with pytest.raises(ValueError, match="no hosts"):
            await out.deliver(Route("x.test", "other", ()), FIRST, mail())


async def test_a_bad_address_costs_the_session_not_the_pool(sinks: list[SmtpSink]) -> None:
    async with courier(sinks[0].port) as out:
        with pytest.raises(UnsendableError, match="recipient"):
            await out.deliver(ALL, FIRST, mail("bob@x.test>\r\nRCPT TO:<eve@x.test"))
        assert (await out.deliver(ALL, FIRST, mail())).response.code == 250
    assert len(sinks[0].mails) == 1


async def test_a_cancelled_delivery_leaves_no_connection(sinks: list[SmtpSink]) -> None:
    sinks[0].rules.append(Rule("dot", SILENCE))
    async with courier(sinks[0].port) as out:
        task = asyncio.ensure_future(out.deliver(ALL, FIRST, mail()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert out.stats().open == 0
    assert sinks[0].journal.open["127.0.1.1"] == 0


async def test_mails_with_refusals_among_them_share_sessions(sinks: list[SmtpSink]) -> None:
    users = ["rcpt-550@x.test", "data-451@x.test", "dot-554@x.test", "good@x.test"] * 10
    for offer in (Offer(), Offer(pipelining=False)):
        sinks[0].offer = offer
        async with courier(sinks[0].port, providers(connections=2)) as out:
            deliveries = await asyncio.gather(*(out.deliver(ALL, FIRST, mail(user)) for user in users))
        assert [delivery.response.code for delivery in deliveries] == [550, 451, 554, 250] * 10
    assert sinks[0].journal.connections == 4
    assert {got.rcpt_to for got in sinks[0].mails} == {("good@x.test",)}
    assert len(sinks[0].mails) == 20


async def test_a_host_that_ends_each_connection_after_a_mail_gets_all_mails(sinks: list[SmtpSink]) -> None:
    sinks[0].rules.append(Rule("dot", "250 2.0.0 taken", then_close=True))
    only = Route("x.test", "other", (Host("mx0.test", "127.0.0.1", 0),))
    async with courier(sinks[0].port, providers(connections=3)) as out:
        deliveries = await asyncio.gather(*(out.deliver(only, FIRST, mail()) for _ in range(30)))
    assert {delivery.response.code for delivery in deliveries} == {250}
    assert len(sinks[0].mails) == 30
