"""Recipients that react: reports arrive by SMTP at the MX of the address, clicks by HTTP; never elsewhere."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from email import message_from_bytes

import pytest
import pytest_asyncio

from cli.running import free_ports
from simulator.client import SimulatorState, call_async
from simulator.main import SimulatorConfig, running
from tests.integration.simulator.pipelined_client import PipelinedClient

pytestmark = pytest.mark.asyncio
SENDER = "b+1@small-001.sim"
"""Mail comes back to a simulated domain: the practice internet is on both ends."""


@pytest_asyncio.fixture
async def state() -> AsyncIterator[SimulatorState]:
    (port,) = free_ports.take(1)
    async with running(SimulatorConfig(smtp_port=port, report_port=port, people_seconds=0)) as state:
        yield state


async def deliver(state: SimulatorState, to: str, head: str = "", body: str = "hello") -> None:
    client = await PipelinedClient.open("127.0.0.11", state.smtp_port)
    data = f"Message-ID: <1@demo.sim>\r\nTo: {to}\r\n{head}\r\n{body}\r\n".encode()
    assert [answer.code for answer in await client.deliver(SENDER, [to], data)] == [250, 250, 354, 250]
    await client.close()


async def counted(state: SimulatorState, what: str) -> None:
    """Wait for this to be in the counts."""
    async with asyncio.timeout(20):
        while not any(what in row for row in (await call_async(state, "counts"))["counts"]):
            await asyncio.sleep(0.01)


async def received(state: SimulatorState, address: str) -> tuple[str, str]:
    """Envelope sender and content type of the one mail in a mailbox."""
    (mail,) = (await call_async(state, "mailbox", address=address, raw=True))["mails"]
    assert mail["ip"] == "127.0.0.11", "not from the host that took the mail"
    return mail["mail_from"], message_from_bytes(b64decode(mail["data"])).get_content_type()


async def test_reports_come_by_smtp_from_the_host_that_took_the_mail(state: SimulatorState) -> None:
    await deliver(state, "late@gmail.sim")
    await counted(state, "reported")
    assert await received(state, SENDER) == ("", "multipart/report")
    await deliver(state, "complain@gmail.sim")
    await counted(state, "complained")
    assert await received(state, "fbl@small-001.sim") == ("", "multipart/report")
    await deliver(state, "unsubscribe+mail@gmail.sim", "List-Unsubscribe: <mailto:leave@small-001.sim>\r\n")
    await counted(state, "unsubscribed")
    assert await received(state, "leave@small-001.sim") == ("unsubscribe+mail@gmail.sim", "text/plain")


async def test_one_click_is_posted_and_tried_again_while_the_server_cannot(state: SimulatorState) -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head.splitlines()[0] + b" " + await reader.readexactly(26))
        writer.write(b"HTTP/1.1 503 Later\r\n\r\n" if len(heard) == 1 else b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://localhost:{server.sockets[0].getsockname()[1]}/u/x?y=1"
    head = f"List-Unsubscribe: <{url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    await deliver(state, "unsubscribe@gmail.sim", head)
    await counted(state, "unsubscribed")
    assert heard == [b"POST /u/x?y=1 HTTP/1.1 List-Unsubscribe=One-Click"] * 2
    server.close()


async def test_nothing_leaves_the_machine(state: SimulatorState, caplog: pytest.LogCaptureFixture) -> None:
    for link in (
        "http://192.0.2.1/",
        "http://example.com/",
        "https://127.0.0.1/",
        "http://[::ffff:192.0.2.1]/",
        "http://[",
    ):
        await deliver(state, "click@gmail.sim", "Content-Type: text/html\r\n", f'<a href="{link}">x</a>')
    async with asyncio.timeout(20):
        while caplog.text.count("came to nothing") < 5:
            await asyncio.sleep(0.01)
    assert not any("clicked" in row for row in (await call_async(state, "counts"))["counts"])
