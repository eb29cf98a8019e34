"""What a listener lets in, under floods of new keys: bounded in memory, and never closed to those who come later."""

import asyncio
import smtplib
import socket
from dataclasses import replace

import pytest
from aiosmtpd.smtp import Envelope

from core.rate_windows import RateWindow
from mta import inbound_server, inbound_session
from mta.inbound import ServerOptions
from mta.inbound_gate import ByteBudget, Gate, GateLimits, source_of
from mta.inbound_reports import BOUNCE_BYTES, BounceHandler
from mta.inbound_server import Listener
from tests.unit.mta.inbound.conftest import KEY, OTHER, TOKEN, Desk, client_of


def test_rate_window() -> None:
    now = [0.0]
    window = RateWindow(2, 60.0, lambda: now[0])
    assert [window.count("a"), window.count("a"), window.count("a"), window.count("b")] == [True, True, False, True]
    now[0] = 60.0
    assert window.count("a")


def test_a_full_window_forgets_who_was_quiet_longest_and_refuses_nobody_new() -> None:
    window = RateWindow(2, 3600.0, most=100)
    for _ in range(3):
        window.count("flooding")
    for n in range(100_000):
        assert window.count(n)
        if n % 50 == 0:
            assert not window.count("flooding")
    assert len(window) == 100
    assert window.count("honest")


def test_gate_frees_what_has_left() -> None:
    gate = Gate(GateLimits(connections=2, connections_per_ip=2, new_per_minute=100))
    assert [gate.enter("a"), gate.enter("b")] == ["", ""]
    assert gate.enter("c")
    gate.leave("a")
    assert gate.enter("c") == ""
    assert gate.open() == 2


def test_a_hundred_thousand_addresses_do_not_close_the_gate() -> None:
    gate = Gate(GateLimits(connections=200, connections_per_ip=20, new_per_minute=600))
    for n in range(100_001):
        address = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        assert gate.enter(address) == ""
        gate.leave(address)
    assert gate.enter("192.0.2.1") == ""
    assert gate.open() == 1


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_who_has_an_address(address: str, source: str) -> None:
    assert source_of(address) == source


def test_one_customer_with_many_ipv6_addresses_is_one_source() -> None:
    gate = Gate(GateLimits(connections=200, connections_per_ip=20, new_per_minute=600))
    let_in = [gate.enter(f"2001:db8:0:1::{n:x}") == "" for n in range(1, 100)]
    assert let_in.count(True) == 20
    assert gate.enter("2001:db8:0:2::1") == ""


async def test_a_path_in_every_spelling_is_one_path(desk: Desk) -> None:
    """Who has one return path has it in any case and in every domain of ours: still 20 mails an hour."""
    handler = BounceHandler(desk.identify, desk.place, desk.store)
    local = TOKEN.partition("@")[0]

    spelt = [f"{local.upper()}@bounce.shop.example", f"{local}@OLD.shop.example", TOKEN]
    replies = [(await _rcpt(handler, spelt[n % 3]))[:3] for n in range(60)]
    foreign = {(await _rcpt(handler, f"{local}@d{n}.example"))[:9] for n in range(2_000)}
    assert (replies, foreign) == (["250"] * 20 + ["450"] * 40, {"550 5.1.1"})
    assert (await _rcpt(handler, OTHER))[:3] == "250"


async def _rcpt(handler: BounceHandler, address: str) -> str:
    return await handler.handle_RCPT(None, None, Envelope(), address, [])  # type: ignore[arg-type]


async def test_who_only_holds_a_connection_leaves_for_who_brings_mail(
    desk: Desk, options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(GateLimits(connections=3, connections_per_ip=10, new_per_minute=200))
    handler = BounceHandler(desk.identify, desk.place, desk.store)
    listener = Listener(handler, replace(options, max_bytes=BOUNCE_BYTES), gate)
    await listener.start("127.0.0.1", 0)

    def hold() -> socket.socket:
        held = socket.create_connection(("127.0.0.1", listener.port), timeout=5)
        assert held.recv(200).startswith(b"220")
        return held

    held = [await asyncio.to_thread(hold) for _ in range(3)]
    with pytest.raises(smtplib.SMTPConnectError, match="too many connections"):
        await client_of(listener, lambda client: None)
    monkeypatch.setattr(inbound_server, "PATIENCE_SECONDS", 0.0)
    await client_of(listener, lambda client: client.sendmail("", [TOKEN], b"Subject: failed\r\n\r\n"))
    farewell = await asyncio.to_thread(held[0].recv, 200)
    assert (farewell[:3], len(desk.bounces), gate.open() <= 3) == (b"421", 1, True)
    for client in held:
        client.close()
    await listener.stop(0.2)
    assert gate.open() == 0


async def test_byte_budget() -> None:
    budget = ByteBudget(100)
    assert [budget.take(60), budget.take(41), budget.take(40)] == [True, False, True]
    assert not await budget.room(1, 0.01)
    waiting = asyncio.create_task(budget.room(50, 5.0))
    await asyncio.sleep(0)
    budget.give_back(60)
    assert await waiting
    assert budget.held == 40


async def test_large_mails_over_the_budget_wait_and_small_ones_go_on(
    submission: Listener, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound_session, "ROOM_SECONDS", 0.05)
    monkeypatch.setattr("mta.inbound_data.FREE_BYTES", 1_000)
    submission.budget = ByteBudget(5_000)

    def send(size: int) -> int:
        def talk(client: smtplib.SMTP) -> int:
            client.login("x", KEY)
            client.mail("me@shop.example")
            client.rcpt("a@x.example")
            return client.data(b"Subject: hi\r\n\r\n" + b"x" * size)[0]

        client = smtplib.SMTP("127.0.0.1", submission.port, timeout=5)
        try:
            return talk(client)
        finally:
            client.close()

    async def sent(size: int) -> int:
        return await asyncio.to_thread(send, size)

    desk.gate = asyncio.Event()
    large = asyncio.create_task(sent(5_500))
    while not submission.budget.held:
        await asyncio.sleep(0.01)
    second = await sent(5_500)
    small = asyncio.create_task(sent(500))
    while sum(connection.busy for connection in submission.connections) < 2:
        await asyncio.sleep(0.01)
    desk.gate.set()
    assert (second, await small, await large) == (452, 250, 250)
    assert submission.budget.held == 0
    assert await sent(5_500) == 250
