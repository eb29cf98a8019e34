"""The DNS records of a sender domain: what its owner has to publish, in copyable form. Pure.

Decides names and values only; whether they are published is for `accounts/verify`.

Which records, and why:

- **DKIM, RSA-2048** (RFC 6376): required. Every verifier knows RSA (RFC 8301 section 3), and a key under the domain is
  the proof that whoever registered the domain here controls it: selectors are random, so nobody can reuse a record.
- **DKIM, Ed25519** (RFC 8463): recommended. Short; verifiers that do not know it pass over the signature.
- **MX of the return path**: required, or bounces get lost and dead addresses are mailed for ever.
- **SPF of the return path** (RFC 7208): required. Large providers want SPF *and* DKIM from senders of bulk, and the
  return path is below the sender domain, so that SPF is aligned for DMARC (RFC 7489 section 3.1.2).
- **CNAME of the tracking host**: only for a domain that has one. Until it is there, links of tracked mail lead to our
  own public name first.
- **DMARC** (RFC 7489): recommended here, since an organisation's own policy may stand at a parent domain and is its
  owner's business; large providers want at least `p=none` from bulk senders.

The SPF record names `_spf.<hostname>` and no IP addresses: pools grow and change, and a new IP must not need a change
in the DNS of every sender domain. The operator publishes that one record (`operator_spf`). `a:<hostname>` would do only
while every sending IP is also an address of the machine that receives bounces.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from mta.sign import Algorithm, dns_record

MX_PRIORITY: Final = 10
_STRING: Final = 255
"""Octets of one string in a TXT record (RFC 1035 section 3.3)."""
_ZONE_TTL: Final = 3600


class RecordKind(StrEnum):
    """Which record; also the key under which its last check is stored."""

    DKIM_RSA = "dkim_rsa"
    DKIM_ED25519 = "dkim_ed25519"
    RETURN_PATH_MX = "return_path_mx"
    SPF = "spf"
    DMARC = "dmarc"
    TRACKING = "tracking"
    COMING_RSA = "dkim_rsa_coming"
    COMING_ED25519 = "dkim_ed25519_coming"


REQUIRED: Final = frozenset({RecordKind.DKIM_RSA, RecordKind.RETURN_PATH_MX, RecordKind.SPF})
"""What a domain needs to be verified; the reasons stand above."""


HELD: Final = REQUIRED - {RecordKind.SPF}
"""What a verified domain must keep: SPF changes with our own IPs."""

COMING: Final = MappingProxyType(
    {RecordKind.DKIM_RSA: RecordKind.COMING_RSA, RecordKind.DKIM_ED25519: RecordKind.COMING_ED25519}
)
"""The record of a key, and that of the one that shall follow it (`accounts/rotation`)."""

DKIM_KINDS: Final = frozenset({*COMING, *COMING.values()})


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a DKIM key."""

    selector: str
    algorithm: str
    """`rsa` or `ed25519`."""
    public_key: str
    """Base64, as it stands in `p=`."""
    made_at: datetime | None = None
    retired_at: datetime | None = None
    """Since when nothing is signed with it."""


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One record to publish."""

    kind: RecordKind
    name: str
    """Full name, without a dot at the end."""
    type: str
    """`TXT`, `MX` or `CNAME`."""
    value: str
    """Of a TXT record all its text, not cut into strings."""
    priority: int | None = None

    @property
    def required(self) -> bool:
        """Without it the domain is not verified."""
        return self.kind in REQUIRED

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file, long text cut into strings (RFC 1035 section 5.1)."""
        data = _strings(self.value) if self.type == "TXT" else f"{self.value}."
        if self.priority is not None:
            data = f"{self.priority} {data}"
        return f"{self.name}. {_ZONE_TTL} IN {self.type} {data}"


@dataclass(frozen=True, slots=True)
class Alias:
    """The tracking host of a sender domain, and the name of our public pages that it has to lead to."""

    name: str
    target: str


def domain_records(
    name: str,
    return_path_domain: str,
    keys: Iterable[PublicKey],
    hostname: str,
    tracking: Alias | None = None,
    coming: Iterable[PublicKey] = (),
) -> list[DnsRecord]:
    """What the owner of `name` publishes, in the order to show. `hostname` is this server's public name; `coming` are
    the keys that shall follow."""
    return [
        *_dkim_records(name, keys),
        DnsRecord(RecordKind.RETURN_PATH_MX, return_path_domain, "MX", hostname, MX_PRIORITY),
        DnsRecord(RecordKind.SPF, return_path_domain, "TXT", f"v=spf1 include:{spf_name(hostname)} -all"),
        DnsRecord(RecordKind.DMARC, f"_dmarc.{name}", "TXT", "v=DMARC1; p=none"),
        *([DnsRecord(RecordKind.TRACKING, tracking.name, "CNAME", tracking.target)] if tracking else []),
        *(replace(record, kind=COMING[record.kind]) for record in _dkim_records(name, coming)),
    ]


def spf_name(hostname: str) -> str:
    """Where the operator lists the sending IPs."""
    return f"_spf.{hostname}"


def operator_spf(hostname: str, addresses: Sequence[str]) -> DnsRecord:
    """The operator's own record, one for all sender domains: every sending IP, and nobody else."""
    terms = [f"ip{address.version}:{address}" for address in sorted({ip_address(text) for text in addresses}, key=str)]
    return DnsRecord(RecordKind.SPF, spf_name(hostname), "TXT", " ".join(["v=spf1", *terms, "-all"]))


def _dkim_records(name: str, keys: Iterable[PublicKey]) -> list[DnsRecord]:
    """RSA first."""
    return sorted((_dkim(name, key) for key in keys), key=lambda one: one.kind is not RecordKind.DKIM_RSA)


def _dkim(name: str, key: PublicKey) -> DnsRecord:
    rsa = key.algorithm == "rsa"
    value = dns_record(key.public_key, Algorithm.RSA if rsa else Algorithm.ED25519)
    kind = RecordKind.DKIM_RSA if rsa else RecordKind.DKIM_ED25519
    return DnsRecord(kind, f"{key.selector}._domainkey.{name}", "TXT", value)


def _strings(text: str) -> str:
    """`text` as quoted strings of at most 255 octets; our values are ASCII without quotation marks."""
    return " ".join(f'"{text[start : start + _STRING]}"' for start in range(0, len(text), _STRING))
