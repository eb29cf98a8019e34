"""One connection against a real sink: what goes over the wire, and what comes back for each way a server can behave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mta.model import Envelope, Phase, Response, Trouble
from mta.smtp_client import BLOCK, SmtpClient
from mta.smtp_commands import UnsendableError
from mta.smtp_timeouts import Timeouts
from tests.smtp_sink import DROP, SILENCE, Offer, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(20)]

QUICK = Timeouts(banner=0.3, ehlo=0.3, tls=0.3, mail=0.3, rcpt=0.3, data=0.3, block=0.3, dot=0.3, quit=0.3)
BODY = b"Subject: hi\r\n\r\nhello\r\n"
ONE_BY_ONE = Offer(pipelining=False)
BOTH = pytest.mark.parametrize("offer", [Offer(), ONE_BY_ONE], ids=["pipelined", "one by one"])


def envelope(
    rcpt_to: str = "bob@x.test", data: bytes = BODY, mail_from: str = "a@y.test", utf8: bool = False
) -> Envelope:
    return Envelope(mail_from, rcpt_to, data, utf8)


@asynccontextmanager
async def connected(sink: SmtpSink, timeouts: Timeouts = QUICK) -> AsyncIterator[SmtpClient]:
    loop = asyncio.get_running_loop()
    await sink.start()
    _, client = await loop.create_connection(lambda: SmtpClient(loop, timeouts), sink.address, sink.port)
    try:
        yield client
    finally:
        client.abort()
        await sink.stop()


async def sent(sink: SmtpSink, mail: Envelope) -> tuple[Response, SmtpClient]:
    async with connected(sink) as client:
        assert await client.greet("out.test") is None
        return await client.send(mail), client


def commands(sink: SmtpSink) -> list[str]:
    return [line for _, line in sink.journal.commands]


@BOTH
async def test_delivers_and_can_go_on(offer: Offer) -> None:
    sink = SmtpSink(offer=offer)
    async with connected(sink) as client:
        assert await client.greet("out.test") is None
        for number in range(3):
            response = await client.send(envelope(f"r{number}@x.test"))
            assert response == Response(Phase.DOT, 250, "2.0.0", "taken")
            assert client.usable
        await client.quit()
    assert [mail.rcpt_to for mail in sink.mails] == [("r0@x.test",), ("r1@x.test",), ("r2@x.test",)]
    assert {mail.data for mail in sink.mails} == {BODY}
    assert sink.mails[0].ehlo == "out.test"
    assert commands(sink)[-1] == "QUIT"


async def test_a_pipelined_mail_is_two_writes() -> None:
    sink = SmtpSink(keep_writes=True)
    await sent(sink, envelope())
    pieces = [piece for _, piece in sink.journal.writes]
    mail = b"MAIL FROM:<a@y.test> SIZE=%d\r\nRCPT TO:<bob@x.test>\r\nDATA\r\n" % len(BODY)
    assert pieces == [b"EHLO out.test\r\n", mail, BODY + b".\r\n"]


async def test_without_pipelining_each_command_waits() -> None:
    sink = SmtpSink(offer=ONE_BY_ONE, keep_writes=True)
    await sent(sink, envelope())
    assert [piece.count(b"\r\n") for _, piece in sink.journal.writes[1:4]] == [1, 1, 1]


async def test_parameters_only_where_offered_and_needed() -> None:
    plain, eight = SmtpSink(offer=Offer(size=None, smtputf8=True)), SmtpSink(offer=Offer(size=None, smtputf8=True))
    bare = SmtpSink(offer=Offer(size=None, eight_bit=False))
    await sent(plain, envelope())
    await sent(eight, envelope("jos\u00e9@x.test", "Subject: \u00e9\r\n\r\n\r\n".encode()))
    await sent(bare, envelope(data=b"\xe9\r\n"))
    assert plain.mails[0].mail_parameters == ""
    assert eight.mails[0].mail_parameters == "BODY=8BITMIME SMTPUTF8"
    assert eight.mails[0].rcpt_to == ("jos\u00e9@x.test",)
    assert bare.mails[0].mail_parameters == ""


@pytest.mark.parametrize(
    "mail", [envelope("jos\u00e9@x.test"), envelope(utf8=True), envelope(mail_from="\u00e9@y.test")]
)
async def test_smtputf8_is_not_sent_to_who_does_not_know_it(mail: Envelope) -> None:
    sink = SmtpSink()
    response, _ = await sent(sink, mail)
    assert (response.phase, response.code, response.trouble) == (Phase.MAIL, 0, Trouble.NO_SMTPUTF8)
    assert not any(line.startswith("MAIL") for line in commands(sink))


@pytest.mark.parametrize("address", ["a\r\nQUIT@x", "a b@x", "a\n@x", "a>@x", "<a@x", "a\x00@x", "a\x7f@x", "\ud800@x"])
async def test_addresses_cannot_smuggle_commands(address: str) -> None:
    for mail in (envelope(address), envelope(mail_from=address)):
        sink = SmtpSink(offer=Offer(smtputf8=True))
        with pytest.raises(UnsendableError, match="may not stand"):
            await sent(sink, mail)
        assert len(commands(sink)) == 1


async def test_empty_recipient_and_unfinished_data_are_bugs_of_the_caller() -> None:
    with pytest.raises(UnsendableError, match="recipient"):
        await sent(SmtpSink(), envelope(""))
    with pytest.raises(UnsendableError, match="CRLF"):
        await sent(SmtpSink(), envelope(data=b"no end"))
    with pytest.raises(UnsendableError, match="EHLO name"):
        async with connected(SmtpSink()) as client:
            await client.greet("a\r\nMAIL FROM:<>")


async def test_the_null_sender_is_an_empty_path() -> None:
    sink = SmtpSink()
    await sent(sink, envelope(mail_from=""))
    assert "MAIL FROM:<> SIZE=22" in commands(sink)


@pytest.mark.parametrize(
    "data",
    [b".\r\n", b"..\r\n", b".a\r\n.\r\n..b\r\nc.\r\n", b"a\r\n.\r\n", b"\r\n.\r\n\r\n", b"no dots\r\n"],
)
async def test_dots_arrive_as_they_were(data: bytes) -> None:
    sink = SmtpSink()
    response, _ = await sent(sink, envelope(data=data))
    assert response.code == 250
    assert [mail.data for mail in sink.mails] == [data]


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, BLOCK * 3, BLOCK * 20 + 7])
async def test_big_bodies_arrive_whole(size: int) -> None:
    line = b"." + b"x" * 76 + b"\r\n"
    data = (line * (size // len(line) + 1))[: size - 2] + b"\r\n"
    sink = SmtpSink()
    response, _ = await sent(sink, envelope(data=data))
    assert response.code == 250
    assert sink.mails[0].data == data


@BOTH
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
async def test_a_refusal_names_its_phase_and_leaves_the_connection_usable(offer: Offer, phase: str) -> None:
    sink = SmtpSink(Rule(phase, "452 4.3.1 not\n452 4.3.1 now", times=1), offer=offer)
    async with connected(sink) as client:
        assert await client.greet("out.test") is None
        assert await client.send(envelope()) == Response(Phase(phase), 452, "4.3.1", "not now")
        assert client.usable
        assert (await client.send(envelope("next@x.test"))).code == 250
    assert [mail.rcpt_to for mail in sink.mails] == [("next@x.test",)]
    assert ("RSET" in commands(sink)) == (phase in ("rcpt", "data"))


async def test_a_354_after_a_refused_recipient_gets_a_lone_dot() -> None:
    rules = Rule("rcpt", "550 5.1.1 unknown", times=1), Rule("data", "354 go on anyway", times=1)
    sink = SmtpSink(*rules, keep_writes=True)
    async with connected(sink) as client:
        assert await client.greet("out.test") is None
        assert await client.send(envelope()) == Response(Phase.RCPT, 550, "5.1.1", "unknown")
        assert (await client.send(envelope())).code == 250
    assert sink.journal.writes[2][1] == b".\r\n"
    assert "RSET" not in commands(sink)
    assert [mail.data for mail in sink.mails] == [BODY]


@BOTH
async def test_a_refused_rset_ends_the_connection_before_the_next_mail(offer: Offer) -> None:
    sink = SmtpSink(Rule("rcpt", "550 no", times=1), Rule("rset", "500 what"), offer=offer)
    async with connected(sink) as client:
        assert await client.greet("out.test") is None
        await client.send(envelope())
        response = await client.send(envelope())
        assert (response.phase, response.trouble) == (Phase.MAIL, Trouble.CLOSED)
        assert not client.usable
    assert sink.mails == []


@BOTH
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
async def test_421_ends_the_connection(offer: Offer, phase: str) -> None:
    response, client = await sent(SmtpSink(Rule(phase, "421 4.7.0 slow down"), offer=offer), envelope())
    assert response == Response(Phase(phase), 421, "4.7.0", "slow down")
    assert not client.usable


@BOTH
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (DROP, Trouble.CLOSED),
        (SILENCE, Trouble.TIMEOUT),
        (b"garbage\r\n", Trouble.PROTOCOL),
        (b"354 hm\r\n", Trouble.PROTOCOL),
    ],
)
async def test_no_usable_answer_is_a_trouble_of_its_phase(
    offer: Offer, phase: str, reply: str | bytes, trouble: Trouble
) -> None:
    if phase == "data" and reply == b"354 hm\r\n":
        reply = b"250 hm\r\n"  # for DATA this is the answer that does not belong
    response, client = await sent(SmtpSink(Rule(phase, reply), offer=offer), envelope())
    assert (response.phase, response.code, response.trouble) == (Phase(phase), 0, trouble)
    assert not client.usable


async def test_slow_replies_are_waited_for_but_not_for_ever() -> None:
    slow = SmtpSink(Rule("mail", "250 ok", slow=0.01))
    assert (await sent(slow, envelope()))[0].code == 250
    endless = SmtpSink(Rule("mail", "250 " + "o" * 100, slow=0.02))
    assert (await sent(endless, envelope()))[0].trouble is Trouble.TIMEOUT


async def body_to(kind: "type[DeafServer]", timeouts: Timeouts = QUICK) -> tuple[Response, bool]:
    """Send 20 MB to a server of this kind. The answer, and whether the connection could go on."""
    loop = asyncio.get_running_loop()
    made: list[DeafServer] = []

    def make() -> DeafServer:
        made.append(kind())
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    _, client = await loop.create_connection(lambda: SmtpClient(loop, timeouts), *server.sockets[0].getsockname())
    assert await client.greet("out.test") is None
    response = await client.send(envelope(data=b"x" * 20_000_000 + b"\r\n"))
    usable = client.usable
    client.abort()
    made[0].transport.abort()
    server.close()
    await asyncio.sleep(0)
    return response, usable


async def test_a_server_that_stops_reading_times_out_before_the_dot() -> None:
    response, _ = await body_to(DeafServer)
    assert (response.phase, response.trouble) == (Phase.DATA, Trouble.TIMEOUT)


async def test_an_answer_in_the_middle_of_the_body_stops_it() -> None:
    response, usable = await body_to(HastyServer)
    assert (response.phase, response.code, response.enhanced) == (Phase.DATA, 552, "5.3.4")
    assert not usable


@BOTH
async def test_the_time_of_a_step_begins_with_the_reply_before_it(offer: Offer) -> None:
    drip = [Rule(phase, "250 ok" if phase != "data" else "354 go", delay=0.2) for phase in ("mail", "rcpt", "data")]
    assert (await sent(SmtpSink(*drip, offer=offer), envelope()))[0].code == 250
    silent = [drip[0], Rule("rcpt", SILENCE)]
    response = (await sent(SmtpSink(*silent, offer=offer), envelope()))[0]
    assert (response.phase, response.trouble, response.text) == (Phase.RCPT, Trouble.TIMEOUT, "")


@BOTH
async def test_a_reply_in_drops_gets_no_more_time_behind_another_one(offer: Offer) -> None:
    sink = SmtpSink(Rule("rcpt", "250 " + "o" * 100, slow=0.02), offer=offer)
    response = (await sent(sink, envelope()))[0]
    assert (response.phase, response.trouble) == (Phase.RCPT, Trouble.TIMEOUT)


@BOTH
async def test_a_mail_has_a_deadline_beside_the_time_of_each_step(offer: Offer) -> None:
    drip = [Rule(phase, "250 ok" if phase != "data" else "354 go", delay=0.2) for phase in ("mail", "rcpt", "data")]
    async with connected(SmtpSink(*drip, offer=offer), replace(QUICK, whole=0.5)) as client:
        assert await client.greet("out.test") is None
        response = await client.send(envelope())
        assert not client.usable
    assert (response.phase, response.trouble) == (Phase.DATA, Trouble.TIMEOUT)
    assert response.text == "too slow: the time for the whole of it is up"


async def test_the_deadline_grows_with_the_size_and_never_cuts_off_the_answer_to_the_dot() -> None:
    sink = SmtpSink(Rule("mail", "250 ok", delay=0.2), Rule("dot", "250 taken", delay=0.25))
    quick = replace(QUICK, whole=0.1, slowest=len(BODY) * 5)
    async with connected(sink, quick) as client:
        assert await client.greet("out.test") is None
        assert (await client.send(envelope())).code == 250
        assert (await client.send(envelope(data=BODY[:2] + b"\r\n"))).trouble is Trouble.TIMEOUT


async def test_a_server_that_takes_the_body_in_drops_is_cut_off() -> None:
    quick = replace(QUICK, whole=0.2, slowest=40_000_000)
    started = asyncio.get_running_loop().time()
    response, usable = await body_to(SippingServer, quick)
    assert (response.phase, response.trouble, usable) == (Phase.DATA, Trouble.TIMEOUT, False)
    assert asyncio.get_running_loop().time() - started < 3


async def test_the_steps_before_the_first_mail_have_one_deadline() -> None:
    sink = SmtpSink(Rule("connect", "220 hi", delay=0.2), Rule("ehlo", "250 hi", delay=0.25))
    async with connected(sink, replace(QUICK, opening=0.35)) as client:
        response = await client.greet("out.test")
    assert response is not None
    assert (response.phase, response.trouble) == (Phase.EHLO, Trouble.TIMEOUT)


class DeafServer(asyncio.Protocol):
    """Answers everything up to DATA and reads nothing more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 hi\r\n")

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"EHLO"):
            self.transport.write(b"250-hi\r\n250 PIPELINING\r\n")
        elif data.startswith(b"MAIL"):
            self.transport.pause_reading()
            self.transport.write(b"250 ok\r\n250 ok\r\n354 go\r\n")


