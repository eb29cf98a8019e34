"""What the timeline of a message holds: one entry for each thing that happened to it. Values only."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from core.queues import Lane
from messages.model import StoredEmail
from store.counters import Counted, Origin


class EventKind(StrEnum):
    """Kinds of events in the timeline of a message."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REROUTED = "rerouted"
    RESCHEDULED = "rescheduled"
    SENT_AGAIN = "sent_again"
    """A person or program sent the same once more, as another email (`messages/again`)."""
    DELAYED = "delayed"
    """A report by mail that the remote still tries."""
    COMPLAINED = "complained"
    COMPLAINT_WITHDRAWN = "complaint_withdrawn"
    """The recipient took it back."""
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


class Words(NamedTuple):
    """What is told of the message that an entry is about."""

    recipient: str
    lane: Lane
    email: StoredEmail


class Entry(NamedTuple):
    """One event of one message; what does not apply is None. The fields up to `engagement` are the columns."""

    email_id: UUID
    position: int
    at: datetime
    kind: EventKind
    attempt: int | None = None
    ip: str | None = None
    provider: str | None = None
    mx: str | None = None
    tls: str | None = None
    phase: str | None = None
    code: int | None = None
    enhanced: str | None = None
    reply: str | None = None
    action: str | None = None
    klass: str | None = None
    scope: str | None = None
    rule: str | None = None
    detail: str | None = None
    next_attempt_at: datetime | None = None
    duration_ms: int | None = None
    pool_id: UUID | None = None
    """The pool it left through."""
    engagement: str | None = None
    """Of an open or click: who followed which link, as JSON (`outcomes/engagement`)."""
    counted: Counted | None = None
    """What is added to the counters of the hour for it, None for nothing."""
    origin: Origin | None = None
    """Whose mail it is; None: to be looked up."""
    more: Mapping[str, object] | None = None
    """What the application is told of it besides, such as `{"click": {"link": …}}`; not kept in the timeline."""
    capture: bool = False
    """It is about a message that never left."""
    words: Words | None = None
    """What is told of its message; None: to be read where somebody wants to know. A worker has it at hand."""
    noted: bool = False
    """It changes nothing about the message, such as a failure that is reported of one still on its way: applications
    are told what follows from it, and nothing of this."""
