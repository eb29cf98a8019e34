"""Three machines in network namespaces: a worker, the host that owns two public addresses, and a mail server.

    worker 10.9.0.1 ── 10.9.0.2 proxy host 198.18.0.5, 198.18.0.6 ── 198.18.0.25 mail server

The worker has no way to the mail server but the proxy host, which forwards nothing. Needs root and util-linux; run as
`python -m tests.integration.mta.namespaces sink` and `… send …` it is the program on two of the machines.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mta.connect import reachable
from mta.model import EgressIp, Host, Route
from tests.integration.mta.couriers import courier, mail
from tests.smtp_sink import SmtpSink

MAIL_SERVER = "198.18.0.25"
PORT = 2525
WORKER, PROXY_HOST, SERVER = range(3)


def available() -> bool:
    """True where this process may make network namespaces with virtual cables between them."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None or shutil.which("ip") is None:
        return False
    probe = ["unshare", "-n", "ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=10).returncode == 0


@contextmanager
def machines() -> Iterator[list[list[str]]]:
    """For each of the three machines the beginning of a command that runs there."""
    sleepers = [subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; exec sleep 120"], stdout=-1) for _ in range(3)]
    try:
        for sleeper in sleepers:
            assert sleeper.stdout is not None
            assert sleeper.stdout.readline() == b"up\n"
        inside = [["nsenter", "-t", str(sleeper.pid), "-n"] for sleeper in sleepers]
        for machine, command in _cables(sleepers[PROXY_HOST].pid, sleepers[SERVER].pid):
            subprocess.run([*inside[machine], "ip", *command.split()], check=True, timeout=10)
        yield inside
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.communicate()


def _cables(proxy_host: int, server: int) -> list[tuple[int, str]]:
    return [
        (WORKER, f"link add w0 type veth peer name p0 netns {proxy_host}"),
        (PROXY_HOST, f"link add p1 type veth peer name s0 netns {server}"),
        (WORKER, "addr add 10.9.0.1/24 dev w0"),
        (PROXY_HOST, "addr add 10.9.0.2/24 dev p0"),
        (PROXY_HOST, "addr add 198.18.0.5/24 dev p1"),
        (PROXY_HOST, "addr add 198.18.0.6/24 dev p1"),
        (SERVER, f"addr add {MAIL_SERVER}/24 dev s0"),
        *((machine, "link set lo up") for machine in (WORKER, PROXY_HOST, SERVER)),
        *((machine, f"link set {cable} up") for machine, cable in ((0, "w0"), (1, "p0"), (1, "p1"), (2, "s0"))),
    ]


async def _sink() -> None:
    """Take mail until standard input ends, then print the addresses it came from."""
    async with SmtpSink(address=MAIL_SERVER, port=PORT) as sink:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps([got.source for got in sink.mails]))


async def _send(ways: list[str]) -> None:
    """Send one mail by each `address=via` and print reachability, code and trouble of each."""
    told = []
    to = Route("x.test", "other", (Host("mx.test", MAIL_SERVER, 10),))
    for address, _, via in (way.partition("=") for way in ways):
        source = EgressIp(address, address, "out.test", via)
        async with courier(PORT) as out:  # a new one: kept sessions are those of an address, whatever its way is now
            answer = (await out.deliver(to, source, mail())).response
        told.append([await reachable(source), answer.code, answer.trouble])
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(_sink() if sys.argv[1] == "sink" else _send(sys.argv[2:]))
