"""Answers of the email routes, for OpenAPI. The routes write them with orjson; tests hold the two together.

Where Resend has the same noun, its fields are there with its names. `message_id`, `recipients`, `stream`, `pool` of an
email and the whole timeline are more than it gives.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from messages.states import State

LastEvent = Literal[
    "queued", "scheduled", "sent", "delivery_delayed", "delivered", "bounced", "suppressed", "failed", "canceled"
]


class SentEmail(BaseModel):
    """Accepted: it is in the database."""

    id: UUID


class BatchError(BaseModel):
    """Why one email of a permissive batch was not accepted."""

    index: int = Field(description="Position in the request, from 0.")
    message: str


class SentBatch(BaseModel):
    """The accepted emails in the order of the request."""

    data: list[SentEmail]
    errors: list[BatchError] | None = Field(None, description="Only with `x-batch-validation: permissive`.")


class EmailReference(BaseModel):
    """The email that was changed."""

    object: Literal["email"]
    id: UUID


class TagAnswer(BaseModel):
    """A label."""

    name: str
    value: str


class RecipientAnswer(BaseModel):
    """One receiver, with an outcome of its own."""

    recipient: str
    kind: Literal["to", "cc", "bcc"]
    state: State
    attempts: int = Field(description="Attempts to deliver that have ended.")
    updated_at: datetime
    next_attempt_at: datetime | None = Field(description="When it is tried next; null when it is due, or has ended.")
    waits_for: str | None = Field(
        None, description="Why no sending IP could take it when it was looked at last; null when nothing holds it up."
    )


class EmailSummary(BaseModel):
    """An email in a list."""

    id: UUID
    message_id: str
    sender: str = Field(alias="from")
    to: list[str]
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    subject: str
    created_at: datetime
    scheduled_at: datetime | None
    last_event: LastEvent
    stream: Literal["transactional", "marketing"]


class EmailAnswer(EmailSummary):
    """An email with its content and the state of every recipient."""

    object: Literal["email"]
    html: str | None = Field(description="Null when there is none, or its retention is over.")
    text: str | None = Field(description="Null when there is none, or its retention is over.")
    tags: list[TagAnswer]
    expires_at: datetime | None
    recipients: list[RecipientAnswer]


class EmailList(BaseModel):
    """A page of emails, newest first."""

    object: Literal["list"]
    has_more: bool
    data: list[EmailSummary]


class EventAnswer(BaseModel):
    """Something that happened to one recipient's message. The first, `queued` or `scheduled`, is for all of them."""

    event: str = Field(description="queued, scheduled, delivered, deferred, bounced, rerouted, suppressed, expired …")
    created_at: datetime
    recipient: str | None
    attempt: int | None = Field(description="Number of the attempt, from 1.")
    ip: str | None = Field(description="Our IP.")
    provider: str | None = Field(description="Mailbox provider, by MX.")
    mx: str | None
    tls: str | None
    phase: str | None = Field(description="Where in the SMTP conversation the answer came.")
    code: int | None = Field(description="SMTP reply code.")
    enhanced: str | None = Field(description="Enhanced status code (RFC 3463).")
    reply: str | None = Field(description="What the remote server said.")
    action: str | None = Field(description="What was decided.")
    class_: str | None = Field(alias="class", description="Kind of reply.")
    scope: str | None = Field(description="Whom the reply is about.")
    rule: str | None = Field(description="The rule that decided.")
    detail: str | None
    next_attempt_at: datetime | None
    duration_ms: int | None


class EventList(BaseModel):
    """The timeline of an email, oldest first."""

    object: Literal["list"]
    has_more: bool
    data: list[EventAnswer]
