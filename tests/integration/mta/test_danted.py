"""Mail through the proxy that operators use: Debian's danted, on loopback, and between machines in network namespaces.

Needs the package dante-server, which takes root to install: conftest.py leaves this file out where there is neither,
and test_socks.py with a SOCKS server of our own is the proof. The namespaces take root too; where they are not to be
had, loopback is the proof and the last test does not exist.
"""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mta.connect import reachable
from mta.model import EgressIp, Trouble
from tests.integration.mta import namespaces
from tests.integration.mta.couriers import courier, mail, route
from tests.smtp_sink import Certificates, Offer, SmtpSink

DANTED = shutil.which("danted") or shutil.which("danted", path="/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.timeout(60),
    pytest.mark.skipif(DANTED is None, reason="needs danted (package dante-server)"),
]

TO = route("127.0.0.1")
CONFIGURATION = """
logoutput: stderr
{addresses}
socksmethod: {method}
clientmethod: none
{user}
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 127.0.0.66/32 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }}
"""


@asynccontextmanager
async def running(
    folder: Path, addresses: str, listening: tuple[str, int], method: str = "none", inside: Sequence[str] = ()
) -> AsyncIterator[None]:
    """A danted with these addresses. `inside` begins the command where it runs elsewhere."""
    name = f"{listening[0]}-{listening[1]}"
    user = "user.privileged: root\nuser.unprivileged: nobody" if os.geteuid() == 0 else ""
    (folder / f"{name}.conf").write_text(CONFIGURATION.format(addresses=addresses, method=method, user=user))
    with (folder / f"{name}.log").open("wb") as log:
        assert DANTED is not None
        command = [*inside, DANTED, "-f", str(folder / f"{name}.conf"), "-p", str(folder / f"{name}.pid")]
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        await _ready(process, folder / f"{name}.log")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until danted says that it runs; it listens by then."""
    for _ in range(200):
        assert process.returncode is None, log.read_text()
        if " running" in log.read_text():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(log.read_text())


@asynccontextmanager
async def danted(
    folder: Path, external: str, public: str = "203.0.113.8", method: str = "none"
) -> AsyncIterator[EgressIp]:
    """An IP whose connections come from `external`, and the running proxy that sees to it."""
    port = free_port()
    login = "postlane:sesame@" if method == "username" else ""
    addresses = f"internal: 127.0.0.1 port = {port}\nexternal: {external}"
    async with running(folder, addresses, ("127.0.0.1", port), method):
        yield EgressIp(public, public, f"out{public[-1]}.test", f"socks5://{login}127.0.0.1:{port}")


@asynccontextmanager
async def one_danted(folder: Path, *external: str) -> AsyncIterator[list[EgressIp]]:
    """IPs that share a proxy, which is reached at the address that it then sends from."""
    port = free_port()
    lines = [f"internal: {address} port = {port}\nexternal: {address}" for address in external]
    async with running(folder, "\n".join([*lines, "external.rotation: same-same"]), (external[0], port)):
        yield [EgressIp(address, address, "out.test", f"socks5://{address}:{port}") for address in external]


def free_port() -> int:
    """A port that nothing listens on at any address."""
    with socket.create_server(("0.0.0.0", 0)) as probe:
        return int(probe.getsockname()[1])


async def test_each_proxy_sends_from_its_own_address(tmp_path: Path) -> None:
    async with (
        SmtpSink(offer=Offer(starttls="self-signed"), certificates=Certificates("mx0.test")) as sink,
        danted(tmp_path, "127.0.1.8", "203.0.113.8") as eight,
        danted(tmp_path, "127.0.1.9", "203.0.113.9") as nine,
        courier(sink.port) as out,
    ):
        assert (await reachable(eight), await reachable(nine)) == ("", "")
        deliveries = [await out.deliver(TO, source, mail()) for source in (eight, eight, eight, nine, nine)]
    assert [one.response.code for one in deliveries] == [250] * 5
    assert [one.reuse_count for one in deliveries] == [0, 1, 2, 0, 1]
    assert {one.tls for one in deliveries} == {"TLSv1.3 unverified"}
    assert [(got.source, got.ehlo) for got in sink.mails] == [("127.0.1.8", "out8.test")] * 3 + [
        ("127.0.1.9", "out9.test")
    ] * 2


@pytest.mark.parametrize(("address", "trouble"), [("127.0.0.1", Trouble.REFUSED), ("127.0.0.66", Trouble.UNREACHABLE)])
async def test_a_server_that_cannot_be_reached_is_not_the_proxys_fault(
    tmp_path: Path, address: str, trouble: Trouble
) -> None:
    async with danted(tmp_path, "127.0.1.8") as source, courier(free_port()) as out:
        delivery = await out.deliver(route(address), source, mail())
        assert delivery.response.trouble is trouble
        assert await reachable(source) == ""


async def test_one_proxy_for_several_addresses_sends_from_the_one_it_was_reached_at(tmp_path: Path) -> None:
    addresses = ("127.0.1.8", "127.0.1.9")
    async with SmtpSink() as sink, courier(sink.port) as out, one_danted(tmp_path, *addresses) as sources:
        for source in (*sources, *sources):
            assert (await out.deliver(TO, source, mail())).response.code == 250
    assert [got.source for got in sink.mails] == [*addresses, *addresses]


async def test_a_wrong_password_and_a_proxy_that_ended_are_the_proxys_fault(tmp_path: Path) -> None:
    async with SmtpSink() as sink, courier(sink.port) as out:
        async with danted(tmp_path, "127.0.1.8", method="username") as source:
            refused = await out.deliver(TO, source, mail())
            told = await reachable(source)
        ended = await out.deliver(TO, source, mail())
    assert refused.response.trouble is ended.response.trouble is Trouble.PROXY
    assert ended.response.text.endswith(("Connection refused", "Connection reset by peer"))  # while it is ending
    assert told.endswith("refuses the user name or the password")
    assert "sesame" not in refused.response.text + ended.response.text + told
    assert sink.mails == []


if namespaces.available():

    async def test_a_worker_on_a_host_without_the_address_sends_through_the_host_that_has_it(tmp_path: Path) -> None:
        program = [sys.executable, "-m", "tests.integration.mta.namespaces"]
        with namespaces.machines() as (worker, proxy_host, server):
            sink = await asyncio.create_subprocess_exec(
                *server, *program, "sink", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            assert sink.stdout is not None
            assert await sink.stdout.readline() == b"ready\n"
            five, six = (
                (f"internal: 10.9.0.2 port = {port}\nexternal: {address}", ("10.9.0.2", port))
                for address, port in (("198.18.0.5", 1085), ("198.18.0.6", 1086))
            )
            async with running(tmp_path, *five, inside=proxy_host), running(tmp_path, *six, inside=proxy_host):
                ways = ["198.18.0.5=socks5://10.9.0.2:1085", "198.18.0.6=socks5://10.9.0.2:1086"]
                ways += ["198.18.0.5=local", "198.18.0.5=socks5://10.9.0.2:1087", "10.9.0.1=local"]
                sender = await asyncio.create_subprocess_exec(
                    *worker, *program, "send", *ways, stdout=asyncio.subprocess.PIPE
                )
                told = json.loads((await sender.communicate())[0])
            came_from = json.loads((await sink.communicate(b""))[0])
        assert came_from == ["198.18.0.5", "198.18.0.6"]
        assert told == [
            ["", 250, None],
            ["", 250, None],
            ["cannot bind 198.18.0.5: Cannot assign requested address", 0, "local_address"],
            ["proxy socks5://10.9.0.2:1087: Connection refused", 0, "proxy"],
            ["", 0, "unreachable"],
        ]
