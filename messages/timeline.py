"""The timeline of messages: what happened to each, and how often what happened. The only writer of `events`.

Everything that tells a story about a message (an outcome, a cancellation, late news) becomes an `Entry` and passes
`write`, in the transaction that makes it true. It moves no state and decides nothing.

Whose mail an entry counts for is looked up here unless its writer knows it (`messages/origins`).
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from messages.origins import complete
from store import counters
from store.counters import Counted, Origin
from store.database import Connection


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
    DELAYED = "delayed"
    """A report by mail that the remote still tries."""
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


class Entry(NamedTuple):
    """One event of one message; what does not apply is None. The fields up to `pool_id` are the columns, in their
    order, so that COPY takes an entry as it is."""

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
    counted: Counted | None = None
    """What is added to the counters of the hour for it, None for nothing."""
    origin: Origin | None = None
    """Whose mail it is; None: to be looked up."""


_COPY = (
    "COPY events (email_id, position, at, kind, attempt, ip, provider, mx, tls, phase, code, enhanced, reply, action,"
    " class, scope, rule, detail, next_attempt_at, duration_ms, pool_id) FROM STDIN"
)
_COLUMNS: Final = Entry._fields.index("pool_id") + 1


async def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write these events and count them, within the caller's transaction."""
    if not entries:
        return
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for entry in entries:
            await copy.write_row(entry[:_COLUMNS])
    counts = [((entry.email_id, entry.position), entry.counted, entry.origin) for entry in entries if entry.counted]
    await counters.add(connection, Counter(await complete(connection, counts)))
