"""Bodies and answers of the email routes: what JSON may hold, by type. What it may *mean* is `api/intake`.

Unknown fields are ignored, as Resend ignores them: its SDKs send fields that we have no use for, and a newer SDK
must not stop an application's mail. Known fields are strict: a number where a text belongs is refused, not
turned into one. Where Resend has the same noun, its fields are there with its names; `message_id`, `recipients`,
`stream`, `pool` and the whole timeline are more than it gives.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.schemas.shapes import Listed
from core.queues import Lane
from messages.limits import MAX_EXPIRES, MAX_RECIPIENTS
from messages.states import State
from messages.tags import MAX_TAGS
from web.absent import Absent, Needed, Said, otherwise

MAX_BATCH = 1000

MAX_ATTACHMENTS = 100


_Octets = Annotated[list[Annotated[int, Field(strict=True, ge=0, le=255)]], Field(fail_fast=True)]
_ADDRESS_LIST = Annotated[list[str], Field(max_length=MAX_RECIPIENTS, fail_fast=True)]

_Switch = Annotated[Annotated[bool, Field(strict=True)] | None, Absent]

Addresses = str | _ADDRESS_LIST
"""One address, or several. An empty text is an absent address."""


class NodeBuffer(BaseModel):
    """What JSON makes of a Buffer of Node."""

    type: Literal["Buffer"]
    data: str | _Octets = Field(description="The bytes as numbers, or in base64.")


class Attachment(BaseModel):
    """A file. `content` is base64, or the bytes as numbers as the Python and Node SDKs send them."""

    model_config = ConfigDict(extra="ignore")

    content: str | _Octets | NodeBuffer | None = Field(
        None,
        description="The file: base64, a list of the bytes as numbers, or Node's `{type: 'Buffer', data: [..]}`.",
    )
    filename: str | Literal[False] | None = Field(
        None, description="Name the recipient sees.", examples=["invoice.pdf"]
    )
    path: str | None = Field(None, description="Not supported: a remote file is refused. Send `content`.")
    content_type: str | None = Field(None, description="Media type; by default it follows from the filename.")
    content_id: str | None = Field(None, description="Makes the file inline: HTML refers to it as `cid:<content_id>`.")
    inline_content_id: str | None = Field(None, description="An older name of `content_id`.")


class Tag(BaseModel):
    """A label, given back with the email and its events."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(description="1 to 256 of A-Z a-z 0-9 _ -.", examples=["category"])
    value: Annotated[str, otherwise("")] = Field(
        "", description="Up to 256 of A-Z a-z 0-9 _ -.", examples=["confirm_email"]
    )


