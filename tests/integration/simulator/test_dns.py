"""dnspython's resolver against the running DNS server, over UDP and TCP."""

import json
import smtplib
import socket
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.resolver
import dns.reversename
import pytest

from simulator.state import SimulatorState


@pytest.fixture
def resolver(simulator: SimulatorState) -> dns.resolver.Resolver:
    """A foreign resolver that knows only the simulator."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [simulator.dns_address]
    resolver.port = simulator.dns_port
    resolver.lifetime = 5
    return resolver


@pytest.mark.parametrize("tcp", [False, True])
def test_every_published_host_takes_mail_for_its_domain(
    resolver: dns.resolver.Resolver, simulator: SimulatorState, tcp: bool
) -> None:
    for domain in ("gmail.sim", "hotmail.sim", "yahoo.sim", "icloud.sim", "gmx.sim", "acme-corp.sim", "small-200.sim"):
        for mx in resolver.resolve(domain, "MX", tcp=tcp):
            (address,) = [item.to_text() for item in resolver.resolve(mx.exchange, "A", tcp=tcp)]
            with smtplib.SMTP(address, simulator.smtp_port, "mta.test", timeout=5) as smtp:
                assert smtp.sendmail("b@demo.sim", [f"joe@{domain}"], "Subject: x\r\n\r\nx\r\n") == {}


def test_the_ways_a_name_can_fail(resolver: dns.resolver.Resolver) -> None:
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("nowhere.sim", "MX")
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve("gmail.sim", "AAAA")
    with pytest.raises(dns.resolver.NoNameservers):
        resolver.resolve("servfail.sim", "MX")
    resolver.lifetime = 0.3
    with pytest.raises(dns.exception.Timeout):
        resolver.resolve("dnstimeout.sim", "MX")


def test_pool_ips_have_names_that_lead_back(resolver: dns.resolver.Resolver) -> None:
    (pointer,) = resolver.resolve(dns.reversename.from_address("127.0.1.3"), "PTR")
    (address,) = resolver.resolve(pointer.target, "A")
    assert address.to_text() == "127.0.1.3"


def test_a_sender_domain_is_published_while_running(resolver: dns.resolver.Resolver, simulator_folder: Path) -> None:
    key = "v=DKIM1; k=rsa; p=" + "A" * 600
    name = "s1._domainkey.shop.demo"
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve(name, "TXT")
    zones = {
        name: {"TXT": [key]},
        "shop.demo": {"MX": ["10 inbound.shop.demo."], "TXT": ["v=spf1 ip4:127.0.1.0/24 -all"]},
    }
    (simulator_folder / "zones.json").write_text(json.dumps(zones))
    (record,) = resolver.resolve(name, "TXT")
    assert b"".join(record.strings).decode() == key
    (mx,) = resolver.resolve("shop.demo", "MX")
    assert mx.exchange.to_text() == "inbound.shop.demo."


def test_broken_packets_are_survived(simulator: SimulatorState) -> None:
    where = (simulator.dns_address, simulator.dns_port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in (b"", b"x", b"\x00" * 11, b"\xff" * 40, b"\x12\x34\x01\x00\x00\x05" + b"\x00" * 6):
            sender.sendto(packet, where)
    with socket.create_connection(where) as stream:
        stream.sendall(b"\x00\x05abcde")
        assert stream.recv(10) == b""
    query = dns.message.make_query("gmail.sim", "MX")
    assert len(dns.query.udp(query, where[0], port=where[1], timeout=5).answer) == 1
