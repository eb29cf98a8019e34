"""Sender domains as JSON. Pure."""

from typing import Final

from accounts.records import DnsRecord, RecordKind, domain_records
from accounts.repository import Domain

REGION: Final = "us-east-1"
"""Says nothing here. Resend's strict clients (Rust, generated ones) read no domain without one of its four regions."""

CAPABILITIES: Final = {"sending": "enabled", "receiving": "disabled"}
"""The same clients read no domain without these two."""

_RESENDS: Final[dict[RecordKind, str]] = {
    RecordKind.DKIM_RSA: "DKIM",
    RecordKind.DKIM_ED25519: "DKIM",
    RecordKind.RETURN_PATH_MX: "SPF",
    RecordKind.SPF: "SPF",
    RecordKind.TRACKING: "Tracking",
}
"""Resend's names in `record`; it counts the return path's MX as part of SPF. A strict client reads no others."""

_OURS: Final[dict[RecordKind, str]] = {RecordKind.DMARC: "DMARC"}
"""What we ask for and Resend does not: in a list of its own, which its clients pass over."""


def domain_face(domain: Domain) -> dict[str, object]:
    """A domain as `DomainSummary`."""
    return {
        "object": "domain",
        "id": domain.id,
        "name": domain.name,
        "status": _status(domain.status),
        "created_at": domain.created_at,
        "region": REGION,
        "open_tracking": domain.tracking.opens,
        "click_tracking": domain.tracking.clicks,
        "tracking_subdomain": domain.tracking.subdomain,
        "capabilities": CAPABILITIES,
        "return_path": domain.return_path_domain,
        "checked_at": domain.checked_at,
    }


def _status(stored: str) -> str:
    """A domain that was verified and is no more has failed for Resend's clients; its records tell the rest."""
    return "failed" if stored == "temporary_failure" else stored


def domain_detail(domain: Domain, hostname: str, public_name: str) -> dict[str, object]:
    """A domain as `DomainAnswer`. The names are those of this server and of its public pages."""
    alias = domain.alias(public_name)
    records = domain_records(domain.name, domain.return_path_domain, domain.keys, hostname, alias)
    return domain_face(domain) | {
        "records": [_record(_RESENDS[one.kind], one, domain) for one in records if one.kind in _RESENDS],
        "recommended_records": [_record(_OURS[one.kind], one, domain) for one in records if one.kind in _OURS],
    }


def _record(name: str, record: DnsRecord, domain: Domain) -> dict[str, object]:
    check = domain.checks.get(record.kind)
    shown: dict[str, object] = {
        "record": name,
        "name": record.name,
        "type": record.type,
        "ttl": "Auto",
        "status": check.status if check else "not_started",
        "value": record.value,
        "required": record.required,
        "reason": check.reason if check else "",
        "zone_line": record.zone_line,
    }
    return shown if record.priority is None else shown | {"priority": record.priority}
