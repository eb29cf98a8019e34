"""Are the records of a sender domain published? Asks DNS, judges the answers, stores the result.

`verify_domain` is the whole of it, `look` its part that stores nothing; the judging below is pure. New keys whose
records are found take over (`accounts/rotation`). Never changes names, and never waits longer than it is told: a name
server that is silent makes a record `temporary_failure`, which is no reason to stop a domain that was verified.

A record is `verified`, `pending` (not there yet), `failed` (something else is there), `temporary_failure` (no answer).
A domain is `verified` when every required record is (`accounts/records` says which and why), otherwise `failed` or
`pending`. One that was verified keeps that while DNS is silent; when records are gone it is a `temporary_failure`. In a
check that nobody asked for, only what was gone at the check before counts, and SPF alone takes nothing away: it depends
on the operator's IPs too, and a new IP may not stop the mail of all domains, which DKIM authenticates as before.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from accounts import dmarc, rotation
from accounts.asking import answers_of
from accounts.audit import Actor
from accounts.domain import Domain, RecordCheck
from accounts.proof import refused_signatures
from accounts.records import (
    DKIM_KINDS,
    HELD,
    REQUIRED,
    Alias,
    DnsRecord,
    PublicKey,
    RecordKind,
    domain_records,
    operator_spf,
    spf_name,
)
from accounts.repository import domain_by_id, sending_addresses, store_checks
from accounts.senders import Sender, coming_keys, load_sender
from accounts.tracking_host import certificate_trouble
from core.errors import ConfigurationError
from core.logs import get_logger
from core.secrets import InstanceSecret
from core.settings import Settings
from mta.dns_client import DnsSettings
from mta.providers import Providers, load_providers
from mta.resolve import Resolver
from mta.sign import DkimKey
from store.database import Connection, Database

CHECK_SECONDS: Final = 5.0
"""For all questions together, asked side by side: a person waits for the answer."""

_LONGEST_FOUND: Final = 1000
"""Characters that are kept of what stands in the place of a record."""
_ITSELF: Final = Actor("postlane", "worker")

_log = get_logger(__name__)

_UNCACHED: Final = DnsSettings(min_ttl=0, max_ttl=0, negative_ttl=0, failure_ttl=0)


class CheckStatus(StrEnum):
    """How one record stands."""

    VERIFIED = "verified"
    PENDING = "pending"
    FAILED = "failed"
    TEMPORARY_FAILURE = "temporary_failure"


class Lookup(Protocol):
    """The questions this module asks; `mta.resolve.Resolver` answers them. All raise UnavailableError."""

    async def txt(self, name: str) -> list[str]: ...

    async def mx(self, name: str) -> list[tuple[int, str]]: ...

    async def cname(self, name: str) -> list[str]: ...

    async def addresses(self, name: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class DnsAnswers:
    """What DNS said, by name. A missing name means that nobody answered."""

    txt: Mapping[str, list[str]]
    mx: Mapping[str, list[tuple[int, str]]]
    cname: Mapping[str, list[str]] = field(default_factory=dict)
    addresses: Mapping[str, list[str]] = field(default_factory=dict)
    """Of tracking hosts, and of what they should lead to."""


def fresh_resolver(settings: Settings) -> Resolver:
    """A resolver that remembers nothing: whoever has just published a record does not want yesterday's answer."""
    return Resolver(_no_matter_which(), settings.dns_servers, settings=_UNCACHED)


@lru_cache(maxsize=1)
def _no_matter_which() -> Providers:
    """A resolver wants to know providers; for records they do not count."""
    return load_providers()


@dataclass(frozen=True, slots=True)
class Installation:
    """What a check needs to know of this installation."""

    hostname: str
    secret: InstanceSecret
    public_url: str = ""

    @property
    def public_name(self) -> str:
        """Host name of the public pages, "" without them."""
        return urlsplit(self.public_url).hostname or ""

    @classmethod
    def of(cls, settings: Settings) -> "Installation":
        """As the settings have it. Raises ConfigurationError."""
        return cls(settings.hostname, InstanceSecret.from_text(settings.secret.get_secret_value()), settings.public_url)


