"""The pipelining client against the simulator, on uvloop and on asyncio: many mails at once, TLS races, refusals."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from simulator.client import SimulatorState, call_async
from simulator.loopback import NotLoopbackError
from simulator.main import SimulatorConfig, running
from tests.integration.simulator.pipelined_client import PipelinedClient, envelope, stuffed

pytestmark = pytest.mark.asyncio
GMAIL, YAHOO = "127.0.0.11", "127.0.0.15"
MAIL = b"Subject: x\r\nMessage-ID: <1@demo.sim>\r\n\r\n.dot\r\nend\r\n"


@pytest_asyncio.fixture(params=["own process, uvloop", "this loop, asyncio"])
async def state(request: pytest.FixtureRequest, simulator: SimulatorState) -> AsyncIterator[SimulatorState]:
    if request.param.startswith("own"):
        yield simulator
    else:
        async with running(SimulatorConfig()) as state:
            yield state


async def test_bodies_and_following_commands_in_one_packet(state: SimulatorState) -> None:
    clients = [await PipelinedClient.open(GMAIL, state.smtp_port, source=f"127.0.1.{n}") for n in (1, 2, 3)]
    work = [envelope("b@demo.sim", f"user-{number}@gmail.sim") for number in range(200)]
    taken = await asyncio.gather(*(client.deliver_many(work, stuffed(MAIL)) for client in clients))
    assert taken == [200, 200, 200]
    rows = (await call_async(state, "counts"))["counts"]
    assert {row["client"]: row["accepted"] for row in rows} == {f"127.0.1.{n}": 200 for n in (1, 2, 3)}
    mailbox = await call_async(state, "mailbox", address="user-7@gmail.sim")
    assert (mailbox["total"], {mail["octets"] for mail in mailbox["mails"]}) == (3, {len(MAIL)})
    await asyncio.gather(*(client.close() for client in clients))


async def test_refused_recipients_in_a_pipeline(state: SimulatorState) -> None:
    client = await PipelinedClient.open(GMAIL, state.smtp_port)
    mixed = await client.deliver("b@demo.sim", ["unknown@gmail.sim", "joe@gmail.sim"], MAIL)
    assert [answer.code for answer in mixed] == [250, 550, 250, 354, 250]
    none = await client.deliver("b@demo.sim", ["unknown@gmail.sim"], MAIL)
    assert [answer.code for answer in none] == [250, 550, 503]
    await client.command("RSET")
    throttled = await client.deliver("b@demo.sim", ["throttle@gmail.sim"], MAIL)
    assert [answer.code for answer in throttled] == [250, 250, 354, 421]
    assert await client.reader.read() == b""
    await client.close()


async def test_421_arrives_although_more_was_sent(state: SimulatorState) -> None:
    await call_async(state, "rule.set", rule={"behaviour": "throttle", "provider": "yahoo"})
    client = await PipelinedClient.open(YAHOO, state.smtp_port)
    for data in (envelope("b@demo.sim", "joe@yahoo.sim"), b"x" * 50_000, b"x" * 50_000):
        client.writer.write(data)
        await asyncio.sleep(0.05)  # a server that closed hard would answer the second write with RST
    assert (await client.answer()).code == 421
    await client.close()


async def test_commands_right_behind_the_handshake_are_answered_inside_tls(state: SimulatorState) -> None:
    context = ssl.create_default_context(cafile=state.ca_certificate)
    for number in range(20):
        client = await PipelinedClient.open(GMAIL, state.smtp_port)
        assert (await client.command("STARTTLS")).code == 220
        await client.writer.start_tls(context, server_hostname="mx1.google.sim")
        client.writer.write(b"EHLO inside.test\r\n" + envelope("b@demo.sim", f"tls-{number}@gmail.sim"))
        assert [(await client.answer()).code for _ in range(4)] == [250, 250, 250, 354]
        client.writer.write(stuffed(MAIL))
        assert (await client.answer()).code == 250
        await client.close()
    (view,) = (await call_async(state, "mailbox", address="tls-19@gmail.sim"))["mails"]
    assert (view["tls"], view["ehlo_name"]) == (True, "inside.test")


async def test_what_comes_during_a_wait_is_answered_after_it(state: SimulatorState) -> None:
    client = await PipelinedClient.open(GMAIL, state.smtp_port)
    client.writer.write(envelope("b@demo.sim", "slow+0.2@gmail.sim"))
    assert [(await client.answer()).code for _ in range(3)] == [250, 250, 354]
    start = asyncio.get_running_loop().time()
    client.writer.write(stuffed(MAIL) + envelope("b@demo.sim", "joe@gmail.sim"))
    assert [(await client.answer()).code for _ in range(4)] == [250, 250, 250, 354]
    assert asyncio.get_running_loop().time() - start >= 0.2
    await client.close()


async def test_stopping_cuts_open_connections() -> None:
    async with running(SimulatorConfig()) as state:
        client = await PipelinedClient.open(GMAIL, state.smtp_port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.command("NOOP")
    await client.close()


async def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(NotLoopbackError):
        async with running(SimulatorConfig(address="0.0.0.0")):
            pass


async def test_a_taken_port_is_an_error_and_leaves_nothing_listening(state: SimulatorState) -> None:
    with pytest.raises(OSError, match="in use"):
        async with running(SimulatorConfig(smtp_port=state.smtp_port)):
            pass
    again = await PipelinedClient.open(GMAIL, state.smtp_port)
    assert (await again.command("NOOP")).code == 250
    await again.close()
