"""Mail through SOCKS5 proxies on loopback: from which address it comes, and whose fault a failure is."""

import asyncio
import contextlib
import os
import resource
import socket
from pathlib import Path

import pytest

from core.errors import UnavailableError
from mta.connect import reachable
from mta.model import EgressIp, Phase, Response, Trouble
from tests.integration.mta.couriers import FIRST, courier, mail, route
from tests.smtp_sink import Certificates, Offer, Rule, SmtpSink
from tests.socks_proxy import SocksProxy

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]

TO = route("127.0.0.1")
SECRET = "open sesame/7@"
LOGIN = "postlane:open%20sesame%2F7%40"


def through(via: str, address: str = "203.0.113.5") -> EgressIp:
    """An IP that this host does not have, used through a proxy."""
    return EgressIp(address, address, "out5.test", via)


def open_sockets() -> int:
    """Sockets of this process, those of its tests' servers included."""
    numbers = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.islink(name) and os.readlink(name).startswith("socket:") for name in numbers)


def every_file() -> list[int]:
    """All files that this process may still open."""
    taken: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    return taken


async def test_the_proxy_binds_the_address_and_one_connection_carries_many_mails() -> None:
    async with (
        SmtpSink() as sink,
        SocksProxy("127.0.1.5", {"postlane": SECRET}) as proxy,
        courier(sink.port) as out,
    ):
        source = through(proxy.via(LOGIN))
        deliveries = [await out.deliver(TO, source, mail()) for _ in range(3)]
        direct = await out.deliver(TO, FIRST, mail())
    assert [(one.response.code, one.reuse_count) for one in deliveries] == [(250, 0), (250, 1), (250, 2)]
    assert direct.response.code == 250
    assert [(got.source, got.ehlo) for got in sink.mails] == [("127.0.1.5", "out5.test")] * 3 + [
        ("127.0.1.1", "out1.test")
    ]
    assert (proxy.logins, proxy.targets) == (["postlane"], [("127.0.0.1", sink.port)])


async def test_one_proxy_for_each_address() -> None:
    async with (
        SmtpSink() as sink,
        SocksProxy("127.0.1.6") as six,
        SocksProxy("127.0.1.7") as seven,
        courier(sink.port) as out,
    ):
        sources = [through(six.via(), "203.0.113.6"), through(seven.via(), "203.0.113.7")]
        await asyncio.gather(*(out.deliver(TO, sources[number % 2], mail()) for number in range(20)))
    assert sorted(got.source for got in sink.mails) == ["127.0.1.6"] * 10 + ["127.0.1.7"] * 10


async def test_ipv6_through_a_proxy() -> None:
    async with SmtpSink(address="::1") as sink, SocksProxy("::1") as proxy, courier(sink.port) as out:
        source = through(proxy.via(), "2001:db8::5")
        assert (await out.deliver(route("127.0.0.1", "::1"), source, mail())).host_address == "::1"
        assert (await out.deliver(route("127.0.0.1"), source, mail())).out_of_reach
    assert [got.source for got in sink.mails] == ["::1"]
    assert proxy.targets == [("::1", sink.port)]


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_tls_and_large_bodies_go_through(size: int, tmp_path: Path) -> None:
    certificates = Certificates("mx0.test")
    certificates.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    data = b"x" * size + b"\r\n"
    async with (
        SmtpSink(offer=Offer(starttls="good"), certificates=certificates) as sink,
        SocksProxy("127.0.1.5") as proxy,
        courier(sink.port, ca_file=tmp_path / "ca.pem") as out,
    ):
        delivery = await out.deliver(TO, through(proxy.via()), mail(data=data))
    assert (delivery.response.code, delivery.tls) == (250, "TLSv1.3 verified")
    assert (sink.mails[0].data, sink.mails[0].source) == (data, "127.0.1.5")


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (1, Trouble.UNREACHABLE),
        (2, Trouble.UNREACHABLE),
        (3, Trouble.UNREACHABLE),
        (4, Trouble.UNREACHABLE),
        (5, Trouble.REFUSED),
        (6, Trouble.TIMEOUT),
        (8, Trouble.UNREACHABLE),
    ],
)
async def test_what_the_proxy_says_of_the_mail_server_is_as_if_seen_directly(code: int, trouble: Trouble) -> None:
    async with SocksProxy("127.0.1.5", answer=code) as proxy, courier(2525) as out:
        delivery = await out.deliver(route("127.0.0.1", "127.0.0.2"), through(proxy.via()), mail())
    assert (delivery.response.phase, delivery.response.trouble) == (Phase.CONNECT, trouble)
    assert [address for address, _ in proxy.targets] == ["127.0.0.1", "127.0.0.2"]


