"""DNS answers from the map and the zone file, and arbitrary packets."""

import json
import os
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.dns_server import respond
from simulator.dns_zone import Zone, ZoneFileError, read_zone_file
from simulator.world import build_world

ZONE = Zone(build_world(single_address=False).records)


def ask(name: str, kind: str, zone: Zone = ZONE) -> tuple[str, list[str]]:
    """Response code and the values of the answer."""
    response = zone.answer(dns.message.make_query(name, kind))
    assert response is not None
    assert response.flags & dns.flags.AA or response.rcode() == dns.rcode.SERVFAIL
    return dns.rcode.to_text(response.rcode()), sorted(item.to_text() for rrset in response.answer for item in rrset)


@pytest.mark.parametrize(
    ("name", "kind", "code", "values"),
    [
        ("gmail.sim", "MX", "NOERROR", ["10 mx2.google.sim.", "5 mx1.google.sim."]),
        ("GMail.SIM", "MX", "NOERROR", ["10 mx2.google.sim.", "5 mx1.google.sim."]),
        ("acme-corp.sim", "MX", "NOERROR", ["10 mx2.google.sim.", "5 mx1.google.sim."]),
        ("contour-bank.sim", "MX", "NOERROR", ["0 corp.outlook-mx.sim."]),
        ("mx1.google.sim", "A", "NOERROR", ["127.0.0.11"]),
        ("mx1.google.sim", "AAAA", "NOERROR", []),
        ("nullmx.sim", "MX", "NOERROR", ["0 ."]),
        ("nomx.sim", "MX", "NOERROR", []),
        ("nomx.sim", "A", "NOERROR", ["127.0.0.24"]),
        ("_dmarc.gmail.sim", "TXT", "NOERROR", ['"v=DMARC1; p=reject"']),
        ("3.1.0.127.in-addr.arpa", "PTR", "NOERROR", ["mta-3.pool.sim."]),
        ("mta-3.pool.sim", "A", "NOERROR", ["127.0.1.3"]),
        ("pool.sim", "A", "NOERROR", []),
        ("nowhere.sim", "MX", "NXDOMAIN", []),
        ("example.com", "A", "NXDOMAIN", []),
        ("servfail.sim", "MX", "SERVFAIL", []),
        ("below.servfail.sim", "A", "SERVFAIL", []),
    ],
)
def test_answers(name: str, kind: str, code: str, values: list[str]) -> None:
    assert ask(name, kind) == (code, values)


def test_a_negative_answer_carries_soa_and_a_silent_zone_says_nothing() -> None:
    response = ZONE.answer(dns.message.make_query("nowhere.sim", "A"))
    assert response is not None
    assert [rrset.rdtype.name for rrset in response.authority] == ["SOA"]
    assert ZONE.answer(dns.message.make_query("dnstimeout.sim", "MX")) is None


def test_the_zone_file_adds_replaces_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "zones.json"
    zone = Zone(build_world(single_address=False).records, file)
    name = "s1._domainkey.demo.example"
    assert ask(name, "TXT", zone)[0] == "NXDOMAIN"
    key = "v=DKIM1; p=" + "A" * 400
    file.write_text(json.dumps({name: {"TXT": [key]}, "gmail.sim": {"MX": ["1 mx.demo.example."]}}))
    code, values = ask(name, "TXT", zone)
    assert code == "NOERROR"
    assert values[0].replace('" "', "").strip('"') == key
    assert ask("gmail.sim", "MX", zone)[1] == ["1 mx.demo.example."]
    assert ask("demo.example", "A", zone) == ("NOERROR", [])
    file.write_text("{broken")
    os.utime(file, ns=(1, 1))
    assert ask(name, "TXT", zone)[0] == "NOERROR"
    file.unlink()
    assert ask(name, "TXT", zone)[0] == "NXDOMAIN"


@pytest.mark.parametrize(
    "content",
    [[], {"a.sim": []}, {"a.sim": {"A": "127.0.0.1"}}, {"a.sim": {"A": ["no address"]}}, {"a..sim": {"A": []}},
     {"a.sim": {"NOTYPE": ["x"]}}, {"a.sim": {"MX": [1]}}],
)  # fmt: skip
def test_a_wrong_zone_file_is_named(tmp_path: Path, content: object) -> None:
    file = tmp_path / "zones.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ZoneFileError):
        read_zone_file(file)


@given(st.binary(max_size=80), st.integers(0, 60), st.binary(max_size=4))
def test_no_packet_breaks_it(noise: bytes, at: int, patch: bytes) -> None:
    respond(ZONE, noise, limit=1232)
    packet = bytearray(dns.message.make_query("gmail.sim", "MX", use_edns=True).to_wire())
    packet[at : at + len(patch)] = patch
    answer = respond(ZONE, bytes(packet), limit=1232)
    assert answer is None or len(answer) >= 12


def test_a_long_answer_is_cut_on_udp_and_whole_on_tcp(tmp_path: Path) -> None:
    file = tmp_path / "zones.json"
    file.write_text(json.dumps({"long.sim": {"TXT": ["x" * 1000]}}))
    zone = Zone({}, file)
    packet = dns.message.make_query("long.sim", "TXT").to_wire()
    short = respond(zone, packet, limit=1232)
    whole = respond(zone, packet, limit=65535)
    assert short is not None
    assert whole is not None
    assert len(short) <= 512
    assert dns.message.from_wire(short).flags & dns.flags.TC
    assert not dns.message.from_wire(whole).flags & dns.flags.TC