@dataclass(frozen=True, slots=True)
class Looked:
    """A domain, and how its records stand at this moment."""

    domain: Domain
    checks: Mapping[str, RecordCheck]
    """By `accounts.records.RecordKind`."""
    answers: DnsAnswers
    closed: str
    """Why its keys cannot be opened, "" when they can."""


async def look(
    database: Database, lookup: Lookup, ours: Installation, domain_id: UUID, within: float = CHECK_SECONDS
) -> Looked | None:
    """Check all records within `within` seconds, and that a mail signed now verifies against the published keys. Stores
    nothing. None: the domain is gone.

    Raises `DatabaseUnavailableError`; DNS trouble is part of the result. No transaction is open while DNS is asked.
    """
    async with database.connection() as connection:
        domain = await domain_by_id(connection, domain_id)
        addresses = await sending_addresses(connection)
        keys = await _keys(connection, ours.secret, domain) if domain else ()
    if domain is None:
        return None
    alias = domain.alias(ours.public_name)
    records = records_of(domain, ours.hostname, ours.public_name)
    answers = await collect(lookup, [*records, *_retired(domain)], ours.hostname, within)
    checks = {record.kind.value: judged(record, answers, ours.hostname, addresses) for record in records}
    checks |= unsigned(domain.name, records)
    checks |= proved(records, checks, answers, domain.name, keys)
    if alias is not None and checks[RecordKind.TRACKING].status == CheckStatus.VERIFIED:
        checks |= await _certified(alias, ours.public_url, within)
    return Looked(domain, checks, answers, keys if isinstance(keys, str) else "")


async def verify_domain(
    database: Database,
    lookup: Lookup,
    ours: Installation,
    domain_id: UUID,
    within: float = CHECK_SECONDS,
    *,
    asked: bool = True,
    by: Actor | None = _ITSELF,
) -> Domain | None:
    """Look at a domain (`look`) and store the result. The domain as it stands now, None if it is gone. `asked`:
    somebody wants to know, it is not only time to look again. `by`: who, for the audit log, when new keys take over;
    None where the database notes what changes (`accounts/audited`)."""
    looked = await look(database, lookup, ours, domain_id, within)
    if looked is None:
        return None
    domain = looked.domain
    if looked.closed and not asked:
        _log.error(
            "keys_not_opened", domain=domain.name, error=looked.closed
        )  # our own fault, and this process's alone
        return domain
    gone = [key.selector for key in rotation.removable(domain, datetime.now(UTC)) if _is_gone(domain, key, looked)]
    async with database.transaction() as connection:
        now = await rotation.held(connection, domain_id)
        if now is None or not _same_records(now, domain, ours):
            return now  # other keys or another tracking host since: what was found says nothing about them
        if not asked and now.checks != domain.checks:
            return now  # somebody who asked has just been told something newer
        settled = await rotation.settle(connection, now, looked.checks, by, gone)
        # After a switch only what was found now counts: the last check was of other keys.
        before = None if asked or settled.switched else domain.checks
        status = domain_status(now.status, settled.checks, before)
        await store_checks(connection, domain_id, status, settled.checks)
        return await domain_by_id(connection, domain_id)


def _same_records(one: Domain, other: Domain, ours: Installation) -> bool:
    return records_of(one, ours.hostname, ours.public_name) == records_of(other, ours.hostname, ours.public_name)


def records_of(domain: Domain, hostname: str, public_name: str) -> list[DnsRecord]:
    """What its owner publishes at this server, the records of coming keys among it. Pure."""
    alias = domain.alias(public_name)
    return domain_records(domain.name, domain.return_path_domain, domain.keys, hostname, alias, domain.coming)


def _retired(domain: Domain) -> list[DnsRecord]:
    """Records that are still asked for: when one is gone, its key is forgotten."""
    return domain_records(domain.name, domain.return_path_domain, domain.retired, "")[: len(domain.retired)]


def _is_gone(domain: Domain, key: PublicKey, looked: Looked) -> bool:
    return looked.answers.txt.get(f"{key.selector}._domainkey.{domain.name}") == []


async def _certified(alias: Alias, public_url: str, within: float) -> dict[str, RecordCheck]:
    """Links to a host without a certificate would be broken for every recipient, however right its record is."""
    wrong = await certificate_trouble(alias, public_url, within)
    return {RecordKind.TRACKING.value: _failed(wrong)} if wrong else {}


