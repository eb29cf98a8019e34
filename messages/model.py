"""The values an email and its messages travel in between folders.

An *email* is what an application hands over under one id; a *message* is one recipient of it, with its own outcome.
A message is named by `(email_id, position)`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from accounts.quotas import Quota
from core.addresses import Mailbox
from core.queues import Lane
from core.records import record
from mta.model import Attachment

RecipientKind = Literal["to", "cc", "bcc"]


class MessageRef(NamedTuple):
    """Names one message."""

    email_id: UUID
    position: int

    def __str__(self) -> str:
        return f"{self.email_id}/{self.position}"


@record(frozen=True, slots=True)
class Recipient:
    """One receiver of an email."""

    recipient: str
    """Wire form `local@punycode-domain`, the local part as given."""
    address: str
    """Folded form, the key of the suppression list."""
    destination: str
    """ASCII domain, lower case."""
    kind: RecipientKind
    capture: bool = False
    """Nothing may leave for this one."""


def receivers(boxes: Iterable[tuple[RecipientKind, Mailbox]]) -> tuple[Recipient, ...]:
    """One for each mailbox, whatever the case it is written in: who is named twice gets the mail once, as the first
    time. So hand in `to` before `cc` before `bcc`."""
    found: dict[str, Recipient] = {}
    for kind, box in boxes:
        found.setdefault(box.key, Recipient(box.wire, box.key, box.domain, kind))
    return tuple(found.values())


@record(frozen=True, slots=True)
class NewEmail:
    """A validated email, ready to be accepted. `raw` replaces subject, bodies and headers for SMTP submission.

    An empty text is an absent part, whichever door it came through: nobody means to show a blank mail.
    """

    id: UUID
    application_id: UUID
    domain_id: UUID
    lane: Lane
    created_at: datetime
    message_id: str
    sender: str
    subject: str
    recipients: tuple[Recipient, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    html: str | None = None
    text: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    raw: bytes | None = None
    tags: tuple[tuple[str, str], ...] = ()
    pool_id: UUID | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    topic_id: UUID | None = None
    """The type of mail it is, which recipients may switch off."""
    open_tracking: bool | None = None
    """None: what the sender's domain says. So too for clicks."""
    click_tracking: bool | None = None
    capture: bool = False
    """Everything is done but sending: the mail ends in a mailbox of ours."""
    campaign_id: UUID | None = None
    contact_id: UUID | None = None
    """Whom of the campaign it is for."""
    content_id: UUID | None = None
    """The campaign's content, rendered for the contact when the mail leaves; None: it has a content of its own."""
    engaged_at: datetime | None = None
    """When its recipient last opened or clicked, as far as known."""
    template_id: UUID | None = None
    """The template it was made of."""

    def __post_init__(self) -> None:
        if self.html == "" or self.text == "":
            object.__setattr__(self, "html", self.html or None)
            object.__setattr__(self, "text", self.text or None)
        if "" in self.to or "" in self.cc or "" in self.bcc or "" in self.reply_to:
            for name in ("to", "cc", "bcc", "reply_to"):
                object.__setattr__(self, name, tuple(filter(None, getattr(self, name))))

    @property
    def size(self) -> int:
        """Bytes of content, about what the mail will weigh before encoding."""
        size = len(self.html or "") + len(self.text or "") + len(self.raw or b"")
        if self.attachments:
            size += sum(len(a.data) for a in self.attachments)
        return size + sum(len(n) + len(v) for n, v in self.headers) if self.headers else size


@dataclass(frozen=True, slots=True)
class Idempotency:
    """What the application gave as `Idempotency-Key`, and the answer to keep for it."""

    key: str
    request_hash: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """One request: its emails become durable together, or none does."""

    application_id: UUID
    emails: tuple[NewEmail, ...]
    idempotency: Idempotency | None = None
    quota: Quota | None = None
    """Of the application, if it has one and the mail counts."""

    @property
    def messages(self) -> int:
        """One for each recipient."""
        return sum(len(email.recipients) for email in self.emails)


class Claimed(NamedTuple):
    """One message this worker may send now, with what its email says. `content` is None when it is too large to
    load with the claim; ask `repository.load_content` then."""

    ref: MessageRef
    recipient: str
    address: str
    destination: str
    attempts: int
    last_ip: str | None
    suppressed: str | None
    """Reason of the suppression, or word of the choice (`audience/predicate`), that forbids sending; or None."""
    expires_at: datetime | None
    expired: bool
    claimed_at: datetime
    """By the database's clock."""
    engaged_at: datetime | None = None
    """When its recipient last opened or clicked, as far as known."""
    capture: bool = False
    """It may not leave."""


class StoredEmail(NamedTuple):
    """What composing needs to know of an email."""

    id: UUID
    application_id: UUID
    domain_id: UUID
    pool_id: UUID | None
    content_id: UUID
    created_at: datetime
    scheduled_at: datetime | None
    sender: str
    subject: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    reply_to: tuple[str, ...]
    message_id: str
    tags: tuple[tuple[str, str], ...] = ()
    size: int = 0
    """Bytes of content, about."""
    topic_id: UUID | None = None
    open_tracking: bool | None = None
    click_tracking: bool | None = None
    capture: bool = False
    """A test key sent it: none of it may leave."""
    campaign_id: UUID | None = None
    contact_id: UUID | None = None
    template_id: UUID | None = None


class StoredContent(NamedTuple):
    """The content of an email as it was accepted."""

    html: str | None
    text: str | None
    headers: tuple[tuple[str, str], ...]
    raw: bytes | None
    attachments: tuple[Attachment, ...] = ()
