"""Clients that send rubbish, too much, too slowly, or leave: no traceback, no growth, and the next client is served."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta import inbound_session
from mta.inbound import ServerOptions, SubmissionHandler
from mta.inbound_data import END, FREE_BYTES, MailBounds, MailReader, NotTaken
from mta.inbound_gate import ByteBudget, Gate, GateLimits
from mta.inbound_server import Listener
from mta.server_certificate import server_context
from tests.unit.mta.inbound.conftest import TOKEN, Desk, client_of, raw_talk, troubles
from tests.unit.mta.inbound.test_log_in import PLAIN

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def open_to_all(desk: Desk, tmp_path: Path) -> AsyncIterator[Listener]:
    tls = server_context(tmp_path / "inbound.pem", "127.0.0.1", datetime.now(UTC))
    gate = Gate(GateLimits(connections=50, connections_per_ip=50, new_per_minute=100_000))
    options = ServerOptions("mail.test", 200_000, tls, plain_log_in=True)
    listener = Listener(SubmissionHandler(desk.log_in, desk.submit, 100), options, gate)
    await listener.start("127.0.0.1", 0)
    yield listener
    await listener.stop(0.2)


_COMMANDS = [
    b"EHLO me", b"HELO me", b"HELO", b"EHLO \xff\x00", b"NOOP", b"RSET", b"VRFY <" + b"(" * 400, b"VRFY \xff", b"HELP",
    b"HELP \xff", b"EXPN", b"QUIT", b"STARTTLS", b"DATA", b".", b"", b" ", b"\0", b"\xff\xfe", b"AUTH PLAIN", b"*",
    b"AUTH PLAIN " + PLAIN.encode(), b"AUTH LOGIN \xff", b"AUTH LOGIN", b"MAIL FROM:<>", b"MAIL FROM:<a@x.example>",
    b"MAIL FROM:<", b"MAIL FROM:<<<<<<>", b"MAIL FROM:" + b"<(" * 200, b"MAIL FROM:\"", b"MAIL FROM:<\"a b\"@x> SIZE=1",
    b"MAIL FROM:<a@x> SIZE=\xd9\xa3", b"MAIL FROM:<a@x> AUTH=\xff =", b"RCPT TO:<b@x.example>", b"RCPT TO:<\xff@x>",
    b"RCPT TO:<@a,@b:c@x.example>", b"RCPT TO:<a@[1.2.3.4]>", b"RCPT TO:<" + b"a" * 500 + b">", b"BDAT 3", b"X" * 600,
    b"X" * 70_000, b"From: a@x.example", b"GET / HTTP/1.1", b"\x16\x03\x01\x02\x00",
]  # fmt: skip


_UP_TO_DATA = f"EHLO me\r\nAUTH PLAIN {PLAIN}\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n".encode()


async def test_rubbish_brings_no_traceback(
    open_to_all: Listener, bounces: Listener, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions of commands in any order, of any bytes, ended by a close or a reset, at both listeners."""
    bounces.gate = open_to_all.gate
    chance = random.Random(8)

    async def session(listener: Listener) -> None:
        lines = [*chance.choices(_COMMANDS, k=chance.randint(1, 12)), chance.randbytes(chance.randint(0, 200))]
        end = chance.choice([b"\r\n", b"\n", b"\r"])
        sent = end.join([b"EHLO me", b"AUTH PLAIN " + PLAIN.encode(), *lines])[: chance.randint(20, 100_000)]
        await raw_talk(listener, sent, until=b"220", resets=chance.random() < 0.5, half_close=chance.random() < 0.5)

    for _ in range(25):
        await asyncio.gather(*(session(chance.choice([open_to_all, bounces])) for _ in range(16)))
    async with asyncio.timeout(10):
        while open_to_all.connections or bounces.connections:
            await asyncio.sleep(0.01)
    assert troubles(caplog) == []
    assert "Traceback" not in "".join(capfd.readouterr())
    assert await client_of(open_to_all, lambda client: client.ehlo()[0]) == 250


@pytest.mark.parametrize("line", [b"NOPE", b"", b"X" * 600, b"MAIL", b"\xff"])
async def test_mistakes_are_counted(bounces: Listener, line: bytes) -> None:
    # No more than what is read at once: bytes that nobody reads make the end a reset, which takes the last reply along.
    sent = b"EHLO me\r\n" + (line + b"\r\n") * (inbound_session.MISTAKES + 5)
    replies = (await raw_talk(bounces, sent)).splitlines()
    assert replies[-1].startswith((b"421 4.7.0 Too many mistakes", b"502 5.5.1 Too many"))
    assert sum(reply.startswith(b"50") for reply in replies) <= inbound_session.MISTAKES


async def test_a_flood_of_good_commands_ends(bounces: Listener) -> None:
    replies = (await raw_talk(bounces, b"EHLO me\r\n" + b"NOOP\r\n" * 2_000)).splitlines()
    assert replies[-1].startswith(b"421 4.7.0 NOOP")


