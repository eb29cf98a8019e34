"""A sender domain as a value, and as JSON. Pure.

The JSON here is what lists and events show; names and values of the records to publish depend on this server's own
names (`web/faces/domains`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from accounts.records import Alias, PublicKey, RecordKind

REGION: Final = "us-east-1"
"""Says nothing here. Resend's strict clients (Rust, generated ones) read no domain without one of its four regions."""

CAPABILITIES: Final = {"sending": "enabled", "receiving": "disabled"}
"""The same clients read no domain without these two."""

RESENDS: Final[dict[RecordKind, str]] = {
    RecordKind.DKIM_RSA: "DKIM",
    RecordKind.DKIM_ED25519: "DKIM",
    RecordKind.RETURN_PATH_MX: "SPF",
    RecordKind.SPF: "SPF",
    RecordKind.TRACKING: "Tracking",
    RecordKind.COMING_RSA: "DKIM",
    RecordKind.COMING_ED25519: "DKIM",
}
"""Resend's names in `record`; it counts the return path's MX as part of SPF. A strict client reads no others."""

OURS: Final[dict[RecordKind, str]] = {RecordKind.DMARC: "DMARC"}
"""What we ask for and Resend does not: in a list of its own, which its clients pass over."""


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """How one DNS record stood when it was last checked."""

    status: str
    reason: str
    """A sentence for the owner of the domain; "" when all is well."""
    found: str = ""
    """What stands there instead, where that is something else; "" where nothing does."""


@dataclass(frozen=True, slots=True)
class DomainTracking:
    """What is tracked in the mail of a domain unless an email says otherwise, and the host its links lead to first."""

    opens: bool = False
    clicks: bool = False
    subdomain: str | None = None
    """None: the name of our public pages."""

    def host(self, name: str) -> str:
        """The tracking host of the domain `name`, "" without one of its own."""
        return f"{self.subdomain}.{name}" if self.subdomain else ""


@dataclass(frozen=True, slots=True)
class Domain:
    """A sender domain with the public halves of its keys."""

    id: UUID
    application_id: UUID
    name: str
    return_path_domain: str
    status: str
    checks: Mapping[str, RecordCheck]
    """By `accounts.records.RecordKind`; empty before the first check."""
    created_at: datetime
    checked_at: datetime | None
    keys: tuple[PublicKey, ...]
    tracking: DomainTracking = field(default_factory=DomainTracking)
    coming: tuple[PublicKey, ...] = ()
    """Keys to publish beside those that sign (`accounts/rotation`)."""
    retired: tuple[PublicKey, ...] = ()
    """Keys that sign no more, and whose records have to stay for a while."""

    def alias(self, public_name: str) -> Alias | None:
        """What its tracking host has to lead to; None when it has none, or it is our public name itself."""
        host = self.tracking.host(self.name)
        return Alias(host, public_name) if host and public_name and host != public_name else None


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


def domain_audit(domain: Domain) -> dict[str, object]:
    """What of it somebody can change, for the audit log."""
    return {
        "name": domain.name,
        "return_path": domain.return_path_domain,
        "open_tracking": domain.tracking.opens,
        "click_tracking": domain.tracking.clicks,
        "tracking_subdomain": domain.tracking.subdomain or "",
        "signs": [key.selector for key in domain.keys],
        "coming": [key.selector for key in domain.coming],
    }


def _status(stored: str) -> str:
    """A domain that was verified and is no more has failed for Resend's clients; its records tell the rest."""
    return "failed" if stored == "temporary_failure" else stored


def record_standing(kind: RecordKind, domain: Domain) -> dict[str, object]:
    """How a record stands, under Resend's name for it."""
    check = domain.checks.get(kind)
    return {
        "record": RESENDS.get(kind) or OURS[kind],
        "status": check.status if check else "not_started",
        "reason": check.reason if check else "",
    }