async def test_the_next_server_is_tried_after_a_refused_connection() -> None:
    async with (
        SmtpSink(address="127.0.0.2") as sink,
        SocksProxy("127.0.1.5") as proxy,
        courier(sink.port) as out,
    ):
        delivery = await out.deliver(route("127.0.0.1", "127.0.0.2"), through(proxy.via()), mail())
    assert (delivery.response.code, delivery.host_name) == (250, "mx1.test")


async def test_silence_behind_the_proxy_is_the_mail_servers() -> None:
    async with SocksProxy("127.0.1.5", {"postlane": SECRET}, mute="connect") as proxy, courier(2525) as out:
        delivery = await out.deliver(TO, through(proxy.via(LOGIN)), mail())
    assert delivery.response.trouble is Trouble.TIMEOUT
    assert delivery.response.text == f"no answer, through socks5://postlane:***@127.0.0.1:{proxy.port}"


@pytest.mark.parametrize(
    ("options", "login", "why"),
    [
        ({}, "", "No acceptable authentication methods were offered"),
        ({}, "postlane:wrong", "Username and password authentication failure"),
        ({"mute": "greeting"}, LOGIN, "no greeting within 0.3 s"),
        ({"mute": "login"}, LOGIN, "no greeting within 0.3 s"),
        ({"hang_up": "greeting"}, LOGIN, "Connection closed unexpectedly"),
        ({"hang_up": "login"}, LOGIN, "Connection closed unexpectedly"),
        ({"hang_up": "connect"}, LOGIN, "Connection closed unexpectedly"),
        ({"answer": 7}, LOGIN, "Command not supported or protocol error"),
        ({"answer": 77}, LOGIN, "Invalid reply code: 0X4D"),
    ],
)
async def test_a_proxy_that_fails_us_ends_the_walk(options: dict[str, str], login: str, why: str) -> None:
    async with SocksProxy("127.0.1.5", {"postlane": SECRET}, **options) as proxy, courier(2525) as out:  # type: ignore[arg-type]
        seen = await out.deliver(route("127.0.0.1", "127.0.0.2"), through(proxy.via(login)), mail())
    assert (seen.response.phase, seen.response.trouble, seen.host_name) == (Phase.CONNECT, Trouble.PROXY, "mx0.test")
    shown = f"{login.partition(':')[0]}:***@" if login else ""
    assert seen.response.text == f"proxy socks5://{shown}127.0.0.1:{proxy.port}: {why}"
    assert len(proxy.targets) <= 1


async def test_a_proxy_that_is_away_ends_the_walk_and_no_host_is_blamed() -> None:
    async with SmtpSink() as sink, SocksProxy("127.0.1.5") as proxy:
        gone = socket.create_server(("127.0.0.1", 0))
        via = f"socks5://postlane:secret@127.0.0.1:{gone.getsockname()[1]}"
        gone.close()
        async with courier(sink.port) as out:
            away = await out.deliver(route("127.0.0.1", "127.0.0.2"), through(via), mail())
            back = await out.deliver(route("127.0.0.1", "127.0.0.2"), through(proxy.via()), mail())
    assert (away.response.trouble, away.host_name) == (Trouble.PROXY, "mx0.test")
    assert away.response.text == f"proxy {via.replace('secret', '***')}: Connection refused"
    assert (back.response.code, back.host_name) == (250, "mx0.test")