class SippingServer(DeafServer):
    """Takes a piece of the body every now and then, always within the time-out of a block."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not data.startswith(b"EHLO"):
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.05, self.transport.resume_reading)


class HastyServer(DeafServer):
    """Refuses the body when it has seen some of it, and reads on."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if data.startswith(b"MAIL"):
            self.transport.resume_reading()
        elif data.startswith(b"x"):
            self.transport.write(b"552 5.3.4 too big\r\n")
            self.transport.pause_reading()


@pytest.mark.parametrize(
    ("rule", "phase", "code", "trouble"),
    [
        (Rule("connect", "421 4.3.2 busy"), Phase.BANNER, 421, None),
        (Rule("connect", "554 5.7.1 go away"), Phase.BANNER, 554, None),
        (Rule("connect", SILENCE), Phase.BANNER, 0, Trouble.TIMEOUT),
        (Rule("connect", DROP), Phase.BANNER, 0, Trouble.CLOSED),
        (Rule("connect", b"HTTP/1.1 400 Bad Request\r\n"), Phase.BANNER, 0, Trouble.PROTOCOL),
        (Rule("connect", "250 not a banner"), Phase.BANNER, 0, Trouble.PROTOCOL),
        (Rule("connect", b"220-mx\r\n521 5.3.2 blocked\r\n"), Phase.BANNER, 521, None),
        (Rule("ehlo", b"250-sink\r\n250-PIPELINING\r\n421 4.3.2 busy\r\n"), Phase.EHLO, 421, None),
        (Rule("ehlo", "451 4.3.0 not now"), Phase.EHLO, 451, None),
        (Rule("ehlo", "550 5.7.1 who?"), Phase.EHLO, 550, None),
        (Rule("ehlo", DROP), Phase.EHLO, 0, Trouble.CLOSED),
        (Rule("ehlo", SILENCE), Phase.EHLO, 0, Trouble.TIMEOUT),
    ],
)
async def test_what_stands_in_the_way_of_a_greeting(
    rule: Rule, phase: Phase, code: int, trouble: Trouble | None
) -> None:
    async with connected(SmtpSink(rule)) as client:
        response = await client.greet("out.test")
    assert response is not None
    assert (response.phase, response.code, response.trouble) == (phase, code, trouble)


async def test_helo_where_ehlo_is_unknown() -> None:
    sink = SmtpSink(offer=Offer(esmtp=False))
    response, _ = await sent(sink, envelope())
    assert response.code == 250
    assert commands(sink)[:3] == ["EHLO out.test", "HELO out.test", "MAIL FROM:<a@y.test>"]


@pytest.mark.parametrize("words", [b"421 4.4.2 idle for too long\r\n", b"250 2.1.0 ok\r\n", b"2"])
async def test_words_nobody_asked_for_end_a_resting_connection(words: bytes) -> None:
    sink = SmtpSink()
    lost: list[bool] = []
    async with connected(sink) as client:
        assert await client.greet("out.test") is None
        client.rest(lambda: lost.append(True))
        assert client.usable
        sink.say(words)
        await asyncio.sleep(0.1)
        assert lost == [True]
        assert not client.usable
