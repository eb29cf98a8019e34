"""Answers DNS queries about the practice internet. Pure but for the zone file, whose changes it notices.

Authoritative for what it knows: records of the world, and of an extra zone file that others write (the demo publishes
its sender domain there). No recursion, no wildcards, no CNAME. RFC 1034 4.3.2, RFC 2308 (negative answers carry SOA),
RFC 7505 (null MX).
"""

import json
import logging
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

from simulator.world import FAILING_ZONES, SILENT_ZONES, Records

_log = logging.getLogger(__name__)

TTL_SECONDS = 30
EXTRA_TTL_SECONDS = 1
"""Of the zone file, which changes while people watch."""
_SOA = "ns1.practice.sim. hostmaster.practice.sim. 1 3600 600 86400 1"


class ZoneFileError(ValueError):
    """The zone file is not what it should be; the text says where."""


class Zone:
    """All records. `extra` is a JSON file `{name: {type: [values]}}`; it may be missing and may change."""

    def __init__(self, records: Records, extra: Path | None = None) -> None:
        self._own = records
        self._extra_file = extra
        self._extra: Records = {}
        self._stamp: tuple[int, int] | None = None
        self._names: frozenset[str] = frozenset()
        self._built: dict[tuple[str, str], dns.rrset.RRset] = {}
        self._index()

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """The response to one parsed query; None for names that never answer."""
        self.refresh()
        response = dns.message.make_response(query, recursion_available=False)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if _within(name, SILENT_ZONES):
            return None
        if _within(name, FAILING_ZONES):
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        response.flags |= dns.flags.AA
        records = self._find(name, dns.rdatatype.to_text(question.rdtype), question.name)
        if records is not None:
            response.answer.append(records)
            return response
        if name not in self._names:
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_text(_apex(question.name), 1, "IN", "SOA", _SOA))
        return response

    def refresh(self) -> None:
        """Read the zone file again if it changed. A broken file is reported and the last good content stays."""
        if self._extra_file is None:
            return
        stamp = _stamp(self._extra_file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._extra = read_zone_file(self._extra_file) if stamp is not None else {}
        except (ZoneFileError, OSError) as error:
            _log.warning("zone file %s: %s", self._extra_file, error)
            return
        self._index()

    def _index(self) -> None:
        """Every name that exists, those between included (RFC 8020: above an existing name nothing is NXDOMAIN)."""
        names: set[str] = set()
        for name in (*self._own, *self._extra):
            labels = name.split(".")
            names.update(".".join(labels[start:]) for start in range(len(labels)))
        self._names = frozenset(names)
        self._built.clear()

    def _find(self, name: str, kind: str, asked: dns.name.Name) -> dns.rrset.RRset | None:
        key = (name, kind)
        built = self._built.get(key)
        if built is None:
            extra = self._extra.get(name, {}).get(kind)
            values = extra or self._own.get(name, {}).get(kind)
            if not values:
                return None
            ttl = EXTRA_TTL_SECONDS if extra else TTL_SECONDS
            rdatas = [_rdata(kind, value) for value in values]
            built = self._built[key] = dns.rrset.from_rdata_list(dns.name.from_text(name), ttl, rdatas)
        if built.name.labels == asked.labels:
            return built
        # Resolvers that vary the case of a question (draft-vixie-dnsext-dns0x20) want it back as asked.
        return dns.rrset.from_rdata_list(asked, built.ttl, list(built))


def read_zone_file(path: Path) -> Records:
    """The records of a zone file, every value tried. Raises ZoneFileError that names the record, or OSError."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ZoneFileError(f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ZoneFileError("must be an object of names")
    records: Records = {}
    for name, types in content.items():
        if not isinstance(types, dict):
            raise ZoneFileError(f"{name}: must be an object of record types")
        for kind, values in types.items():
            own = records.setdefault(_checked_name(name), {})
            own[kind.upper()] = _checked_values(name, kind.upper(), values)
    return records


def _checked_name(name: str) -> str:
    try:
        return dns.name.from_text(name).to_text(omit_final_dot=True).lower()
    except dns.exception.DNSException as error:
        raise ZoneFileError(f"{name}: {error}") from error


def _checked_values(name: str, kind: str, values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ZoneFileError(f"{name} {kind}: must be a list of texts")
    for value in values:
        try:
            _rdata(kind, value)
        except (dns.exception.DNSException, ValueError) as error:
            raise ZoneFileError(f"{name} {kind} {value!r}: {error}") from error
    return list(values)


def _rdata(kind: str, value: str) -> dns.rdata.Rdata:
    """One value. TXT is given bare and cut into strings of 255 octets (RFC 7208 3.3, RFC 6376 3.6.2.2)."""
    if kind != "TXT":
        return dns.rdata.from_text("IN", kind, value, origin=dns.name.root, relativize=False)
    data = value.encode("utf-8")
    strings = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
    return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when the file does, None while there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _within(name: str, zones: tuple[str, ...]) -> bool:
    return any(name == zone or name.endswith("." + zone) for zone in zones)


def _apex(name: dns.name.Name) -> dns.name.Name:
    """The zone a negative answer speaks for: the last two labels, or fewer if the name has no more."""
    return dns.name.Name(name.labels[-3:]) if len(name.labels) > 3 else name
