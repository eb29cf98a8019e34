"""The sinks: what smtp-sink prints is read to the last complete count, and the timed sink takes mail as SMTP has it."""

import asyncio
import smtplib
import time

import pytest

from bench.sink import TimedSink, parse_count


@pytest.mark.parametrize(
    ("printed", "count"),
    [
        (b"", 0),
        (b"sess=1 quit=0 mesg=1\r", 1),
        (b"sess=1 quit=0 mesg=9\rsess=1 quit=0 mesg=10\r", 10),
        (b"sess=1 quit=0 mesg=10\rsess=1 quit=0 mesg=1", 10),
        (b"it=0 mesg=41\rsess=2 quit=0 mesg=42\rsess=", 42),
        (b"mesg=7", 0),
    ],
)
def test_a_count_that_is_still_being_written_is_not_read(printed: bytes, count: int) -> None:
    assert parse_count(printed) == count


async def _started() -> tuple[TimedSink, int]:
    sink = TimedSink()
    sink.keep = True
    await sink.start("127.0.0.1", 0)
    assert sink._server is not None
    return sink, sink._server.sockets[0].getsockname()[1]


async def test_a_foreign_client_delivers_and_the_mail_comes_back_unstuffed() -> None:
    sink, port = await _started()
    before = time.monotonic()

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            client.sendmail("a@b.sim", ["c@d.sim", "e@f.sim"], "Subject: x\r\n\r\n.dot\r\n..two\r\n")

    await asyncio.to_thread(send)
    await sink.stop()
    assert set(sink.arrivals) == {"c@d.sim", "e@f.sim"}
    assert all(before <= at <= time.monotonic() for at in sink.arrivals.values())
    assert sink.mails == [b"Subject: x\r\n\r\n.dot\r\n..two\r\n"]
    assert sink.repeats == 0


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
async def test_pipelined_mails_in_pieces_of_any_size(piece: int) -> None:
    sink, port = await _started()
    sent = b"EHLO x\r\n" + b"".join(
        b"MAIL FROM:<a@b.sim> SIZE=10\r\nRCPT TO:<u%d@d.sim>\r\nDATA\r\nSubject: %d\r\n\r\nhello\r\n.\r\n" % (n, n)
        for n in range(3)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for start in range(0, len(sent), piece):
        writer.write(sent[start : start + piece])
        await asyncio.sleep(0)
    writer.write(b"QUIT\r\n")
    answers = b""
    while b"221" not in answers:
        answers += await asyncio.wait_for(reader.read(1000), 5)
    writer.close()
    await sink.stop()
    assert [line[:3] for line in answers.split(b"\r\n")] == [
        b"220", *[b"250"] * 3, *[b"250", b"250", b"354", b"250"] * 3, b"221", b"",
    ]  # fmt: skip
    assert sorted(sink.arrivals) == ["u0@d.sim", "u1@d.sim", "u2@d.sim"]
    assert sink.mails[2] == b"Subject: 2\r\n\r\nhello\r\n"


async def test_a_second_mail_to_the_same_recipient_is_counted() -> None:
    sink = TimedSink()
    sink.took(["a@b.sim"], b"")
    sink.took(["a@b.sim"], b"")
    assert sink.repeats == 1
