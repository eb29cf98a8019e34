"""Sender domains as JSON. Pure. What events show too stands beside its values."""

from accounts.advice import Advice
from accounts.domain import OURS, RESENDS, Domain, domain_face, record_standing
from accounts.records import DnsRecord
from accounts.rotation import rotation_face
from accounts.verify import records_of

__all__ = ["advice_face", "domain_detail", "domain_face"]


def domain_detail(domain: Domain, hostname: str, public_name: str) -> dict[str, object]:
    """A domain as `DomainAnswer`. The names are those of this server and of its public pages."""
    records = records_of(domain, hostname, public_name)
    return domain_face(domain) | {
        "rotation": rotation_face(domain),
        "records": [_record(one, domain) for one in records if one.kind in RESENDS],
        "recommended_records": [_record(one, domain) for one in records if one.kind in OURS],
    }


def advice_face(one: Advice) -> dict[str, object]:
    """What receivers look up besides, as `DomainAdvice`."""
    return {
        "topic": one.topic,
        "name": one.name,
        "standing": one.standing.value,
        "found": one.found,
        "advice": one.says,
    }


def _record(record: DnsRecord, domain: Domain) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": record.name,
        "type": record.type,
        "ttl": "Auto",
        "value": record.value,
        "required": record.required,
        "zone_line": record.zone_line,
    }
    shown = record_standing(record.kind, domain) | shown
    return shown if record.priority is None else shown | {"priority": record.priority}