async def test_who_sends_nothing_is_ended(desk: Desk, options: ServerOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound_session, "IDLE_SECONDS", 0.2)
    handler = SubmissionHandler(desk.log_in, desk.submit, 100)
    listener = Listener(handler, options, Gate(GateLimits(5, 5, 100)))
    await listener.start("127.0.0.1", 0)
    started = (
        f"EHLO me\r\nAUTH PLAIN {PLAIN}\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\nhalf a mail"
    )
    for sent in (b"", b"EHLO", started.encode()):
        assert b"220 " in await raw_talk(listener, sent)
    assert (listener.gate.open(), desk.mails, listener.budget.held) == (0, [], 0)
    await listener.stop(0.2)


async def test_a_client_that_leaves_in_the_middle_leaves_no_bytes_behind(submission: Listener, desk: Desk) -> None:
    submission.options = ServerOptions("mail.test", 1_000_000, plain_log_in=True)
    for resets in (True, False):
        await raw_talk(submission, _UP_TO_DATA, until=b"354", then=b"x" * 900_000, resets=resets)
    async with asyncio.timeout(5):
        while submission.connections:
            await asyncio.sleep(0.01)
    assert (submission.budget.held, desk.mails) == (0, [])


async def test_bounces_of_any_shape_are_answered(bounces: Listener, desk: Desk) -> None:
    for mail in (b"\r\n" * 400, b"\0" * 5_000, b"(" * 100_000, b"--x\r\n" * 50_000):
        assert await client_of(bounces, lambda client, mail=mail: client.sendmail("", [TOKEN], mail)) == {}
    assert len(desk.bounces) == 4


# One mail off the wire


async def _read(sent: list[bytes], max_bytes: int = 10_000, cuts: bool = False) -> tuple[bytes | NotTaken, bytes]:
    reader = asyncio.StreamReader(limit=256)
    mail = MailReader(reader, MailBounds(max_bytes, cuts), ByteBudget(FREE_BYTES), lambda: None)
    reading = asyncio.create_task(mail.read())
    for piece in sent:
        reader.feed_data(piece)
        await asyncio.sleep(0)
    reader.feed_eof()
    return await reading, await reader.read()


def _by_line(stuffed: bytes) -> bytes:
    """The plain way to read a mail, one line after the other."""
    lines = []
    for line in stuffed.split(b"\r\n"):
        if line == b".":
            break
        lines.append(line.removeprefix(b"."))
    return b"".join(line + b"\r\n" for line in lines)


_PIECES = st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"..", b"a", b"\r\n.", b"\r\n..\r\n", b"x" * 300])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_PIECES, max_size=30), st.randoms())
def test_a_mail_in_pieces_is_the_mail_by_lines(words: list[bytes], chance: random.Random) -> None:
    stuffed = b"".join([b"\r\n", *words, END])
    stuffed = stuffed[2 : stuffed.index(END) + len(END)]
    cuts = sorted(chance.randint(0, len(stuffed)) for _ in range(4))
    pieces = [stuffed[a:b] for a, b in zip([0, *cuts], [*cuts, len(stuffed)], strict=True)]
    taken, rest = asyncio.run(_read([*pieces, b"QUIT\r\n"]))
    assert (taken, rest) == (_by_line(stuffed), b"QUIT\r\n")


@pytest.mark.parametrize(
    ("sent", "cuts", "taken"),
    [
        (b".\r\n", False, b""),
        (b"\r\n.\r\n", False, b"\r\n"),
        (b"x" * 98 + b"\r\n.\r\n", False, b"x" * 98 + b"\r\n"),
        (b"x" * 99 + b"\r\n.\r\n", False, NotTaken.TOO_LARGE),
        (b"x" * 9_900 + b"\r\n.\r\n", False, NotTaken.TOO_LARGE),
        (b"..\r\n" * 33 + b".\r\n", False, b".\r\n" * 33),
        (b"x" * 9_900 + b"\r\n.\r\n", True, b"x" * 100),
    ],
)
async def test_how_much_of_a_mail_is_taken(sent: bytes, cuts: bool, taken: bytes | NotTaken) -> None:
    assert await _read([sent], 100, cuts) == (taken, b"")


async def test_a_mail_without_a_beginning_and_one_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionAbortedError):
        await _read([b"\r" * 5_000])
    monkeypatch.setattr("mta.inbound_data._READ_AT_ALL", 20_000)
    with pytest.raises(ConnectionAbortedError):
        await _read([b"x" * 1_000] * 40)


async def test_a_slow_client_gets_time_by_the_megabyte() -> None:
    paces: list[float] = []
    reader = asyncio.StreamReader()
    mail = MailReader(reader, MailBounds(10_000_000, False), ByteBudget(10_000_000), lambda: paces.append(1))
    reading = asyncio.create_task(mail.read())
    for _ in range(3_000):
        reader.feed_data(b"x" * 1_022 + b"\r\n")
        await asyncio.sleep(0)
    reader.feed_data(b".\r\n")
    await reading
    assert (len(paces), mail.held) == (2, 3_000 * 1_024 - FREE_BYTES)
