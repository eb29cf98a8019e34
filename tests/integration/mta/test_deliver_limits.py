"""Servers that take so many mails through one connection: another connection at once, no blame, and it is learned."""

import asyncio

import pytest

from mta.model import Host, Phase, Route, Trouble
from mta.providers import Limits, Providers
from mta.smtp_timeouts import Timeouts
from tests.integration.mta.couriers import FIRST, courier, mail, providers
from tests.smtp_sink import DROP, Offer, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]

TO = Route("x.test", "other", (Host("mx0.test", "127.0.0.1", 10),))


class Counting(SmtpSink):
    """Takes `most` mails through a connection; what it says then, at `phase`, is `reply`."""

    most = 5
    phase = "mail"
    reply = "421 4.7.0 too many messages in this connection"
    refusals = 0

    def rule_for(self, phase: str, local: str, source: str, ehlo: str) -> Rule | None:
        if phase == self.phase:
            number = self.journal.commands[-1][0]
            if sum(got.session == number for got in self.mails) >= self.most:
                self.refusals += 1
                return Rule(phase, self.reply, then_close=self.reply.startswith("421"))
        return super().rule_for(phase, local, source, ehlo)


def counting(reply: str = Counting.reply, phase: str = "mail", offer: Offer | None = None) -> Counting:
    sink = Counting(offer=offer)
    sink.reply, sink.phase = reply, phase
    return sink


COUNTED = (
    "421 4.7.0 too many messages in this connection",
    "421 bye",
    "452 4.5.3 too many recipients",
    "451 4.7.1 max messages per connection reached",
)


@pytest.mark.parametrize("offer", [Offer(), Offer(pipelining=False)], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("phase", ["mail", "rcpt"])
@pytest.mark.parametrize("reply", [*COUNTED, DROP])
async def test_all_mails_arrive_once_whatever_ends_a_session(reply: str, phase: str, offer: Offer) -> None:
    limits = providers(connections=2)
    async with counting(reply, phase, offer) as sink, courier(sink.port, limits, timeouts=Timeouts()) as out:
        deliveries = await asyncio.gather(*(out.deliver(TO, FIRST, mail(f"r{n}@x.test")) for n in range(60)))
    assert {str(one.response) for one in deliveries if one.response.code != 250} == set()
    assert sorted(got.rcpt_to[0] for got in sink.mails) == sorted(f"r{n}@x.test" for n in range(60))
    assert 12 <= sink.journal.connections <= 13  # two of them side by side may both end half used
    assert sink.journal.most_open["127.0.1.1"] == 2
    if reply != DROP:
        assert sink.refusals <= 2  # one a connection that was open; then it is known


async def test_a_first_mail_that_is_told_421_is_answered_with_it() -> None:
    async with counting() as sink, courier(sink.port) as out:
        sink.most = 0
        response = (await out.deliver(TO, FIRST, mail())).response
    assert (response.phase, response.code, sink.journal.connections) == (Phase.MAIL, 421, 1)


async def test_a_throttled_source_is_told_so_by_a_second_connection_and_nothing_is_learned() -> None:
    async with counting("421 4.7.28 rate limited") as sink, courier(sink.port) as out:
        for _ in range(3):
            await out.deliver(TO, FIRST, mail())
        sink.most = 0
        throttled = await out.deliver(TO, FIRST, mail())
        assert (throttled.response.code, throttled.reuse_count) == (421, 0)
        sink.most = 100
        deliveries = [await out.deliver(TO, FIRST, mail()) for _ in range(10)]
    assert [one.reuse_count for one in deliveries] == list(range(10))
    assert sink.journal.connections == 3


async def test_the_limit_of_the_operator_holds_below_the_learned_one() -> None:
    async with counting() as sink, courier(sink.port, Providers(Limits(1, 3), {}, {})) as out:
        for _ in range(7):
            assert (await out.deliver(TO, FIRST, mail())).response.code == 250
    assert (sink.journal.connections, sink.refusals) == (3, 0)


@pytest.mark.parametrize("reply", ["421 4.4.2 idle for too long", "421 4.3.2 shutting down", "451 no"])
async def test_a_server_that_ends_the_session_at_rset_gets_the_mail_through_a_new_one(reply: str) -> None:
    async with SmtpSink(Rule("rset", reply)) as sink, courier(sink.port) as out:
        assert (await out.deliver(TO, FIRST, mail("rcpt-550@x.test"))).response.code == 550
        delivery = await out.deliver(TO, FIRST, mail())
    assert (delivery.response.code, delivery.reuse_count) == (250, 0)
    assert (len(sink.mails), sink.journal.connections) == (1, 2)


async def test_a_replacement_that_cannot_be_had_is_the_answer() -> None:
    async with counting() as sink, courier(sink.port) as out:
        for _ in range(5):
            await out.deliver(TO, FIRST, mail())
        sink.rules.append(Rule("connect", DROP))
        response = (await out.deliver(TO, FIRST, mail())).response
        assert out.stats().open == 0
    assert (response.phase, response.trouble) == (Phase.BANNER, Trouble.CLOSED)
