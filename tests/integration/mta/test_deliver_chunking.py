"""Mail by BDAT through the courier: several on a connection, each once, and servers that cannot do what they offer."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from mta.deliver import Courier, Delivery, may_share
from mta.model import Envelope, Host, Phase, Route, Trouble
from mta.smtp_client import WINDOW
from mta.smtp_commands import UnsendableError
from mta.smtp_timeouts import Timeouts
from tests.integration.mta.couriers import FIRST, courier, mail, providers
from tests.integration.mta.test_deliver_limits import COUNTED, TO, Counting, counting
from tests.smtp_sink import DROP, Offer, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

CHUNKING = Offer(chunking=True)
LARGE = b"Subject: large\r\n\r\n" + b"x" * 76 * 4000 + b"\r\n"


def chunked(n: int, data: bytes | None = None) -> Envelope:
    made = mail(f"r{n}@x.test")
    return replace(made, chunked=True, data=data or made.data)


async def sent(
    out: Courier, envelope: Envelope, *, asked: dict[str, float] | None = None, route: Route = TO
) -> Delivery:
    """As a worker does it: the mail is made at the last moment, and `asked` says when."""

    async def depart() -> Envelope:
        if asked is not None:
            asked[envelope.rcpt_to] = time.monotonic()
        return envelope

    return await out.deliver(route, FIRST, depart, shares=may_share(envelope))


def arrived(sink: SmtpSink) -> list[str]:
    return sorted(got.rcpt_to[0] for got in sink.mails)


def everybody(n: int) -> list[str]:
    return sorted(f"r{one}@x.test" for one in range(n))


def by_bdat(sink: SmtpSink) -> int:
    return sum(line.startswith("BDAT") for _, line in sink.journal.commands)


async def test_one_connection_carries_several_at_a_time() -> None:
    slow = Rule("dot", "250 2.0.0 taken", delay=0.02)
    limits = providers(connections=1)
    async with SmtpSink(slow, offer=CHUNKING, keep_writes=True) as sink, courier(sink.port, limits) as out:
        found = await asyncio.gather(*(sent(out, chunked(n)) for n in range(40)))
        assert out.stats().open == 1
    assert {one.response.code for one in found} == {250}
    assert arrived(sink) == everybody(40)
    assert sink.journal.connections == 1
    assert by_bdat(sink) == 40
    # The first goes alone; after that one is handed over to as many as fit behind each other.
    behind = sum(line == "RSET" for _, line in sink.journal.commands)
    assert behind > 25, "most of them went behind another"


@pytest.mark.parametrize("seed", range(4))
async def test_large_and_small_by_bdat_and_by_data_arrive_whole(seed: int) -> None:
    draw = random.Random(seed)
    mails = {}
    for n in range(60):
        one = chunked(
            n, LARGE if draw.random() < 0.1 else b"Subject: %d\r\n\r\n%b\r\n" % (n, b".x" * draw.randint(1, 99))
        )
        mails[one.rcpt_to] = replace(one, chunked=draw.random() < 0.8)
    rules = [Rule("rcpt", "550 5.1.1 no", local="r7"), Rule("dot", "250 2.0.0 taken", delay=0.005)]
    limits = providers(connections=2)
    async with SmtpSink(*rules, offer=CHUNKING) as sink, courier(sink.port, limits, timeouts=Timeouts()) as out:

        async def later(envelope: Envelope) -> Delivery:
            await asyncio.sleep(draw.random() * 0.1)
            return await sent(out, envelope)

        found = await asyncio.gather(*map(later, mails.values()))
    assert Counter(one.response.code for one in found) == {250: 59, 550: 1}
    assert {got.rcpt_to[0]: got.data for got in sink.mails} == {
        address: one.data for address, one in mails.items() if address != "r7@x.test"
    }
    assert len(sink.mails) == 59


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
@pytest.mark.parametrize("reply", COUNTED)
async def test_all_mails_arrive_once_whatever_ends_a_session(reply: str, phase: str) -> None:
    limits = providers(connections=2)
    async with counting(reply, phase, CHUNKING) as sink, courier(sink.port, limits, timeouts=Timeouts()) as out:
        deliveries = await asyncio.gather(*(sent(out, chunked(n)) for n in range(60)))
        sink.refusals = 0
        again = await asyncio.gather(*(sent(out, chunked(n)) for n in range(60, 120)))
    assert {str(one.response) for one in (*deliveries, *again) if one.response.code != 250} == set()
    assert arrived(sink) == everybody(120)
    assert sink.journal.most_open["127.0.1.1"] == 2
    assert sink.refusals <= 2, "it is learned how many a session takes"


async def test_a_server_that_hangs_up_without_a_word_leaves_a_window_in_doubt() -> None:
    limits = providers(connections=1)
    async with counting(DROP, "mail", CHUNKING) as sink, courier(sink.port, limits, timeouts=Timeouts()) as out:
        deliveries = await asyncio.gather(*(sent(out, chunked(n)) for n in range(30)))
        doubtful = [one for one in deliveries if one.response.code != 250]
        ended = Counting.most
    assert {(one.response.phase, one.response.trouble) for one in doubtful} == {(Phase.DOT, Trouble.CLOSED)}
    assert len(sink.mails) == 30 - len(doubtful) == len(set(arrived(sink)))
    assert len(doubtful) <= WINDOW * (30 // ended + 1)


@pytest.mark.parametrize("reply", ["502 5.5.1 what?", "500 no"])
async def test_a_server_that_cannot_do_what_it_offers_gets_mail_by_data(reply: str) -> None:
    async with SmtpSink(Rule("bdat", reply), offer=CHUNKING) as sink, courier(sink.port) as out:
        for n in range(3):
            found = await sent(out, chunked(n))
            assert found.response.code == 250
            assert found.tls == "none"
    assert arrived(sink) == everybody(3)
    assert by_bdat(sink) == 1, "remembered"


async def test_what_is_remembered_is_of_one_server() -> None:
    other = Route("y.test", "other", (Host("mx9.test", "127.0.0.2", 10),))
    async with (
        SmtpSink(Rule("bdat", "502 no", times=1), offer=CHUNKING, address="0.0.0.0") as sink,
        courier(sink.port) as out,
    ):
        for route, expected in ((TO, 1), (TO, 1), (other, 2), (other, 3)):
            assert (await sent(out, chunked(1), route=route)).response.code == 250
            assert by_bdat(sink) == expected


async def test_a_mail_under_way_that_was_taken_shows_the_contrary() -> None:
    rules = [Rule("bdat", "502 no", local="r1"), Rule("dot", "250 2.0.0 taken", local="r0", delay=0.1)]
    async with SmtpSink(*rules, offer=CHUNKING) as sink, courier(sink.port) as out:
        first = asyncio.create_task(sent(out, chunked(0)))
        await asyncio.sleep(0.03)
        assert (await sent(out, chunked(1))).response.code == 250
        await first
        before = by_bdat(sink)
        assert (await sent(out, chunked(2))).response.code == 250
        assert by_bdat(sink) == before + 1


async def test_those_who_are_cancelled_hold_no_place() -> None:
    slow = Rule("dot", "250 2.0.0 taken", delay=0.05)
    limits = providers(connections=1)
    async with SmtpSink(slow, offer=CHUNKING) as sink, courier(sink.port, limits) as out:
        assert (await sent(out, chunked(0))).response.code == 250
        tasks = [asyncio.create_task(sent(out, chunked(n))) for n in range(1, 12)]
        await asyncio.sleep(0.02)
        for task in tasks[6:9]:
            task.cancel()  # they wait for their turn
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, Delivery) and one.response.code == 250 for one in found) == 8
        assert out.stats().waiting == 0
    assert len(sink.mails) == 9


async def test_nothing_leaves_on_an_answer_that_grew_old_in_the_line() -> None:
    """Whether it may leave is asked when it can be written, whatever goes before it on the connection."""
    slow = Rule("dot", "250 2.0.0 taken", local="r1", delay=0.6)
    asked: dict[str, float] = {}
    limits = providers(connections=1)
    async with (
        SmtpSink(slow, offer=CHUNKING, keep_writes=True) as sink,
        courier(sink.port, limits, timeouts=Timeouts()) as out,
    ):
        assert (await sent(out, chunked(0))).response.code == 250
        mails = [chunked(1), chunked(2, LARGE), replace(chunked(3), chunked=False), chunked(4)]
        found = await asyncio.gather(*(sent(out, one, asked=asked) for one in mails))
    assert {one.response.code for one in found} == {250}
    for mail_ in sink.mails[1:]:
        begun = asked[mail_.rcpt_to[0]]
        assert mail_.at - begun < (1.2 if mail_.rcpt_to[0] == "r1@x.test" else 0.5), mail_.rcpt_to


class GoneError(Exception):
    """What a mail needs is away."""


@pytest.mark.parametrize("what", ["load", "gate", "unsendable", "cancelled"])
async def test_a_mail_that_never_began_spoils_nobody_elses(what: str) -> None:
    slow = Rule("dot", "250 2.0.0 taken", local="r1", delay=0.2)
    limits = providers(connections=1)

    async def gone(*_: object) -> Envelope:
        if what == "cancelled":
            await asyncio.sleep(10)
        raise GoneError

    async with SmtpSink(slow, offer=CHUNKING) as sink, courier(sink.port, limits) as out:
        assert (await sent(out, chunked(0))).response.code == 250
        others = [asyncio.create_task(sent(out, chunked(n))) for n in (1, 2)]
        await asyncio.sleep(0.05)
        if what == "unsendable":
            failing = sent(out, replace(chunked(3), data=b"no end"))
        elif what == "gate":
            failing = out.deliver(TO, FIRST, chunked(3), gone)  # type: ignore[arg-type]
        else:
            failing = out.deliver(TO, FIRST, gone, shares=True)
        task = asyncio.create_task(failing)
        await asyncio.sleep(0.05)
        task.cancel() if what == "cancelled" else None
        with pytest.raises((GoneError, UnsendableError, asyncio.CancelledError)):
            await task
        assert [one.response.code for one in await asyncio.gather(*others)] == [250, 250]
        assert (await sent(out, chunked(4))).response.code == 250
    assert sink.journal.connections == 1
    assert arrived(sink) == [f"r{n}@x.test" for n in (0, 1, 2, 4)]


async def test_a_mail_that_shares_nothing_has_its_turn() -> None:
    """However many could go behind each other before it."""
    limits = providers(connections=1)
    async with (
        SmtpSink(Rule("dot", "250 2.0.0 taken", delay=0.01), offer=CHUNKING) as sink,
        courier(sink.port, limits) as out,
    ):
        assert (await sent(out, chunked(0))).response.code == 250
        mails = [chunked(n) if n != 5 else replace(chunked(n), chunked=False) for n in range(1, 60)]
        await asyncio.gather(*(sent(out, one) for one in mails))
    order = [got.rcpt_to[0] for got in sink.mails]
    assert order.index("r5@x.test") < 15


async def test_nobody_is_handed_a_session_that_says_quit() -> None:
    """The server has had enough of it, and takes its time over QUIT."""
    rules = [Rule("mail", "452 4.5.3 too many", times=1, local="a"), Rule("quit", "221 bye", delay=0.2)]
    limits = providers(connections=1)
    async with SmtpSink(offer=CHUNKING) as sink, courier(sink.port, limits, timeouts=Timeouts()) as out:
        assert (await sent(out, chunked(0))).response.code == 250
        sink.rules += rules
        tasks = [asyncio.create_task(sent(out, chunked(1)))]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(sent(out, chunked(n))) for n in (2, 3)]
        assert [one.response.code for one in await asyncio.gather(*tasks)] == [250] * 3
    assert arrived(sink) == everybody(4)


async def test_mail_that_must_not_go_in_plain_text_leaves_a_shared_session_to_the_others() -> None:
    strict = Route("strict.test", "strict", (Host("mx.strict.test", "127.0.0.1", 10),))
    slow = Rule("dot", "250 2.0.0 taken", delay=0.1)
    limits = providers(connections=1)
    async with SmtpSink(slow, offer=CHUNKING) as sink, courier(sink.port, limits) as out:
        assert (await sent(out, chunked(0))).response.code == 250
        tasks = [asyncio.create_task(sent(out, chunked(n))) for n in (1, 2)]
        await asyncio.sleep(0.02)
        refused = await sent(out, chunked(9), route=strict)
        assert refused.response.phase is Phase.STARTTLS
        assert [one.response.code for one in await asyncio.gather(*tasks)] == [250, 250]
    assert arrived(sink) == everybody(3)