async def test_a_via_that_is_none_is_said_so() -> None:
    async with courier(2525) as out:
        delivery = await out.deliver(TO, through("socks5://user:secret@127.0.0.1"), mail())
    assert delivery.response == Response(Phase.CONNECT, text="via has no port from 1 to 65535", trouble=Trouble.PROXY)


async def test_a_cancelled_connection_through_a_proxy_leaves_nothing_open() -> None:
    async with SocksProxy("127.0.1.5", mute="connect") as proxy, courier(2525) as out:
        before = open_sockets()
        task = asyncio.ensure_future(out.deliver(TO, through(proxy.via()), mail()))
        while not proxy.targets:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert out.stats().open == 0
        await asyncio.sleep(0.05)
        assert open_sockets() == before


async def test_a_process_without_sockets_blames_nobody() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with SocksProxy("127.0.1.5") as proxy, courier(2525) as out:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        taken = every_file()
        try:
            with pytest.raises(UnavailableError, match="Too many open files"):
                await out.deliver(TO, through(proxy.via()), mail())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in taken:
                os.close(number)


async def test_a_silent_banner_is_the_mail_servers_too() -> None:
    async with (
        SmtpSink(Rule("connect", "silence")) as sink,
        SocksProxy("127.0.1.5") as proxy,
        courier(sink.port) as out,
    ):
        delivery = await out.deliver(TO, through(proxy.via()), mail())
    assert (delivery.response.phase, delivery.response.trouble) == (Phase.BANNER, Trouble.TIMEOUT)


# Which IPs this process can use


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        ("127.0.1.1", ""),
        ("192.0.2.1", "cannot bind 192.0.2.1: Cannot assign requested address"),
        ("localhost", "'localhost' is not an IP address"),
        ("", "'' is not an IP address"),
    ],
)
async def test_a_local_ip_is_reachable_when_it_can_be_bound(bind: str, why: str) -> None:
    assert await reachable(EgressIp("203.0.113.5", bind, "out5.test")) == why


@pytest.mark.parametrize(
    ("options", "login", "why"),
    [
        ({}, LOGIN, ""),
        ({"mute": "connect"}, LOGIN, ""),
        ({}, "", "wants another way to log in"),
        ({}, "postlane:wrong", "refuses the user name or the password"),
        ({"mute": "greeting"}, LOGIN, "no greeting within 0.3 s"),
        ({"hang_up": "login"}, LOGIN, "closed before it greeted"),
    ],
)
async def test_an_ip_behind_a_proxy_is_reachable_when_the_proxy_lets_us_in(
    options: dict[str, str], login: str, why: str
) -> None:
    async with SocksProxy("127.0.1.5", {"postlane": SECRET}, **options) as proxy:  # type: ignore[arg-type]
        told = await reachable(through(proxy.via(login)), 0.3)
        assert told.rpartition(": ")[2] == why
        assert SECRET not in told
        assert "wrong" not in told
        assert proxy.targets == []


async def test_what_is_no_proxy_is_not_reachable() -> None:
    async with SmtpSink() as sink:
        via = f"socks5://127.0.0.1:{sink.port}"
        assert await reachable(through(via)) == f"proxy {via}: does not speak SOCKS5"
    assert await reachable(through(via)) == f"proxy {via}: Connection refused"
    assert await reachable(through("socks5://nowhere.invalid:1080")) != ""
    assert await reachable(through("http://127.0.0.1:1080")) == (
        "via must be 'local', socks5://[user:password@]host:port, or a relay: "
        "smtp+tls://[user:password@]host[:port], smtps://…, smtp://host"
    )
