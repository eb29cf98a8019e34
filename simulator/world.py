"""The map of the practice internet: providers, mail hosts, recipient domains, and the DNS records that follow.

Pure but for its own data file: `build_world` makes it from that and the choice of one or many loopback addresses. Never
listens and never decides about a mail. `simulator/main.py` builds it; DNS, SMTP and the state file read it.

Addresses: large providers 127.0.0.11 to .19, odd hosts 127.0.0.21 to .28 and ::1, small hosts 127.0.2.1 to .164;
pool IPs are the client's business and live on 127.0.1.x. Nothing ever listens on 127.0.0.9 ("dead").
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.model import Door, MailDomain, MxHost, TlsKind

PROVIDERS_FILE = Path(__file__).with_name("providers.toml")
ONLY_ADDRESS = "127.0.0.1"
ONLY_ADDRESS6 = "::1"
"""IPv6 has no other loopback address: whoever is reached by IPv6 lives here."""
DEAD_ADDRESS = "127.0.0.9"
SMALL_DOMAINS = 200
SMALL_OWN_HOSTS = 160
"""small-001 to small-160 have a mail host each; the rest share four hosts, ten domains on each."""

Records = dict[str, dict[str, list[str]]]
"""Name without closing dot → record type → values in presentation form; TXT values are the bare text."""

_BIG_HOSTS = (
    MxHost("mx1.google.sim", "127.0.0.11", "gmail", "gmail", chunking=True),
    MxHost("mx2.google.sim", "127.0.0.12", "gmail", "gmail", chunking=True),
    MxHost("mx1.outlook-mx.sim", "127.0.0.13", "microsoft", "microsoft", chunking=True),
    MxHost("corp.outlook-mx.sim", "127.0.0.14", "microsoft", "microsoft", chunking=True),
    MxHost("mx1.yahoodns.sim", "127.0.0.15", "yahoo", "yahoo"),
    MxHost("mx2.yahoodns.sim", "127.0.0.16", "yahoo", "yahoo"),
    MxHost("mx1.apple-mx.sim", "127.0.0.17", "apple", "apple"),
    MxHost("mx1.gmx-mx.sim", "127.0.0.18", "gmx", "gmx"),
    MxHost("mx2.gmx-mx.sim", "127.0.0.19", "gmx", "gmx"),
)
_ODD_HOSTS = (
    MxHost("mx.brokentls.sim", "127.0.0.21", "odd", "small", TlsKind.BROKEN),
    MxHost("mx.selfsigned.sim", "127.0.0.22", "odd", "small", TlsKind.SELF_SIGNED),
    MxHost("mx.plain.sim", "127.0.0.23", "odd", "small", TlsKind.NONE),
    MxHost("nomx.sim", "127.0.0.24", "odd", "small"),
    MxHost("mx2.firstdead.sim", "127.0.0.25", "odd", "small"),
    MxHost("mx.tlsonly.sim", "127.0.0.26", "odd", "small", TlsKind.REQUIRED),
    MxHost("mx.sevenbit.sim", "127.0.0.27", "odd", "small", eight_bit=False),
)
_IPV6_HOSTS = (
    MxHost("mx.six.sim", ONLY_ADDRESS6, "odd", "small"),
    MxHost("mx.both.sim", "127.0.0.28", "odd", "small", address6=ONLY_ADDRESS6),
)
_GMAIL_MX = ((5, "mx1.google.sim"), (10, "mx2.google.sim"))
_CORP_MX = ((0, "corp.outlook-mx.sim"),)
_DOMAINS = (
    MailDomain("gmail.sim", "gmail", "gmail", _GMAIL_MX),
    MailDomain("outlook.sim", "microsoft", "microsoft", ((2, "mx1.outlook-mx.sim"),)),
    MailDomain("hotmail.sim", "microsoft", "microsoft", ((2, "mx1.outlook-mx.sim"),)),
    MailDomain("yahoo.sim", "yahoo", "yahoo", ((1, "mx1.yahoodns.sim"), (1, "mx2.yahoodns.sim"))),
    MailDomain("icloud.sim", "apple", "apple", ((10, "mx1.apple-mx.sim"),)),
    MailDomain("gmx.sim", "gmx", "gmx", ((10, "mx1.gmx-mx.sim"), (10, "mx2.gmx-mx.sim"))),
    *(
        MailDomain(name, "gmail", "gmail", _GMAIL_MX)
        for name in ("acme-corp.sim", "birch-bakery.sim", "delta-legal.sim", "harbor-books.sim")
    ),
    *(
        MailDomain(name, "microsoft", "microsoft", _CORP_MX)
        for name in ("contour-bank.sim", "lumen-clinic.sim", "orchard-school.sim", "summit-freight.sim")
    ),
    MailDomain("brokentls.sim", "odd", "small", ((10, "mx.brokentls.sim"),)),
    MailDomain("selfsigned.sim", "odd", "small", ((10, "mx.selfsigned.sim"),)),
    MailDomain("plain.sim", "odd", "small", ((10, "mx.plain.sim"),)),
    MailDomain("nomx.sim", "odd", "small", ()),
    MailDomain("firstdead.sim", "odd", "small", ((5, "mx1.firstdead.sim"), (10, "mx2.firstdead.sim"))),
    MailDomain("tlsonly.sim", "odd", "small", ((10, "mx.tlsonly.sim"),)),
    MailDomain("sevenbit.sim", "odd", "small", ((10, "mx.sevenbit.sim"),)),
)
_IPV6_DOMAINS = (
    MailDomain("six.sim", "odd", "small", ((10, "mx.six.sim"),)),
    MailDomain("both.sim", "odd", "small", ((10, "mx.both.sim"),)),
)
_DEAD_RECORDS: Records = {
    "nullmx.sim": {"MX": ["0 ."]},
    "mx1.firstdead.sim": {"A": [DEAD_ADDRESS]},
    "dead.sim": {"MX": ["10 mx.dead.sim."]},
    "mx.dead.sim": {"A": [DEAD_ADDRESS]},
    "private.sim": {"MX": ["10 mx.private.sim."]},
    "mx.private.sim": {"A": ["10.11.12.13"]},
    "danglingmx.sim": {"MX": ["10 gone.danglingmx.sim."]},
}
FAILING_ZONES = ("servfail.sim",)
"""Answered with SERVFAIL, names below included."""
SILENT_ZONES = ("dnstimeout.sim",)
"""Never answered."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that exists. Keys are lower-case names without a closing dot."""

    ehlo_mode: bool
    """All mail hosts share 127.0.0.1: providers are told by recipient, clients by EHLO name."""
    hosts: Mapping[str, MxHost]
    domains: Mapping[str, MailDomain]
    doors: tuple[Door, ...]
    records: Records


