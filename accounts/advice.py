"""What receivers look up about a sender domain beside the records that we need: is it there, and what follows from it?

Nothing here is a condition of sending, and nothing is stored: DMARC's policy, MTA-STS (RFC 8461), TLS reports (RFC
8460), BIMI, and the names of our sending IPs. `look_around` asks DNS, `judge` is pure.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from accounts import dmarc
from accounts.asking import answers_of
from store.database import Connection

MTA_STS: Final = "_mta-sts."
TLS_REPORTS: Final = "_smtp._tls."
BIMI: Final = "default._bimi."
_MOST_IPS: Final = 50


class Standing(StrEnum):
    """How something stands."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that was looked up."""

    topic: str
    """`dmarc`, `mta_sts`, `tls_reports`, `bimi` or `ptr`."""
    name: str
    """What was asked: a name, or an IP."""
    standing: Standing
    found: str
    """What is there, "" for nothing."""
    says: str
    """What follows, in sentences."""


@dataclass(frozen=True, slots=True)
class EgressName:
    """A sending IP, and the name it says it has."""

    address: str
    ehlo: str


@dataclass(frozen=True, slots=True)
class Around:
    """What DNS said. A missing name means that nobody answered."""

    txt: Mapping[str, Sequence[str]]
    ptr: Mapping[str, Sequence[str]]
    addresses: Mapping[str, Sequence[str]]


class Lookup(Protocol):
    """The questions this module asks; `mta.resolve.Resolver` answers them. All raise UnavailableError."""

    async def txt(self, name: str) -> list[str]: ...

    async def ptr(self, address: str) -> list[str]: ...

    async def addresses(self, name: str) -> list[str]: ...


async def egress_names(connection: Connection) -> list[EgressName]:
    """Of the IPs that send, but for relays: those are somebody else's."""
    cursor = await connection.execute(
        "SELECT address, ehlo_name FROM egress_ips WHERE active AND connections IS NULL ORDER BY address LIMIT %s",
        [_MOST_IPS],
    )
    return [EgressName(*row) for row in await cursor.fetchall()]


async def look_around(lookup: Lookup, domain: str, ips: Sequence[EgressName], within: float) -> list[Advice]:
    """All of it, side by side, within so many seconds."""
    names = [dmarc.PREFIX + name for name in dmarc.tree(domain)]
    names += [prefix + domain for prefix in (MTA_STS, TLS_REPORTS, BIMI)]
    txt, ptr, addresses = await asyncio.gather(
        answers_of({name: lookup.txt(name) for name in names}, within),
        answers_of({ip.address: lookup.ptr(ip.address) for ip in ips}, within),
        answers_of({name: lookup.addresses(name) for name in {ip.ehlo for ip in ips}}, within),
    )
    return judge(domain, ips, Around(txt, ptr, addresses))


def judge(domain: str, ips: Sequence[EgressName], around: Around) -> list[Advice]:
    """One line for each topic, and one for each IP."""
    policy = _policy(domain, around)
    return [
        policy,
        _text("bimi", BIMI + domain, "BIMI1", around, _bimi(policy)),
        _text("mta_sts", MTA_STS + domain, "STSv1", around, _MTA_STS),
        _text("tls_reports", TLS_REPORTS + domain, "TLSRPTv1", around, _TLS_REPORTS),
        *(_named(ip, around) for ip in ips),
    ]


_DMARC: Final = {
    "none": "Whoever forges this domain is not stopped: p=none only asks for reports. When reports (rua=) show for some"
    " weeks that all of your own mail passes, go on to p=quarantine.",
    "quarantine": "Mail that forges this domain goes to spam.",
    "reject": "Mail that forges this domain is refused.",
}
_NO_DMARC: Final = (
    "Gmail, Yahoo and Microsoft want a DMARC record from everybody who sends 5,000 mails a day or more. p=none is"
    " enough for them, and stops nothing."
)
_MTA_STS: Final = (
    "It asks others to insist on TLS when they write to you. Your own mail is judged no differently.",
    "Others are not asked to insist on TLS when they write to you. Nothing about mail that you send depends on it.",
)
_TLS_REPORTS: Final = (
    "Others report to you when TLS to your servers fails.",
    "Nobody reports to you when TLS to your servers fails. Mail that you send does not depend on it.",
)


def _policy(domain: str, around: Around) -> Advice:
    name = dmarc.PREFIX + domain
    discovery = dmarc.discover(domain, around.txt)
    if discovery.silent:
        return _silent("dmarc", discovery.silent)
    record = discovery.record
    if record is None:
        return Advice("dmarc", name, Standing.MISSING, "", _NO_DMARC)
    at, policy = dmarc.PREFIX + record.domain, record.policy
    found = "; ".join(around.txt.get(at, ()))
    if not policy:
        return Advice("dmarc", at, Standing.WRONG, found, "It has no valid p=: receivers act as if it was not there.")
    above = "" if record.domain == domain else f" It stands at {record.domain}, and holds for this domain too."
    return Advice("dmarc", at, Standing.GOOD, found, _DMARC[policy] + above)


def _bimi(policy: Advice) -> tuple[str, str]:
    strict = policy.standing is Standing.GOOD and policy.says.startswith("Mail that forges")
    shown = (
        "Your logo may be shown beside your mail; Gmail and Apple want a certificate for it (a=)."
        if strict
        else "It has no effect yet: a logo is shown only where DMARC says p=quarantine or p=reject."
    )
    return shown, "No logo is shown beside your mail. Nothing else depends on it."


def _text(topic: str, name: str, version: str, around: Around, says: tuple[str, str]) -> Advice:
    """A record that is there, or not. `says`: what follows from each."""
    texts = around.txt.get(name)
    if texts is None:
        return _silent(topic, name)
    known = [text for text in texts if dmarc.tags_of(text).get("v") == version]
    if len(known) > 1:
        return Advice(topic, name, Standing.WRONG, "\n".join(known), "There are several, so none counts. Leave one.")
    if not known:
        return Advice(topic, name, Standing.MISSING, "", says[1])
    return Advice(topic, name, Standing.GOOD, known[0], says[0])


def _named(ip: EgressName, around: Around) -> Advice:
    """Both ways: the IP's name, and that name's address. Large providers refuse an IP without."""
    names, back = around.ptr.get(ip.address), around.addresses.get(ip.ehlo)
    if names is None or back is None:
        return _silent("ptr", ip.address)
    wanted = ip.ehlo.lower()
    if wanted in [name.lower() for name in names] and ip.address in back:
        return Advice("ptr", ip.address, Standing.GOOD, wanted, "Its name leads to it and back, as providers want.")
    to_do = f"Its PTR has to be {wanted} (who rents you the IP sets it), and {wanted} has to have the address"
    standing = Standing.WRONG if names else Standing.MISSING
    return Advice("ptr", ip.address, standing, ", ".join(names), f"{to_do} {ip.address}.")


def _silent(topic: str, name: str) -> Advice:
    return Advice(topic, name, Standing.SILENT, "", "No name server answered in time. Look again in a minute.")
