"""The body follows its 354 from within `data_received`: at once, however replies are cut, and only if all is well."""

import asyncio

import pytest

from mta.model import Phase, Trouble
from mta.reply_parser import Features
from mta.smtp_client import SmtpClient
from tests.unit.mta.test_smtp_client import BODY, QUICK, envelope

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(20)]

OPENED = b"250 2.1.0 Ok\r\n250-2.1.5\r\n250 2.1.5 Ok\r\n354 go on\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:  # type: ignore[override]  # bytes are all it gets
        self.writes.append(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def abort(self) -> None:
        self.aborted = True

    close = abort


def client() -> tuple[SmtpClient, Wire]:
    made, wire = SmtpClient(asyncio.get_running_loop(), QUICK), Wire()
    made.connection_made(wire)
    made.features = Features(pipelining=True)
    return made, wire


@pytest.mark.parametrize("cut", range(len(OPENED)))
async def test_it_is_written_with_the_last_octet_of_the_354(cut: int) -> None:
    one, wire = client()
    sending = asyncio.create_task(one.send(envelope()))
    await asyncio.sleep(0)
    one.data_received(OPENED[:cut])
    assert len(wire.writes) == 1
    one.data_received(OPENED[cut:])
    assert wire.writes[1:] == [BODY + b".\r\n"]
    one.data_received(b"250 2.0.0 taken\r\n")
    assert (await sending).code == 250
    assert one.usable


@pytest.mark.parametrize(
    ("behind", "trouble"),
    [(b"250 2.0.0 taken\r\n", Trouble.PROTOCOL), (b"25", Trouble.TIMEOUT), (b"\r\n", Trouble.PROTOCOL)],
)
async def test_whatever_comes_behind_the_354_stops_it(behind: bytes, trouble: Trouble) -> None:
    one, wire = client()
    sending = asyncio.create_task(one.send(envelope()))
    await asyncio.sleep(0)
    one.data_received(OPENED + behind)
    response = await sending
    assert (response.phase, response.trouble) == (Phase.DATA, trouble)
    assert len(wire.writes) == 1
    assert wire.aborted


@pytest.mark.parametrize("before_he_knows", [False, True])
async def test_a_354_after_the_caller_was_cancelled_is_followed_by_nothing(before_he_knows: bool) -> None:
    one, wire = client()
    sending = asyncio.create_task(one.send(envelope()))
    await asyncio.sleep(0)
    sending.cancel()
    if before_he_knows:  # both came in one turn of the loop
        one.data_received(OPENED)
    with pytest.raises(asyncio.CancelledError):
        await sending
    one.data_received(OPENED)
    assert len(wire.writes) == 1


async def test_after_it_silence_leaves_open_whether_it_was_taken() -> None:
    one, wire = client()
    sending = asyncio.create_task(one.send(envelope()))
    await asyncio.sleep(0)
    one.data_received(OPENED)
    response = await sending
    assert (response.phase, response.trouble) == (Phase.DOT, Trouble.TIMEOUT)
    assert wire.aborted
