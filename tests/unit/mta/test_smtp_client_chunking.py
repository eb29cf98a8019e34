"""Mail by BDAT: one write for each mail, several under way, and the right end of each whatever the server does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mta.model import Envelope, Phase, Response, Trouble
from mta.smtp_client import BLOCK, WINDOW, SmtpClient
from tests.smtp_sink import DROP, SILENCE, Offer, Rule, SmtpSink
from tests.unit.mta.test_smtp_client import QUICK

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(20)]

BODY = b".begins with a dot\r\n\r\n.\r\n..\r\n"
TAKEN = Response(Phase.DOT, 250, "2.0.0", "taken")


def mail(name: str, data: bytes = BODY) -> Envelope:
    return Envelope("a@y.test", f"{name}@x.test", data)


@asynccontextmanager
async def connected(
    *rules: Rule, chunking: bool = True, proved: bool = True
) -> AsyncIterator[tuple[SmtpClient, SmtpSink]]:
    """A client that has said EHLO, and with `proved` has sent one mail."""
    loop = asyncio.get_running_loop()
    sink = SmtpSink(*rules, offer=Offer(chunking=chunking), keep_writes=True)
    await sink.start()
    _, client = await loop.create_connection(lambda: SmtpClient(loop, QUICK), sink.address, sink.port)
    try:
        assert await client.greet("out.test") is None
        if proved:
            assert await client.send(mail("first"), chunked=True) == TAKEN
            sink.journal.writes.clear()
            sink.journal.mails.clear()
        yield client, sink
    finally:
        client.abort()
        await sink.stop()


async def all_sent(client: SmtpClient, *names: str) -> list[Response]:
    return await asyncio.gather(*(client.send(mail(name), chunked=True) for name in names))


async def test_a_mail_is_one_write_as_it_is() -> None:
    async with connected(proved=False) as (client, sink):
        assert client.window == 1
        assert await client.send(mail("bob"), chunked=True) == TAKEN
        assert client.usable
        assert client.window == WINDOW
    envelope = b"RSET\r\nMAIL FROM:<a@y.test> SIZE=%d\r\nRCPT TO:<bob@x.test>\r\n" % len(BODY)
    assert [piece for _, piece in sink.journal.writes][1:] == [envelope + b"BDAT %d LAST\r\n" % len(BODY) + BODY]
    assert sink.mails[0].data == BODY


@pytest.mark.parametrize(
    ("chunking", "asked", "data"), [(False, True, BODY), (True, False, BODY), (True, True, b"x" * BLOCK + b"\r\n")]
)
async def test_else_it_goes_by_data(chunking: bool, asked: bool, data: bytes) -> None:
    async with connected(chunking=chunking, proved=False) as (client, sink):
        assert await client.send(mail("bob", data), chunked=asked) == TAKEN
        assert client.window == 1
    assert "DATA" in [line for _, line in sink.journal.commands]
    assert sink.mails[0].data == data


async def test_after_a_silence_it_goes_by_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server may be gone: whatever is written now may reach nobody, and that has to be known."""
    monkeypatch.setattr("mta.smtp_client.FRESH_SECONDS", 0.0)
    async with connected(proved=False) as (client, sink):
        assert await client.send(mail("bob"), chunked=True) == TAKEN
    assert "DATA" in [line for _, line in sink.journal.commands]


async def test_several_go_one_behind_the_other() -> None:
    async with connected(Rule("rcpt", "250 2.1.5 ok", local="m0", delay=0.1)) as (client, sink):
        assert await all_sent(client, "m0", "m1", "m2", "m3") == [TAKEN] * 4
        assert client.usable
    assert [one.rcpt_to[0] for one in sink.mails] == [f"m{n}@x.test" for n in range(4)]
    assert len(sink.journal.writes) < 4, "they did not wait for each other"
    resets = [line for _, line in sink.journal.commands].count("RSET")
    assert resets == 1 + 3, "of the first, and of those who do not know what the one ahead left"


async def test_each_gets_its_own_reply() -> None:
    rules = [
        Rule("rcpt", "550 5.1.1 nobody", local="m1", delay=0.05), Rule("dot", "451 4.3.0 later", local="m2"),
        Rule("mail", "451 4.7.1 wait", local="a", times=1),
    ]  # fmt: skip
    async with connected() as (client, sink):
        sink.rules += rules
        found = await all_sent(client, "m0", "m1", "m2", "m3")
        assert [(one.phase, one.code) for one in found] == [
            (Phase.MAIL, 451), (Phase.RCPT, 550), (Phase.DOT, 451), (Phase.DOT, 250)
        ]  # fmt: skip
        assert client.usable
        assert await client.send(mail("m4"), chunked=True) == TAKEN
    assert [one.rcpt_to[0] for one in sink.mails] == ["m3@x.test", "m4@x.test"]


async def test_mail_by_data_waits_for_those_ahead_and_holds_up_those_behind() -> None:
    async with connected(Rule("dot", "250 2.0.0 taken", local="m0", delay=0.1)) as (client, sink):
        found = await asyncio.gather(
            client.send(mail("m0"), chunked=True), client.send(mail("m1"), chunked=False),
            client.send(mail("m2"), chunked=True), client.send(mail("m3"), chunked=True),
        )  # fmt: skip
        assert found == [TAKEN] * 4
        assert client.usable
    assert [one.rcpt_to[0] for one in sink.mails] == [f"m{n}@x.test" for n in range(4)]
    assert {one.data for one in sink.mails} == {BODY}