async def refused_now(lookup: Lookup, sender: Sender, within: float = CHECK_SECONDS) -> dict[str, str] | None:
    """Why mail signed now for this domain would not verify, by name of the record; None: no name server answered."""
    names = [f"{key.selector}._domainkey.{key.domain}" for key in sender.keys]
    txt = await answers_of({name: lookup.txt(name) for name in names}, within)
    return refused_signatures(sender.name, sender.keys, txt, datetime.now(UTC)) if txt or not names else None


async def _keys(connection: Connection, secret: InstanceSecret, domain: Domain) -> tuple[DkimKey, ...] | str:
    """The domain's private keys, those that are coming too, or why they cannot be used."""
    try:
        sender = await load_sender(connection, secret, domain.id)
        coming = await coming_keys(connection, secret, domain.id, domain.name)
    except ConfigurationError as error:
        return str(error)
    return (*sender.keys, *coming) if sender is not None else ()


def proved(
    records: Sequence[DnsRecord],
    checks: Mapping[str, RecordCheck],
    answers: DnsAnswers,
    domain: str,
    keys: Sequence[DkimKey] | str,
) -> dict[str, RecordCheck]:
    """Checks of DKIM records that look right and do not make a signature valid. `keys`, or why there are none."""
    right = [r for r in records if r.kind in DKIM_KINDS and checks[r.kind.value].status == CheckStatus.VERIFIED]
    if isinstance(keys, str):
        return {r.kind.value: _failed(f"Nothing can be signed for {domain}: {keys}") for r in right}
    refused = refused_signatures(domain, keys, answers.txt, datetime.now(UTC))
    return {
        r.kind.value: _failed(f"A mail signed now does not verify against {r.name}: {refused[r.name]}")
        for r in right
        if r.name in refused
    }


def unsigned(domain: str, records: Sequence[DnsRecord]) -> dict[str, RecordCheck]:
    """The check of the record that cannot be there, since there is no key for it; nothing for a domain that signs."""
    if any(record.kind is RecordKind.DKIM_RSA for record in records):
        return {}
    told = f"{domain} has no RSA key, so its mail cannot be signed. Make new keys, publish their records, check again."
    return {RecordKind.DKIM_RSA.value: _failed(told)}


async def collect(lookup: Lookup, records: Sequence[DnsRecord], hostname: str, within: float) -> DnsAnswers:
    """Ask all names side by side; those without an answer in time are left out."""
    mx_names = {record.name for record in records if record.type == "MX"}
    txt_names = {record.name for record in records if record.type == "TXT"} | {spf_name(hostname)}
    for record in records:
        if record.kind is RecordKind.DMARC:
            txt_names.update(dmarc.PREFIX + name for name in dmarc.tree(record.name.removeprefix(dmarc.PREFIX)))
        elif record.kind is RecordKind.SPF:
            txt_names.add(dmarc.PREFIX + record.name)  # whether the return path is of the same organisation
    aliases = {record.name: record.value for record in records if record.type == "CNAME"}
    txt, mx, cname, addresses = await asyncio.gather(
        answers_of({name: lookup.txt(name) for name in txt_names}, within),
        answers_of({name: lookup.mx(name) for name in mx_names}, within),
        answers_of({name: lookup.cname(name) for name in aliases}, within),
        answers_of({name: lookup.addresses(name) for name in {*aliases, *aliases.values()}}, within),
    )
    return DnsAnswers(txt, mx, cname, addresses)


def domain_status(
    before: str, checks: Mapping[str, RecordCheck], looked: Mapping[str, RecordCheck] | None = None
) -> str:
    """The status of a domain, from the one it had and the checks by `RecordKind`. `looked`: what the last check found,
    when it is only time to look again. Then a verified domain is stopped only by what was gone twice, and not for SPF:
    one wrong answer of a name server, or one new IP, must not stop all mail."""
    required = [checks[kind].status for kind in REQUIRED]
    if all(status == CheckStatus.VERIFIED for status in required):
        return "verified"
    if before in ("verified", "temporary_failure"):
        held = REQUIRED if looked is None else HELD
        lost = {kind for kind in held if _is_lost(checks[kind])}
        if looked is not None and before == "verified":
            lost = {kind for kind in lost if kind in looked and _is_lost(looked[kind])}
        return "temporary_failure" if lost else before
    return "failed" if CheckStatus.FAILED in required else "pending"


