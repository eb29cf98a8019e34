"""Bodies and answers of `/domains`, by type and shape. What they do is in the routes.

Field names are Resend's where it has the noun. Unknown fields are ignored, as a newer SDK may send some.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.schemas.shapes import Listed
from web.absent import Absent, Needed


def _tls(given: object) -> object:
    if given not in (None, "", "opportunistic", "enforced"):
        raise PydanticCustomError("tls", "it must be `opportunistic`: TLS wherever the receiver has it")
    return given


def _receiving(given: object) -> object:
    if given not in (None, "", "disabled"):
        raise PydanticCustomError("receiving", "it must be `disabled`: Postlane receives no mail for you")
    return given


_Tls = BeforeValidator(_tls)
_Receiving = BeforeValidator(_receiving)


class AskedCapabilities(BaseModel):
    """What a domain is to be for. Mail is only sent: asking for more is refused."""

    model_config = ConfigDict(extra="ignore", strict=True)

    sending: Annotated[Literal["enabled"] | None, Absent] = Field(None, description="Only `enabled`.")
    receiving: Annotated[Literal["disabled"] | None, Absent, _Receiving] = Field(
        None, description="Only `disabled` for now."
    )


class CreateDomain(BaseModel):
    """A sender domain to register."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: Annotated[str, Needed] = Field(
        max_length=300, description="The domain behind the @ of your senders.", examples=["example.com"]
    )
    region: str | None = Field(None, max_length=100, description="Taken and not used: this server is the region.")
    custom_return_path: str | None = Field(
        None,
        max_length=100,
        description="Label below the domain that receives bounces; the server's setting by default.",
        examples=["bounce"],
    )
    open_tracking: bool | None = Field(None, description="Track opens unless an email says otherwise; off by default.")
    click_tracking: bool | None = Field(None, description="The same for clicks.")
    tracking_subdomain: Annotated[str | None, Absent] = Field(
        None,
        max_length=100,
        description="Label below the domain that tracked links lead to first; this server's public name by default.",
        examples=["links"],
    )
    tls: Annotated[Literal["opportunistic", "enforced"] | None, Absent, _Tls] = Field(
        None, description="Only `opportunistic` for now."
    )
    capabilities: AskedCapabilities | None = Field(None, description="Only what the answer shows, for now.")


class UpdateDomain(BaseModel):
    """Settings of a domain. What is not sent stays as it is; those that this server cannot do yet are refused."""

    model_config = ConfigDict(extra="ignore", strict=True)

    open_tracking: bool | None = Field(None, description="Track opens unless an email says otherwise.")
    click_tracking: bool | None = Field(None, description="The same for clicks.")
    tracking_subdomain: Annotated[str | None, Absent] = Field(
        None, max_length=100, description="As when creating; null goes back to this server's public name."
    )
    tls: Annotated[Literal["opportunistic", "enforced"] | None, Absent, _Tls] = Field(
        None, description="Only `opportunistic` for now."
    )
    capabilities: AskedCapabilities | None = Field(None, description="Only what the answer shows, for now.")


class RecordAnswer(BaseModel):
    """A DNS record to publish, and how it stood at the last check."""

    record: Literal["DKIM", "SPF", "Tracking"]
    name: str = Field(description="The full name, without a dot at the end.")
    type: Literal["TXT", "MX", "CNAME"]
    ttl: Literal["Auto"] = "Auto"
    status: Literal["not_started", "pending", "verified", "failed", "temporary_failure"]
    value: str
    priority: int | None = Field(None, description="Of an MX record.")
    required: bool = Field(description="Without it the domain is not verified.")
    reason: str = Field(description="What is wrong, in a sentence; empty when nothing is.")
    zone_line: str = Field(description="The record as a line of a zone file, long text cut into strings.")


class RecommendedRecord(RecordAnswer):
    """A DNS record that is no condition of sending, such as DMARC."""

    record: Literal["DMARC"]  # type: ignore[assignment]  # of the same shape, but never among those of Resend


class Capabilities(BaseModel):
    """What the domain is for."""

    sending: Literal["enabled"]
    receiving: Literal["disabled"]


class DomainSummary(BaseModel):
    """A sender domain without its records."""

    object: Literal["domain"] = "domain"
    id: UUID
    name: str
    status: Literal["not_started", "pending", "verified", "failed"]
    created_at: datetime
    region: Literal["us-east-1"]
    open_tracking: bool
    click_tracking: bool
    tracking_subdomain: str | None = Field(description="Label of its own tracking host; null without one.")
    capabilities: Capabilities
    return_path: str = Field(description="The domain that receives the bounces.")
    checked_at: datetime | None = Field(description="When the records were last checked.")


class RetiredKey(BaseModel):
    """A DKIM key that signs no more."""

    selector: str = Field(description="Its name in signatures.")
    name: str = Field(description="Where its record is.")
    keep_until: datetime = Field(description="Receivers may still look it up; after that remove it.")


class Rotation(BaseModel):
    """Keys that come and go."""

    coming: list[str] = Field(description="Selectors of keys that sign as soon as their records are found.")
    retired: list[RetiredKey] = Field(description="Keys that sign no more, and whose records have to stay.")


class DomainAnswer(DomainSummary):
    """A sender domain."""

    rotation: Rotation | None = Field(description="Keys that come and go; null when none do.")
    records: list[RecordAnswer]
    recommended_records: list[RecommendedRecord]


class DomainReference(BaseModel):
    """The domain that was worked on."""

    object: Literal["domain"] = "domain"
    id: UUID


class DomainDeleted(DomainReference):
    """The domain is gone, with its keys."""

    deleted: Literal[True] = True


class DomainList(Listed[DomainSummary]):
    """Domains, newest first."""


class DomainAdvice(BaseModel):
    """One thing that receivers look up, and is no condition of sending."""

    topic: Literal["dmarc", "bimi", "mta_sts", "tls_reports", "ptr"] = Field(description="What was looked up.")
    name: str = Field(description="What was asked.")
    standing: Literal["good", "missing", "wrong", "silent"] = Field(
        description="`silent`: no name server answered in time."
    )
    found: str = Field(description="What is there; empty for nothing.")
    advice: str = Field(description="What follows, in sentences.")


class DomainAdviceList(Listed[DomainAdvice]):
    """All of it."""