def build_world(*, single_address: bool, ipv6: bool = False) -> World:
    """The whole map; with `single_address` every mail host lives on 127.0.0.1 behind one door. With `ipv6` there are
    also `six.sim`, which has nothing else, and `both.sim`; not together with `single_address`."""
    hosts, domains = _everything(ipv6=ipv6 and not single_address)
    if single_address:
        hosts = [replace(host, address=ONLY_ADDRESS) for host in hosts]
        doors: tuple[Door, ...] = (
            Door(ONLY_ADDRESS, "mx.practice.sim", "small", None, frozenset(d.name for d in domains)),
        )
    else:
        doors = _doors(hosts, domains)
    return World(
        ehlo_mode=single_address,
        hosts={host.name: host for host in hosts},
        domains={domain.name: domain for domain in domains},
        doors=doors,
        records=_records(hosts, domains),
    )


def mx_suffixes() -> dict[str, list[str]]:
    """Provider → ends of its MX host names, from `providers.toml`."""
    table = tomllib.loads(PROVIDERS_FILE.read_text("utf-8"))["provider"]
    return {name: list(entry["mx_suffixes"]) for name, entry in table.items()}


def _everything(*, ipv6: bool) -> tuple[list[MxHost], list[MailDomain]]:
    hosts = [*_BIG_HOSTS, *_ODD_HOSTS, *(_IPV6_HOSTS if ipv6 else ())]
    domains = [*_DOMAINS, *(_IPV6_DOMAINS if ipv6 else ())]
    for number in range(1, SMALL_DOMAINS + 1):
        host = _small_host(number)
        if host not in hosts:
            hosts.append(host)
        domains.append(MailDomain(f"small-{number:03}.sim", "small", "small", ((10, host.name),)))
    return hosts, domains


def _small_host(number: int) -> MxHost:
    """The mail host of small domain `number`, counted from 1. Every second one offers CHUNKING."""
    if number <= SMALL_OWN_HOSTS:
        name, address = f"mail.small-{number:03}.sim", f"127.0.2.{number}"
        return MxHost(name, address, "small", "small", chunking=number % 2 == 0)
    shared = (number - SMALL_OWN_HOSTS - 1) // 10 + 1
    return MxHost(f"mx.hosting-{shared}.sim", f"127.0.2.{SMALL_OWN_HOSTS + shared}", "small", "small")


def _doors(hosts: list[MxHost], domains: list[MailDomain]) -> tuple[Door, ...]:
    served: dict[str, set[str]] = {}
    for domain in domains:
        for name in [name for _, name in domain.mx] or [domain.name]:
            served.setdefault(name, set()).add(domain.name)
    at: dict[str, list[MxHost]] = {}
    for host in hosts:
        for address in filter(None, (host.address, host.address6)):
            at.setdefault(address, []).append(host)
    doors = []
    for address, sharing in at.items():
        names = frozenset[str]().union(*(served.get(host.name, set()) for host in sharing))
        first = sharing[0]
        offered = (first.tls, first.eight_bit, first.chunking)
        doors.append(Door(address, first.name, first.style, first.provider, names, *offered))
    return tuple(doors)


def _records(hosts: list[MxHost], domains: list[MailDomain]) -> Records:
    records: Records = {name: {kind: list(v) for kind, v in types.items()} for name, types in _DEAD_RECORDS.items()}
    for domain in domains:
        own = records.setdefault(domain.name, {})
        if domain.mx:
            own["MX"] = [f"{preference} {host}." for preference, host in domain.mx]
        own["TXT"] = ["v=spf1 mx -all"]
        records[f"_dmarc.{domain.name}"] = {"TXT": ["v=DMARC1; p=reject"]}
    for host in hosts:
        for address in filter(None, (host.address, host.address6)):
            records.setdefault(host.name, {})["AAAA" if ":" in address else "A"] = [address]
    for last in range(1, 255):
        records[f"{last}.1.0.127.in-addr.arpa"] = {"PTR": [f"mta-{last}.pool.sim."]}
        records[f"mta-{last}.pool.sim"] = {"A": [f"127.0.1.{last}"]}
    return records