def _is_lost(check: RecordCheck) -> bool:
    """Somebody answered, and not as it should be."""
    return check.status not in (CheckStatus.VERIFIED, CheckStatus.TEMPORARY_FAILURE)


def judged(record: DnsRecord, answers: DnsAnswers, hostname: str, addresses: Sequence[str]) -> RecordCheck:
    """How one record stands, with what was found where that is something else."""
    check = judge(record, answers, hostname, addresses)
    if check.status != CheckStatus.FAILED:
        return check
    return replace(check, found="\n".join(_found(record, answers))[:_LONGEST_FOUND])


def _found(record: DnsRecord, answers: DnsAnswers) -> Sequence[str]:
    if record.type == "MX":
        return [f"{preference} {host}" for preference, host in answers.mx.get(record.name, ())]
    if record.type == "CNAME":
        return answers.cname.get(record.name) or answers.addresses.get(record.name) or ()
    if record.kind is RecordKind.DMARC:
        found = dmarc.discover(record.name.removeprefix(dmarc.PREFIX), answers.txt).record
        return answers.txt.get(dmarc.PREFIX + found.domain, ()) if found else answers.txt.get(record.name, ())
    texts = answers.txt.get(record.name, ())
    return _spf_policies(list(texts)) if record.kind is RecordKind.SPF else texts


def judge(record: DnsRecord, answers: DnsAnswers, hostname: str, addresses: Sequence[str]) -> RecordCheck:
    """How one record stands. `addresses` are the sending IPs that SPF has to cover."""
    if record.kind is RecordKind.RETURN_PATH_MX:
        return _judge_mx(record, answers.mx.get(record.name))
    if record.kind is RecordKind.DMARC:
        return _judge_dmarc(record, answers)
    if record.kind is RecordKind.TRACKING:
        return _judge_tracking(record, answers)
    texts = answers.txt.get(record.name)
    if texts is None:
        return _silent(record.name)
    if record.kind is RecordKind.SPF:
        return _judge_spf(record, texts, answers, hostname, addresses)
    return _judge_dkim(record, texts)


def _judge_dkim(record: DnsRecord, texts: list[str]) -> RecordCheck:
    """The key must be the only record: with two, what a verifier does is undefined (RFC 6376 section 3.6.2.2)."""
    if not texts:
        return _pending(f"There is no TXT record at {record.name} yet.")
    if len(texts) > 1:
        return _failed(f"There are {len(texts)} TXT records at {record.name}; only the one shown here may remain.")
    found, wanted = dmarc.tags_of(texts[0]), dmarc.tags_of(record.value)
    if found.get("p") == "":
        return _failed(f"The key at {record.name} is marked as revoked (empty p=).")
    if found.get("p") != wanted["p"] or found.get("k", "rsa") != wanted["k"]:
        return _failed(f"The TXT record at {record.name} holds another key or is incomplete.")
    if "sha256" not in found.get("h", "sha256").lower().split(":"):
        return _failed(f"The key at {record.name} does not allow sha256 (h=), which is what is signed with.")
    return _VERIFIED


def _judge_mx(record: DnsRecord, found: list[tuple[int, str]] | None) -> RecordCheck:
    """Ours must be among the best: other servers would take the bounces and keep them."""
    if found is None:
        return _silent(record.name)
    if not found:
        return _pending(f"There is no MX record at {record.name} yet.")
    best = min(preference for preference, _ in found)
    others = [host for preference, host in found if preference == best and host != record.value.lower()]
    if others:
        return _failed(f"Bounces for {record.name} go to {others[0]} instead of {record.value}.")
    return _VERIFIED


def _judge_tracking(record: DnsRecord, answers: DnsAnswers) -> RecordCheck:
    """An alias of ours, or the same addresses: some DNS services answer with those of what an alias leads to."""
    aliases, found = answers.cname.get(record.name), answers.addresses.get(record.name)
    if aliases is None and found is None:
        return _silent(record.name)
    ours = answers.addresses.get(record.value) or []
    if record.value in (aliases or ()) or (found and set(found) <= set(ours)):
        return _VERIFIED
    if other := (aliases or found):
        return _failed(f"Links to {record.name} go to {other[0]} instead of {record.value}.")
    return _pending(f"There is no CNAME record at {record.name} yet.")