class TemplateUse(BaseModel):
    """A published template, and what it is filled in with."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Needed] = Field(description="Id or alias of a template.", examples=["welcome"], max_length=200)
    variables: dict[str, Any] | None = Field(
        None, description="Values by the variable's key. One without a fallback must be there."
    )
    language: Annotated[str | None, Absent] = Field(
        None, description="Ours. Which language of the template, such as `de-AT`; by default its own.", max_length=40
    )


class SendEmail(BaseModel):
    """One email."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"required": ["to"]})

    sender: Annotated[str | None, Absent] = Field(
        None,
        alias="from",
        description="`Name <user@domain>` or `user@domain`; the domain is a verified domain of this application. "
        "Needed, unless the template has one.",
        examples=["Acme <hello@acme.example>"],
    )
    to: Addresses = Field(description="Who gets it: up to 100 addresses together with `cc` and `bcc`.")
    subject: str | None = Field(
        None, description="Subject line. Needed, unless there is a template.", examples=["Your receipt"]
    )
    cc: Addresses | None = Field(None, description="Copies that everybody sees.")
    bcc: Addresses | None = Field(None, description="Copies that nobody sees.")
    reply_to: Addresses | None = Field(None, description="Where answers go.")
    html: str | None = Field(None, description="HTML body. One of `html` and `text` is needed, both are better.")
    text: str | None = Field(None, description="Plain text body.")
    headers: dict[str, str] | None = Field(
        None,
        description="More headers, such as `X-Entity-Ref-ID`. Those that other fields or the server set are refused.",
    )
    attachments: list[Attachment] | None = Field(
        None, max_length=MAX_ATTACHMENTS, description="Files; the email with all of them may have 40 MB (a setting)."
    )
    tags: list[Tag] | None = Field(None, max_length=MAX_TAGS, description="Labels of yours.")
    scheduled_at: Annotated[str | None, Said] = Field(
        None,
        description="When to send: ISO 8601 (without an offset it is UTC), or `in 10 min`. At most 30 days ahead.",
        examples=["in 10 min", "2026-08-05T11:52:01Z"],
    )
    template: Annotated[TemplateUse | None, Absent] = Field(
        None, description="A published template instead of `html` and `text`."
    )
    topic_id: Annotated[UUID | None, Said] = Field(
        None, description="The type of mail it is: whoever left that topic does not get it. Empty is refused."
    )
    stream: Annotated[Lane | None, Said] = Field(
        None,
        description="Ours. The way it travels: `marketing` never delays the other. By default its topic's stream, "
        "without a topic `transactional`.",
    )
    pool: str | None = Field(None, description="Ours. Name of an IP pool of that stream; by default the stream's own.")
    open_tracking: _Switch = Field(None, description="Track opens; by default what the sender's domain says.")
    click_tracking: _Switch = Field(None, description="The same for clicks.")
    expires_in: Annotated[Annotated[int, Field(strict=True, ge=1, le=MAX_EXPIRES)] | None, Absent] = Field(
        None,
        description="Ours. Seconds from acceptance, or from `scheduled_at`, in which it is worth sending: 1 to 259200.",
    )


class MoveEmail(BaseModel):
    """A new time for a scheduled email."""

    model_config = ConfigDict(extra="ignore")

    scheduled_at: Annotated[str, Needed] = Field(
        description="As when sending.", examples=["in 1 hour", "2026-08-05T11:52:01Z"]
    )


class SendAgain(BaseModel):
    """Whom a stored email is sent to once more."""

    model_config = ConfigDict(extra="ignore")

    recipient: Annotated[str | None, Absent] = Field(
        None,
        description="One of the email's recipients; needed when it has several.",
        examples=["bob@example.com"],
        max_length=1000,
    )


BATCH: TypeAdapter[list[SendEmail]] = TypeAdapter(
    Annotated[list[SendEmail], Field(max_length=MAX_BATCH, fail_fast=True)]
)
"""A whole batch; stops at its first mistake."""

LastEvent = Literal[
    "queued", "scheduled", "sent", "delivery_delayed", "delivered", "opened", "clicked", "complained", "bounced",
    "suppressed", "failed", "canceled",
]  # fmt: skip


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
    captured: bool = Field(description="It ends in the sandbox and never leaves: a test, a capture rule, a simulation.")


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
    test: bool = Field(description="A test key sent it: nothing of it leaves.")


class EmailAnswer(EmailSummary):
    """An email with its content and the state of every recipient."""

    object: Literal["email"]
    html: str | None = Field(description="Null when there is none, or its retention is over.")
    text: str | None = Field(description="Null when there is none, or its retention is over.")
    tags: list[TagAnswer]
    expires_at: datetime | None
    topic_id: UUID | None = Field(description="The type of mail it is.")
    template_id: UUID | None = Field(description="The template it was made of.")
    again_of: UUID | None = Field(description="Ours. The email that it repeats (`POST /emails/{email_id}/again`).")
    recipients: list[RecipientAnswer]


class EmailList(Listed[EmailSummary]):
    """A page of emails, newest first."""


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
    link: str | None = Field(None, description="Of a click: where the link leads.")
    client_ip: str | None = Field(None, description="Of an open or click: whose IP asked.")
    user_agent: str | None = Field(None, description="Of an open or click: what asked calls itself.")
    machine: str | None = Field(
        None, description="Of an open or click: why it is taken for a machine's; null when a person did it."
    )
    first: bool | None = Field(None, description="Of an open or click: the first of this recipient that counts.")


class EventList(Listed[EventAnswer]):
    """The timeline of an email, oldest first."""
