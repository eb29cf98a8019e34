"""Sender domains as JSON. Pure."""

from accounts.records import DnsRecord, RecordKind, domain_records
from accounts.repository import Domain

REGION = "self-hosted"
"""Resend names a region of its cloud here; its SDKs want the field."""

_SHOWN: dict[RecordKind, str] = {
    RecordKind.DKIM_RSA: "DKIM",
    RecordKind.DKIM_ED25519: "DKIM",
    RecordKind.RETURN_PATH_MX: "SPF",
    RecordKind.SPF: "SPF",
    RecordKind.DMARC: "DMARC",
}
"""Resend's names in `record`; it counts the return path's MX as part of SPF."""


def domain_face(domain: Domain) -> dict[str, object]:
    """A domain as `DomainSummary`."""
    return {
        "object": "domain",
        "id": domain.id,
        "name": domain.name,
        "status": domain.status,
        "created_at": domain.created_at,
        "region": REGION,
        "open_tracking": False,
        "click_tracking": False,
        "return_path": domain.return_path_domain,
        "checked_at": domain.checked_at,
    }


def domain_detail(domain: Domain, hostname: str) -> dict[str, object]:
    """A domain as `DomainAnswer`."""
    records = domain_records(domain.name, domain.return_path_domain, domain.keys, hostname)
    return domain_face(domain) | {"records": [_record(record, domain) for record in records]}


def _record(record: DnsRecord, domain: Domain) -> dict[str, object]:
    check = domain.checks.get(record.kind)
    shown: dict[str, object] = {
        "record": _SHOWN[record.kind],
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