async def test_who_stands_behind_a_421_was_not_taken() -> None:
    async with connected() as (client, sink):
        sink.rules.append(Rule("mail", "421 4.7.0 enough", times=1, then_close=True))
        found = await all_sent(client, "m0", "m1", "m2")
        assert (found[0].phase, found[0].code) == (Phase.MAIL, 421)
        assert {(one.phase, one.trouble) for one in found[1:]} == {(Phase.MAIL, Trouble.CLOSED)}
        assert client.lost
    assert not sink.mails


async def test_who_stands_behind_a_broken_connection_may_have_been_taken() -> None:
    async with connected() as (client, sink):
        sink.rules.append(Rule("dot", DROP, local="m1"))
        found = await all_sent(client, "m0", "m1", "m2")
        assert found[0] == TAKEN
        assert {(one.phase, one.trouble) for one in found[1:]} == {(Phase.DOT, Trouble.CLOSED)}
        assert not client.misbehaved, "BDAT worked here before"


async def test_a_connection_that_was_gone_before_the_mail_took_none() -> None:
    async with connected() as (client, sink):
        sink.hang_up()
        await asyncio.sleep(0.05)
        response = await client.send(mail("bob"), chunked=True)
        assert (response.phase, response.trouble) == (Phase.MAIL, Trouble.CLOSED)


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_a_server_that_does_not_know_what_it_offered(code: int) -> None:
    async with connected(Rule("bdat", f"{code} 5.5.1 what?"), proved=False) as (client, sink):
        response = await client.send(mail("bob"), chunked=True)
        assert (response.phase, response.code) == (Phase.DATA, code), "not taken"
        assert str(code) in client.misbehaved
        assert client.lost, "it may read the mail for commands"
    assert not sink.mails


@pytest.mark.parametrize(
    ("reply", "trouble"), [(DROP, Trouble.CLOSED), (SILENCE, Trouble.TIMEOUT), ("354 go", Trouble.PROTOCOL)]
)
async def test_a_first_mail_by_bdat_that_gets_no_answer(reply: str, trouble: Trouble) -> None:
    async with connected(Rule("bdat", reply), proved=False) as (client, _):
        response = await client.send(mail("bob"), chunked=True)
        assert (response.phase, response.trouble) == (Phase.DOT, trouble), "it may have been taken"
        assert client.misbehaved
        assert client.lost


async def test_a_reply_too_many_proves_nothing() -> None:
    async with connected(Rule("dot", b"250 2.0.0 ok\r\n250 2.0.0 again\r\n"), proved=False) as (client, _):
        await client.send(mail("bob"), chunked=True)
        assert client.window == 1
        assert not client.usable
        response = await client.send(mail("bill"), chunked=True)
        assert (response.phase, response.trouble) == (Phase.MAIL, Trouble.CLOSED)


@pytest.mark.parametrize("extra", ["503 5.5.1 and again", "250 2.0.0 and again", "250 2.1.5 and again"])
async def test_a_reply_too_many_to_a_refused_mail_is_believed_to_nobody(extra: str) -> None:
    """The 250 to a recipient would be read as that to a mail, which its server refused."""
    async with connected() as (client, sink):
        said = f"550 5.1.1 nobody\r\n{extra}\r\n".encode()
        sink.rules += [Rule("rcpt", said, local="m0", delay=0.05), Rule("dot", "550 5.7.1 spam", local="m1")]
        found = await all_sent(client, "m0", "m1", "m2")
        assert (found[0].phase, found[0].code) == (Phase.RCPT, 550)
        assert {(one.phase, one.code) for one in found[1:]} == {(Phase.DOT, 0)}, "in doubt"
        assert client.lost


async def test_a_mail_that_is_passed_over_is_not_taken_for_the_next() -> None:
    """Its server says nothing to it and goes on: the reply to RSET would be read as that to the mail."""
    async with connected() as (client, sink):
        sink.rules.append(Rule("dot", b"", local="m0"))
        found = await all_sent(client, "m0", "m1", "m2")
        assert {(one.phase, one.code) for one in found} == {(Phase.DOT, 0)}
        assert client.lost


async def test_a_server_that_goes_on_after_its_421_leaves_those_behind_in_doubt() -> None:
    async with connected() as (client, sink):
        sink.rules.append(Rule("rcpt", "421 4.7.0 enough", local="m0", delay=0.05))
        found = await all_sent(client, "m0", "m1", "m2")
        assert (found[0].phase, found[0].code) == (Phase.RCPT, 421)
        assert {(one.phase, one.code) for one in found[1:]} == {(Phase.DOT, 0)}


async def test_replies_that_begin_alike_leave_one_mail_at_a_time() -> None:
    rules = [Rule("mail", "250 OK"), Rule("rcpt", "250 Accepted"), Rule("dot", "250 OK id=1")]
    async with connected(*rules, proved=False) as (client, _):
        assert (await client.send(mail("bob"), chunked=True)).code == 250
        assert client.window == 1
        assert client.usable


async def test_a_refused_reset_leaves_the_mail_in_doubt() -> None:
    async with connected() as (client, sink):
        sink.rules += [Rule("rset", "502 no RSET")]
        client._needs_reset = True
        response = await client.send(mail("bob"), chunked=True)
        assert (response.phase, response.trouble) == (Phase.DOT, Trouble.PROTOCOL)
        assert client.misbehaved


async def test_one_that_is_cancelled_ends_the_connection_for_all() -> None:
    """What is left of its replies would be read as those to the next."""
    async with connected(Rule("dot", "250 2.0.0 taken", local="m0", delay=0.2)) as (client, _):
        tasks = [asyncio.create_task(client.send(mail(f"m{n}"), chunked=True)) for n in range(4)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        for n in (0, 2, 3):
            response = await tasks[n]
            assert (response.phase, response.trouble) == (Phase.DOT, Trouble.CLOSED)
        assert client.lost
