"""One question to one name server, over UDP and after truncation over TCP, as bytes as far as that goes.

Most answers hold the records that were asked for, of the very name. Those are read here, record by record with
dnspython's readers; making its query and its message objects takes five times as long (decision 0028). What any other
answer means is dnspython's to say.
"""

import asyncio
import contextlib
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Final

import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.name
import dns.rdata
from dns.rdata import Rdata
from dns.rdataclass import IN
from dns.rdatatype import OPT, RdataType

UDP_PAYLOAD: Final = 1232
"""EDNS buffer size that needs no fragments (DNS flag day 2020)."""

_LARGEST: Final = 65_535
_HEAD: Final = struct.Struct("!HHHHHH")
"""Id, flags, and the counts of questions, answers, authorities and additional records (RFC 1035 section 4.1.1)."""
_ASKS: Final = 0x0100
"""Flags of a question: recursion desired."""
_JUDGED: Final = 0xFA0F
_PLAIN: Final = 0x8000
"""Of the flags that are judged (response, kind of message, truncated, code) only that it is a response."""
_EDNS: Final = struct.pack("!BHHIH", 0, OPT, UDP_PAYLOAD, 0, 0)
_RECORD: Final = struct.Struct("!HHHIH")
"""Name as a pointer, type, class, TTL, length."""
_SAME_NAME: Final = 0xC000 | _HEAD.size
"""Pointer to the name of the question (RFC 1035 section 4.1.4)."""
_LONGEST_TTL: Final = 0x7FFF_FFFF
"""Above it a TTL counts as 0 (RFC 2181 section 8)."""


@dataclass(frozen=True, slots=True)
class Found:
    """The records that were asked for, and the least of their TTLs in seconds."""

    records: tuple[Rdata, ...]
    ttl: int


class Question:
    """A name and a type, to be asked of any number of servers."""

    def __init__(self, name: str, kind: RdataType) -> None:
        """`name` without dot at the end. DNSException or UnicodeError when it cannot stand in DNS."""
        self._name = dns.name.from_text(name + ".")
        self._kind = kind
        self._section = self._name.to_digestable() + struct.pack("!HH", kind, IN)
        self._id = secrets.randbits(16)
        self.edns = True
        """False for a server from before EDNS."""

    async def ask(self, server: tuple[str, int], seconds: float) -> Found | dns.message.Message:
        """What one server answers. What does not answer this question, or cannot be read, is not heard.

        TimeoutError, OSError; by TCP DNSException and EOFError too.
        """
        try:
            return await self._by_udp(server, seconds)
        except dns.message.Truncated:
            address, port = server
            return await dns.asyncquery.tcp(self._message(), address, seconds, port)

    async def _by_udp(self, server: tuple[str, int], seconds: float) -> Found | dns.message.Message:
        """Each time from a new port of the system's choice: nobody can guess where to send a forged answer to."""
        loop = asyncio.get_running_loop()
        family = dns.inet.af_for_address(server[0])
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(dns.inet.low_level_address_tuple(server, family))  # from now on nobody else is heard
            sock.send(self.wire())
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(ConnectionRefusedError):  # being started anew? The next round finds it
                        answer = self.read(await loop.sock_recv(sock, _LARGEST))
                        if answer is not None:
                            return answer
                    await asyncio.sleep(0)  # while datagrams are at hand, to receive one gives nobody else a turn

    def wire(self) -> bytes:
        """As it is sent."""
        head = _HEAD.pack(self._id, _ASKS, 1, 0, 0, int(self.edns))
        return head + self._section + (_EDNS if self.edns else b"")

    def read(self, wire: bytes) -> Found | dns.message.Message | None:
        """A datagram; None when it is no answer to this question. Raises `dns.message.Truncated`."""
        try:
            return self._plain(wire) or self._any(wire)
        except dns.message.Truncated as error:
            if self._message().is_response(error.message()):  # type: ignore[no-untyped-call]  # dnspython has none
                raise
        except dns.exception.DNSException:
            pass
        return None

    def _plain(self, wire: bytes) -> Found | None:
        """None when there is more to it than records of the name and type that were asked for."""
        at = _HEAD.size + len(self._section)
        if wire[_HEAD.size : at] != self._section:
            return None
        ident, flags, _, answers, _, _ = _HEAD.unpack_from(wire)
        if ident != self._id or flags & _JUDGED != _PLAIN or not answers:
            return None
        records, least = [], _LONGEST_TTL
        for _ in range(answers):
            if len(wire) < at + _RECORD.size:
                return None
            *of, ttl, length = _RECORD.unpack_from(wire, at)
            if of != [_SAME_NAME, self._kind, IN]:
                return None
            at += _RECORD.size
            records.append(dns.rdata.from_wire(IN, self._kind, wire, at, length))
            at += length
            least = min(least, ttl if ttl <= _LONGEST_TTL else 0)
        return Found(tuple(records) if answers == 1 else tuple(dict.fromkeys(records)), least)

    def _any(self, wire: bytes) -> dns.message.Message | None:
        message = dns.message.from_wire(wire, raise_on_truncation=True)
        return message if self._message().is_response(message) else None

    def _message(self) -> dns.message.QueryMessage:
        message = dns.message.make_query(self._name, self._kind, id=self._id)
        if self.edns:
            message.use_edns(0, payload=UDP_PAYLOAD)
        return message
