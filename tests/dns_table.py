"""A DNS server for tests: answers from a table, on loopback, over UDP and TCP."""

import asyncio
from collections import Counter
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

LONGEST_CHAIN = 16

SOA = "ns.test. admin.test. 1 3600 600 86400 {minimum}"


class DnsTable:
    """`records` maps (name, type) to record texts; an int answers with that rcode, None with silence.

    Names without any entry are NXDOMAIN. A "CNAME" entry is followed within the table, as a recursive server does.
    """

    def __init__(
        self, records: dict[tuple[str, str], list[str] | int | None], ttl: int = 300, minimum: int = 60
    ) -> None:
        self.records = records
        self.ttl = ttl
        self.minimum = minimum
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over_tcp = 0
        self.delay = 0.0
        self.knows_edns = True
        self.address = ""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._stream, "127.0.0.1", 0)
        port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=("127.0.0.1", port))
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()

    def answer(self, wire: bytes, limit: int) -> bytes | None:
        """The response to one query, truncated at `limit` bytes; None for silence."""
        query = dns.message.from_wire(wire)
        name, kind = str(query.question[0].name), dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked[name.rstrip("."), kind] += 1
        response = dns.message.make_response(query, recursion_available=True)
        if query.edns >= 0 and not self.knows_edns:
            response.set_rcode(dns.rcode.FORMERR)
            return response.to_wire()
        if not self._fill(response, name.rstrip("."), kind):
            return None
        wire = response.to_wire(max_size=65535)
        if len(wire) > limit:
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()
        return wire

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> bool:
        names = {known for known, _ in self.records}
        while (name, kind) not in self.records and (name, "CNAME") in self.records:
            target = self.records[name, "CNAME"]
            assert isinstance(target, list)
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", "CNAME", *target))
            name = target[0].rstrip(".")
            if len(response.answer) > LONGEST_CHAIN:  # what a recursive server says of aliases in a circle
                response.answer.clear()
                response.set_rcode(dns.rcode.SERVFAIL)
                return True
        found = self.records.get((name, kind), [])
        if found is None:
            return False
        if isinstance(found, int):
            response.set_rcode(dns.rcode.Rcode(found))
        elif found:
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", kind, *found))
        else:
            soa = SOA.format(minimum=self.minimum)
            response.authority.append(dns.rrset.from_text("test.", self.ttl, "IN", "SOA", soa))
            if name not in names:
                response.set_rcode(dns.rcode.NXDOMAIN)
        return True

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        self.over_tcp += 1
        answer = self.answer(wire, 65535)
        if answer is not None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, table: DnsTable) -> None:
        self._table = table

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._table.answer(data, 1232)
        if answer is not None:
            asyncio.get_running_loop().call_later(self._table.delay, self._transport.sendto, answer, addr)
