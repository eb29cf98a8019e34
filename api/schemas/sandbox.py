"""Bodies and answers of `/sandbox`, by type and shape."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict
from web.absent import Needed


class AddCaptureRule(Strict):
    """Whose mail is to be captured."""

    pattern: Annotated[str, Needed] = Field(
        max_length=300,
        description="An address, `*@qa.example.com` for a domain, `*@*.example.com` for all below, `*` for everybody.",
        examples=["*@qa.example.com"],
    )


class CaptureRuleAnswer(BaseModel):
    """A capture rule."""

    object: Literal["capture_rule"] = "capture_rule"
    id: UUID
    pattern: str = Field(description="The addresses it is about.")
    created_at: datetime


class CaptureRuleList(Listed[CaptureRuleAnswer]):
    """Capture rules, newest first."""


class CaptureRuleDeleted(BaseModel):
    """The rule is gone."""

    object: Literal["capture_rule"] = "capture_rule"
    id: UUID
    deleted: Literal[True] = True


class EnvelopeAnswer(BaseModel):
    """The SMTP envelope the mail would have left in."""

    sender: str = Field(alias="from", description="The return path.")
    to: str = Field(description="The one recipient of this copy.")


class SandboxEmailItem(BaseModel):
    """A captured mail in a list."""

    object: Literal["sandbox_email"] = "sandbox_email"
    id: UUID
    email_id: UUID = Field(description="The email it is a copy of, as `/emails` knows it.")
    message_id: str
    sender: str = Field(alias="from")
    to: list[str]
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    subject: str = Field(description="The subject line.")
    created_at: datetime = Field(description="When it was captured.")
    envelope: EnvelopeAnswer = Field(description="The SMTP envelope it would have left in.")
    stream: str
    size: int = Field(description="Bytes of the whole mail.")
    test: bool = Field(description="A test key sent it; else a capture rule or its simulated recipient kept it here.")


class SandboxEmailList(Listed[SandboxEmailItem]):
    """Captured mails, newest first."""


class SandboxAttachmentAnswer(BaseModel):
    """A file in a captured mail."""

    id: str
    filename: str = Field(description="Its name, empty when it has none.")
    size: int = Field(description="Bytes, decoded.")
    content_type: str = Field(description="Media type.")
    content_id: str | None = Field(description="What HTML refers to it by.")
    content_disposition: str = Field(description="`attachment` or `inline`.")
    download_url: str = Field(description="Where its bytes are; wants the key.")


class RawAnswer(BaseModel):
    """The mail as it would have gone out."""

    download_url: str = Field(description="Where its bytes are; wants the key.")
    expires_at: datetime


class SandboxEmailAnswer(SandboxEmailItem):
    """A captured mail, taken apart."""

    html: str | None = Field(description="The HTML body; null when there is none.")
    text: str | None = Field(description="The plain text body; null when there is none.")
    headers: dict[str, str] = Field(description="Decoded; several of one name are lines of one value.")
    attachments: list[SandboxAttachmentAnswer] = Field(description="Files, attached or inline.")
    raw: RawAnswer = Field(description="The mail as it would have gone out, signature included.")


class SandboxEmailDeleted(BaseModel):
    """The captured mail is gone."""

    object: Literal["sandbox_email"] = "sandbox_email"
    id: UUID
    deleted: Literal[True] = True


class SandboxCleared(BaseModel):
    """Captured mails are gone."""

    object: Literal["sandbox_emails"] = "sandbox_emails"
    deleted: int = Field(description="How many there were.")
