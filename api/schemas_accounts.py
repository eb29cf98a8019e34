"""Bodies and answers of `/domains` and `/api-keys`, by type and shape. What they do is in the routes.

Field names are Resend's where it has the noun. Unknown fields of a domain are ignored, as a newer SDK may send some; of
an API key they are refused, because a misspelt `domain_id` would make a key that may do more than was meant.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from accounts.records import DnsRecord, RecordKind, domain_records
from accounts.repository import ApiKey, Domain

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


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("it must hold printable characters only, and at least one")
    return text.strip()


ShownName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
"""A name for people. Printable: PostgreSQL stores no NUL, UTF-8 knows no lone surrogate."""


class CreateDomain(BaseModel):
    """A sender domain to register."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = Field(max_length=300, description="The domain behind the @ of your senders.", examples=["example.com"])
    region: str | None = Field(None, max_length=100, description="Taken and not used: this server is the region.")
    custom_return_path: str | None = Field(
        None,
        max_length=100,
        description="Label below the domain that receives bounces; the server's setting by default.",
        examples=["bounce"],
    )
    open_tracking: bool | None = Field(None, description="Only false for now: opens are not tracked.")
    click_tracking: bool | None = Field(None, description="Only false for now: clicks are not tracked.")
    tracking_subdomain: str | None = Field(None, max_length=100, description="Taken and not used without tracking.")
    tls: Literal["opportunistic", "enforced"] | None = Field(None, description="Only `opportunistic` for now.")


class UpdateDomain(BaseModel):
    """Settings of a domain. Each may be sent; those that this server cannot do yet are refused, not ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    open_tracking: bool | None = Field(None, description="Only false for now.")
    click_tracking: bool | None = Field(None, description="Only false for now.")
    tracking_subdomain: str | None = Field(None, max_length=100, description="Taken and not used without tracking.")
    tls: Literal["opportunistic", "enforced"] | None = Field(None, description="Only `opportunistic` for now.")


class RecordAnswer(BaseModel):
    """A DNS record to publish, and how it stood at the last check."""

    record: Literal["DKIM", "SPF", "DMARC"]
    name: str = Field(description="The full name, without a dot at the end.")
    type: Literal["TXT", "MX"]
    ttl: Literal["Auto"] = "Auto"
    status: Literal["not_started", "pending", "verified", "failed", "temporary_failure"]
    value: str
    priority: int | None = Field(None, description="Of an MX record.")
    required: bool = Field(description="Without it the domain is not verified.")
    reason: str = Field(description="What is wrong, in a sentence; empty when nothing is.")
    zone_line: str = Field(description="The record as a line of a zone file, long text cut into strings.")


class DomainSummary(BaseModel):
    """A sender domain without its records."""

    object: Literal["domain"] = "domain"
    id: UUID
    name: str
    status: Literal["not_started", "pending", "verified", "failed", "temporary_failure"]
    created_at: datetime
    region: str = REGION
    open_tracking: bool = False
    click_tracking: bool = False


class DomainAnswer(DomainSummary):
    """A sender domain."""

    return_path: str = Field(description="The domain that receives the bounces.")
    checked_at: datetime | None = Field(description="When the records were last checked.")
    records: list[RecordAnswer]


class DomainReference(BaseModel):
    """The domain that was worked on."""

    object: Literal["domain"] = "domain"
    id: UUID


class DomainDeleted(DomainReference):
    """The domain is gone, with its keys."""

    deleted: Literal[True] = True


class DomainList(BaseModel):
    """Domains, newest first."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[DomainSummary]


class CreateKey(BaseModel):
    """An API key to make."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: ShownName = Field(examples=["shop"])
    permission: Literal["full_access", "sending_access"] = Field(
        "full_access", description="`sending_access` may only send."
    )
    domain_id: Annotated[UUID, Field(strict=False)] | None = Field(
        None, description="With `sending_access`: the only domain it may send from."
    )


class RenameKey(BaseModel):
    """A new name for an API key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: ShownName


class KeyCreated(BaseModel):
    """A new key. The token is shown this once."""

    id: UUID
    token: str = Field(examples=["pl_…"])


class KeyAnswer(BaseModel):
    """An API key, without the token."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute; null when it was never used.")
    permission: Literal["full_access", "sending_access"]
    domain_id: UUID | None
    hint: str = Field(description="The first characters of the token.")


class KeyReference(BaseModel):
    """The key that was worked on."""

    object: Literal["api_key"] = "api_key"
    id: UUID


class KeyDeleted(KeyReference):
    """The key is gone."""

    deleted: Literal[True] = True


class KeyList(BaseModel):
    """API keys, newest first."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[KeyAnswer]


def summary(domain: Domain) -> dict[str, object]:
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
    }


def detail(domain: Domain, hostname: str) -> dict[str, object]:
    """A domain as `DomainAnswer`."""
    records = domain_records(domain.name, domain.return_path_domain, domain.keys, hostname)
    return summary(domain) | {
        "return_path": domain.return_path_domain,
        "checked_at": domain.checked_at,
        "records": [_record(record, domain) for record in records],
    }


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


def key_answer(key: ApiKey) -> dict[str, object]:
    """A key as `KeyAnswer`."""
    return {
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "permission": key.permission,
        "domain_id": key.domain_id,
        "hint": key.hint,
    }
