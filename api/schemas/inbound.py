"""Answers of `/inbound`, by type and shape."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.shapes import Listed


class InboundMailAnswer(BaseModel):
    """A mail that came back."""

    model_config = ConfigDict(populate_by_name=True)

    object: Literal["inbound_mail"] = "inbound_mail"
    id: UUID
    received_at: datetime = Field(description="When it was taken.")
    to: str = Field(description="The address it came to: a signed return path, or fbl@, abuse@, postmaster@.")
    mail_from: str = Field(description="Sender of its envelope; empty is the null sender of reports.")
    peer: str = Field(description="The host that brought it.")
    from_: str = Field(alias="from", description="Its From header.")
    subject: str
    result: str = Field(description="What became of it, or `waiting`.")
    kind: str | None = Field(
        description="What it says, such as `failed` or `complaint`; null when nothing was understood."
    )
    email_id: UUID | None = Field(description="The email it is about; null when it names none of ours.")
    position: int | None = Field(description="Which recipient of the email, counted from 0.")
    placed_by: str | None = Field(description="By what it was found: `return_path`, `token` or `message_id`.")
    detail: str = Field(description="Why that became of it, in words.")
    size: int = Field(description="Bytes that are kept of it.")
    further: int = Field(description="Mails about the same message that came later and are only counted.")


class InboundMailList(Listed[InboundMailAnswer]):
    """Received mails, newest first."""


class ReportedRecipientAnswer(BaseModel):
    """What a report says about one recipient, and what our rules make of it."""

    recipient: str = Field(description="The address in question; empty when it is not named.")
    original_recipient: str = Field(description="The address it was before a forwarding, where the report says so.")
    kind: str = Field(description="`failed`, `delayed` or `done`.")
    remote_mta: str = Field(description="The server that refused.")
    code: int
    enhanced: str
    text: str = Field(description="The refusal in its own words.")
    class_: str = Field(alias="class", description="Kind of refusal.")
    rule: str
    suppress: bool = Field(description="Whether it says that the mailbox is dead.")


class UnderstoodAnswer(BaseModel):
    """What a mail that came back says."""

    object: Literal["report"] = "report"
    kind: str = Field(description="What it says, such as `failed` or `complaint`.")
    reader: str = Field(description="Which reader understood it.")
    certain: bool = Field(description="False: understood by likeness only; it suppresses nobody.")
    reporting_mta: str = Field(description="Who says so.")
    feedback_type: str = Field(description="Type of a feedback report; empty for others.")
    recipients: list[ReportedRecipientAnswer] = Field(description="What it says about each recipient.")


class InboundMailDetailAnswer(InboundMailAnswer):
    """A mail that came back, as it came, and what it says."""

    report: UnderstoodAnswer | None = Field(description="What is understood of it now; null for nothing.")
    raw_base64: str = Field(description="The mail as it came, up to 256 KB of it.")
