"""What pages say of a domain and its records. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from accounts.counting import DomainTally
from accounts.domain import Domain
from accounts.records import COMING, DnsRecord, RecordKind
from console.shown import plural

_K = RecordKind

NAMES: Final[Mapping[RecordKind, str]] = {
    _K.DKIM_RSA: "DKIM key (RSA)",
    _K.DKIM_ED25519: "DKIM key (Ed25519)",
    _K.RETURN_PATH_MX: "Return path",
    _K.SPF: "SPF",
    _K.DMARC: "DMARC",
    _K.TRACKING: "Tracking host",
    _K.COMING_RSA: "New DKIM key (RSA)",
    _K.COMING_ED25519: "New DKIM key (Ed25519)",
}
WHY: Final[Mapping[RecordKind, str]] = {
    _K.DKIM_RSA: "Receivers verify our signature with it: it proves that the mail is yours.",
    _K.DKIM_ED25519: "The same with a shorter key, for receivers that know it. Others pass over it.",
    _K.RETURN_PATH_MX: "Bounces come back to us here. Without it dead addresses are written to for ever.",
    _K.SPF: "Says that our IPs may send for the return path. Large providers want SPF and DKIM.",
    _K.DMARC: "Tells receivers what to do with mail that is not yours. Large providers want one from bulk senders.",
    _K.TRACKING: "Tracked links lead here first, under your own name.",
    _K.COMING_RSA: "Signs as soon as it is found. Publish it beside the old one.",
    _K.COMING_ED25519: "Signs as soon as it is found. Publish it beside the old one.",
}
STANDS: Final[Mapping[str, str]] = {
    "verified": "found",
    "pending": "missing",
    "failed": "differs",
    "temporary_failure": "no answer",
    "not_started": "not looked at",
}
"""How a record stands, in the words of this page."""
TOPICS: Final[Mapping[str, str]] = {
    "dmarc": "DMARC policy",
    "bimi": "BIMI",
    "mta_sts": "MTA-STS",
    "tls_reports": "TLS reports",
    "ptr": "Name of the IP (PTR)",
}
STANDINGS: Final[Mapping[str, tuple[str, str]]] = {
    "good": ("verified", "there"),
    "missing": ("not_started", "not there"),
    "wrong": ("failed", "wrong"),
    "silent": ("temporary_failure", "no answer"),
}


def status_of(record: DnsRecord, domain: Domain) -> str:
    """How it stood at the last look."""
    check = domain.checks.get(record.kind)
    return check.status if check else "not_started"


def is_coming(record: DnsRecord) -> bool:
    """It belongs to keys that do not sign yet."""
    return record.kind in COMING.values()


def wrong_first(records: Sequence[DnsRecord], domain: Domain) -> list[DnsRecord]:
    """Those of the keys that sign; what is to be done stands above what is done."""
    asked = [record for record in records if not is_coming(record)]
    return sorted(asked, key=lambda record: status_of(record, domain) == "verified")


def what_to_publish(domain: Domain, records: Sequence[DnsRecord]) -> str:
    """The answer of the page: what is missing in DNS, and what that means for mail."""
    asked = [record for record in records if not is_coming(record)]
    if not _signs(domain):
        return _without_keys(domain)
    wrong = [record for record in asked if status_of(record, domain) not in ("verified", "temporary_failure")]
    silent = sum(1 for record in asked if status_of(record, domain) == "temporary_failure")
    if domain.checked_at is None:
        needed = sum(record.required for record in asked)
        return (
            f"{plural(len(asked), 'record')}, and nobody has looked for them yet."
            f" Mail from {domain.name} is refused until the {needed} required ones are found."
        )
    if silent and not wrong:
        return f"{_silence(domain, silent, len(asked))}{_keys(domain)}"
    told = f" No name server answered for {silent}." if silent else ""
    return f"{_standing(domain, asked, wrong)}{told}{_keys(domain)}"


def _signs(domain: Domain) -> bool:
    return any(key.algorithm == "rsa" for key in domain.keys)


def _without_keys(domain: Domain) -> str:
    needed = (
        "Publish the records of the new ones" if domain.coming else "Make new ones under Keys, publish their records"
    )
    return f"{domain.name} has no RSA key: its mail cannot be signed, and is refused. {needed}, then have it checked."


def _silence(domain: Domain, silent: int, of: int) -> str:
    meanwhile = "leaves as before" if domain.status == "verified" else "is refused until the required ones are found"
    told = f"No name server answered for {silent} of {of} records, and none is known to be missing."
    return f"{told} Mail from {domain.name} {meanwhile}."


def _standing(domain: Domain, asked: Sequence[DnsRecord], wrong: Sequence[DnsRecord]) -> str:
    counted = _counted(domain, asked, wrong)
    required = [record for record in wrong if record.required]
    if domain.status == "verified" and not wrong:
        return f"Nothing: all {len(asked)} records are there. Mail from {domain.name} is signed and leaves."
    if domain.status == "verified" and not required:
        names = ", ".join(NAMES[record.kind] for record in wrong)
        return f"{counted}, and not required: {names}. Mail from {domain.name} is signed and leaves."
    if domain.status == "verified":
        return f"{counted}. Mail from {domain.name} still leaves; it stops when the next look finds the same."
    if domain.status == "temporary_failure":
        return f"{counted} now. Mail from {domain.name} is refused until the required ones are back."
    unsigned = any(record.kind is _K.DKIM_RSA for record in wrong)
    meanwhile = "is not signed yet, and refused" if unsigned else "is refused"
    return f"{counted}; mail from {domain.name} {meanwhile} until the required ones are there."


def _counted(domain: Domain, asked: Sequence[DnsRecord], wrong: Sequence[DnsRecord]) -> str:
    """`2 of 5 records are missing, 1 differs`."""
    states = [status_of(record, domain) for record in wrong]
    missing, differs = len(states) - states.count("failed"), states.count("failed")
    parts = []
    if missing:
        parts.append(f"{missing} of {len(asked)} records {'is' if missing == 1 else 'are'} missing")
    if differs:
        whole = "" if missing else f" of {len(asked)} records"
        parts.append(f"{differs}{whole} {'differs' if differs == 1 else 'differ'}")
    return ", ".join(parts)


def _keys(domain: Domain) -> str:
    return " New keys wait for their records." if domain.coming else ""


def until_found(domain: Domain) -> str:
    """When new keys would take over (`accounts/rotation.ready`)."""
    old = domain.checks.get(_K.DKIM_ED25519)
    if old is None or old.status in ("pending", "failed"):
        return (
            "Mail is signed as before until the RSA one is found. It does not wait for Ed25519, whose record"
            f" {'nobody has looked for yet' if old is None else 'is not there today either'}."
        )
    return "Mail is signed as before until both are found."


def lacks(domain: Domain, records: Sequence[DnsRecord]) -> str:
    """What is missing, for one line of a list."""
    if not _signs(domain):
        return "keys to sign with"
    if domain.checked_at is None:
        return "nobody has looked yet"
    wrong = [record for record in records if status_of(record, domain) != "verified" and not is_coming(record)]
    return ", ".join(f"{NAMES[record.kind]}: {STANDS[status_of(record, domain)]}" for record in wrong) or "nothing"


def may_send(found: DomainTally) -> str:
    """The answer of the list."""
    if not found.all:
        return "From none yet: add the domain behind the @ of your senders."
    lacking = found.all - found.good
    if not lacking:
        return "From the one there is." if found.all == 1 else f"From all {found.all:,} of them."
    more = f" and {lacking - len(found.waiting):,} more" if lacking > len(found.waiting) else ""
    lack = "lacks" if lacking == 1 else "lack"
    return f"From {found.good:,} of {found.all:,}. {', '.join(found.waiting)}{more} {lack} records."


def follows(waiting: int, keys: int, delivered: int, most: int, name: str) -> list[str]:
    """What deleting a domain means, with its numbers."""
    many = f"More than {most:,}" if waiting > most else f"{waiting:,}"
    verb = "message waits" if waiting == 1 else "messages wait"
    return [
        f"{many} {verb} to be sent from it. They cannot be signed any more and end as failed."
        if waiting
        else "No message waits to be sent from it.",
        f"{plural(keys, 'API key')} may send from this domain only, and {'goes' if keys == 1 else 'go'} with it."
        if keys
        else "No API key is bound to it.",
        f"{delivered:,} messages were delivered from it in the last 7 days. Programs that go on sending from"
        f" {name} are refused.",
        "Its private keys are gone for good. Who adds the domain again gets other records.",
    ]
