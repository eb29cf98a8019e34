"""The sockets of the simulated DNS: UDP and TCP on one loopback port (RFC 1035 4.2, RFC 7766).

Takes bytes to `Zone.answer` and back. Malformed packets are answered with FORMERR where an id can be read, otherwise
dropped. Never binds anything but the address that `simulator/main.py` gives.
"""

import asyncio
import struct
from typing import cast

import dns.exception
import dns.flags
import dns.message

from simulator.dns_zone import Zone

_UDP_OCTETS = 1232
"""Largest UDP answer (dnsflagday.net/2020), or less if the client says so; larger ones are cut and asked by TCP."""
_IDLE_SECONDS = 30.0
_ATTEMPTS = 20


class DnsServer:
    """Start once, stop once."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._datagrams: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def listen(self, address: str, port: int) -> int:
        """Listen on UDP and TCP with the same port (0: a free one). The port; raises OSError."""
        for attempt in range(_ATTEMPTS):
            self._server = await asyncio.start_server(self._serve_stream, address, port)
            chosen = int(self._server.sockets[0].getsockname()[1])
            try:
                await self._listen_datagrams(address, chosen)
            except OSError:  # the port is free for TCP and taken for UDP: try another
                await self.stop()
                if port or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return chosen
        raise AssertionError("the loop returns or raises")

    async def stop(self) -> None:
        """Close the sockets and all connections."""
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None
        if self._server is not None:
            self._server.close()
            for writer in list(self._clients):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _listen_datagrams(self, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._zone), local_addr=(address, port))
        self._datagrams = transport

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    query = await reader.readexactly(length)
                answer = respond(self._zone, query, limit=65535)
                if answer is None:
                    return
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return
        finally:
            self._clients.discard(writer)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram by one datagram or by none."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's are no subclass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = respond(self._zone, data, limit=_UDP_OCTETS)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def respond(zone: Zone, packet: bytes, *, limit: int) -> bytes | None:
    """The wire form of the answer to one packet, or None for silence. Never raises for any input."""
    try:
        query = dns.message.from_wire(packet)
    except (dns.exception.DNSException, ValueError):  # ValueError: names and types dnspython does not know how to hold
        return _format_error(packet)
    if query.flags & dns.flags.QR:  # a response; answering it could start an endless exchange
        return None
    answer = zone.answer(query)
    if answer is None:
        return None
    udp = limit <= _UDP_OCTETS
    allowed = min(limit, query.payload if query.edns >= 0 else 512) if udp else limit
    try:
        return answer.to_wire(max_size=max(512, allowed))
    except dns.exception.TooBig:
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC | dns.flags.AA
        return short.to_wire()


def _format_error(packet: bytes) -> bytes | None:
    """FORMERR for a packet whose header can be read and that is no response (RFC 1035 4.1.1)."""
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    return packet[:2] + b"\x80\x01" + bytes(8)
