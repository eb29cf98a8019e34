"""Hosts of their own for workers: network namespaces whose addresses no other host can bind.

    namespace: a worker, its addresses on lo  ── Unix socket ──  this machine: practice internet, Valkey

A namespace has no cable. What its worker connects to by TCP (mail servers, Valkey) and asks by UDP (DNS) is carried
over a Unix socket, which knows no namespaces, to the same address and port of this machine; PostgreSQL is reached by
its own socket. Whatever address the worker has bound is lost on that way: the store knows which it was.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

_FLAGS: Final = ("-n",) if os.geteuid() == 0 else ("-Urn",)
_BLOCK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace, and how a command is run in it."""

    inside: tuple[str, ...]


def available() -> bool:
    """Whether this process may make network namespaces."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None or shutil.which("ip") is None:
        return False
    return subprocess.run(["unshare", *_FLAGS, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0


@contextlib.contextmanager
def host(addresses: Sequence[str], tcp: Sequence[int], udp: int, socket: Path) -> Iterator[Host]:
    """One with these addresses, from which these TCP ports, and this UDP port of 127.0.0.1, lead to this machine by
    what `carried` serves at `socket`."""
    words = [str(socket), str(udp), *map(str, tcp)]
    lo = " && ".join(["ip link set lo up", *(f"ip addr add {one}/32 dev lo" for one in addresses)])
    command = ["unshare", *_FLAGS, "sh", "-c", f'{lo} && exec "$@"', "sh", sys.executable, "-m", "tests.hosts", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        users = () if os.geteuid() == 0 else ("-U", "--preserve-credentials")
        yield Host(("nsenter", "-t", str(process.pid), "-n", *users))
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def carried(socket: Path) -> Iterator[None]:
    """The end on this machine, in a thread of its own."""
    loop = uvloop.new_event_loop()
    server = loop.run_until_complete(asyncio.start_unix_server(_onward, socket))
    socket.chmod(0o666)
    thread = threading.Thread(target=loop.run_forever, name="carried", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _onward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The first line says where to."""
    kind, address, port = (await reader.readline()).decode().split()
    if kind == "udp":
        loop = asyncio.get_running_loop()
        _, asking = await loop.create_datagram_endpoint(lambda: _Asking(writer), remote_addr=(address, int(port)))
        asking.transport.sendto(await reader.read(_BLOCK))
        return
    try:
        there, back = await asyncio.open_connection(address, int(port))
    except OSError:
        writer.transport.abort()
        return
    await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
    writer.close()


class _Asking(asyncio.DatagramProtocol):
    """One question, and its answer."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    # asyncio declares BaseTransport; a datagram endpoint always gives this one.
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, _address: object) -> None:
        self._writer.write(data)
        self._writer.close()
        self.transport.close()


class _Asked(asyncio.DatagramProtocol):
    """The worker's side of DNS."""

    def __init__(self, socket: str, port: int) -> None:
        self._socket, self._port = socket, port
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as above
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        task = asyncio.ensure_future(self._ask(data, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, data: bytes, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        writer.write(f"udp 127.0.0.1 {self._port}\n".encode() + data)
        self._transport.sendto(await reader.read(_BLOCK), address)
        writer.close()


async def _serve(socket: str, udp: int, tcp: Sequence[int]) -> None:
    """The end in the namespace."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")
        back, there = await asyncio.open_unix_connection(socket)
        there.write(f"tcp {address} {port}\n".encode())
        await asyncio.gather(_pump(reader, there), _pump(back, writer))

    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Asked(socket, udp), local_addr=("127.0.0.1", udp)
    )
    for port in tcp:
        await asyncio.start_server(take, "0.0.0.0", port)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