def _judge_spf(
    record: DnsRecord, texts: list[str], answers: DnsAnswers, hostname: str, addresses: Sequence[str]
) -> RecordCheck:
    policies = _spf_policies(texts)
    if not policies:
        return _pending(f"There is no SPF record at {record.name} yet.")
    if len(policies) > 1:
        # RFC 7208 section 4.5: an error, which receivers count as no SPF.
        return _failed(f"There are {len(policies)} SPF records at {record.name}; SPF allows one. Merge them.")
    terms = _passing_terms(policies[0])
    include = f"include:{spf_name(hostname)}".lower()
    if include not in terms:
        missing = _not_covered(terms, addresses)
        if missing or not addresses:
            who = f", so {missing[0]} may not send" if missing else ""
            return _failed(f"The SPF record at {record.name} has no {include}{who}.")
        return _VERIFIED
    return _judge_included(terms, answers, hostname, addresses)


def _judge_included(terms: list[str], answers: DnsAnswers, hostname: str, addresses: Sequence[str]) -> RecordCheck:
    """The domain's own record is right; is the operator's?"""
    name = spf_name(hostname)
    texts = answers.txt.get(name)
    if texts is None:
        return _silent(name)
    policies = _spf_policies(texts)
    wanted = operator_spf(hostname, addresses).value
    if len(policies) != 1:
        return _pending(f"The operator of this server has to publish one TXT record at {name}: {wanted}")
    missing = _not_covered([*terms, *_passing_terms(policies[0])], addresses)
    if missing:
        return _failed(f"The operator's record at {name} does not cover {', '.join(missing)}; it should be: {wanted}")
    return _VERIFIED


def _judge_dmarc(record: DnsRecord, answers: DnsAnswers) -> RecordCheck:
    """A policy at the domain, or at a parent of it, as receivers look for it."""
    domain = record.name.removeprefix(dmarc.PREFIX)
    several = sum(dmarc.tags_of(text).get("v", "").upper() == "DMARC1" for text in answers.txt.get(record.name, ()))
    if several > 1:
        return _failed(f"There are {several} DMARC records at {record.name}; receivers ignore all of them.")
    found = dmarc.discover(domain, answers.txt)
    if found.silent:
        return _silent(found.silent)
    if found.record is None:
        return _pending(
            f"There is no DMARC record at {record.name} or above it. Large providers want one for bulk mail."
        )
    if not found.record.policy:
        return _failed(f"The DMARC record at {dmarc.PREFIX}{found.record.domain} has no valid p= policy.")
    return _VERIFIED


def _spf_policies(texts: list[str]) -> list[str]:
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def _passing_terms(policy: str) -> list[str]:
    """Mechanisms that let pass, in lower case, up to the `all` that decides for the rest (RFC 7208 section 4.6)."""
    terms: list[str] = []
    for term in policy.lower().split()[1:]:
        if term in ("-all", "~all", "?all"):
            break
        if term[0] not in "-~?":
            terms.append(term.removeprefix("+"))
    return terms


def _not_covered(terms: Sequence[str], addresses: Sequence[str]) -> list[str]:
    """The addresses that no `ip4:`, `ip6:` or `all` in these terms lets pass."""
    if "all" in terms:
        return []
    networks = []
    for term in terms:
        kind, _, text = term.partition(":")
        if kind in ("ip4", "ip6"):
            try:
                networks.append(ip_network(text, strict=False))
            except ValueError:
                continue  # a receiver calls it an error; the address then shows up as not covered
    return [text for text in addresses if not any(ip_address(text) in network for network in networks)]


_VERIFIED: Final = RecordCheck(CheckStatus.VERIFIED.value, "")


def _pending(reason: str) -> RecordCheck:
    return RecordCheck(CheckStatus.PENDING.value, reason)


def _failed(reason: str) -> RecordCheck:
    return RecordCheck(CheckStatus.FAILED.value, reason)


def _silent(name: str) -> RecordCheck:
    return RecordCheck(CheckStatus.TEMPORARY_FAILURE.value, f"No name server answered for {name}; try again.")
