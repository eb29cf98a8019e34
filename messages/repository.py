"""Emails as the API shows them, and the two things it may do to one on its way: cancel it, move its schedule.

Reads never lock. `cancel` and `reschedule` are one statement each and touch only queue rows that nobody holds
(`messages/held`): a row under a live claim may be on the wire this very moment, and nobody can take that back. The
claim skips a row that is being changed here, and a change waits for a claim that is being made; so a message is either
sent or cancelled, not both. The caller commits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.paging import Page, Window, cut
from messages import personal, timeline
from messages.held import FREE, NEXT_ATTEMPT
from messages.model import MessageRef
from messages.states import Event, State, sources
from messages.timeline import Entry, EventKind
from store.counters import Counted
from store.database import Connection

MAX_EVENTS: Final = 5000
"""Events shown of one email: 50 recipients with all their attempts are about half of that."""

_SUMMARY = """
SELECT e.id, e.message_id, e.sender, e."to", e.cc, e.bcc, e.reply_to, e.subject, e.created_at, e.scheduled_at, e.lane,
       e.capture
  FROM emails e
"""

_DETAIL = """
SELECT e.id, e.message_id, e.sender, e."to", e.cc, e.bcc, e.reply_to, e.subject, e.created_at, e.scheduled_at, e.lane,
       e.capture, e.tags, e.expires_at, c.html, c.body, e.topic_id, e.template_id, e.content_id, e.contact_id,
       e.campaign_id, coalesce(c.kept, false), e.again_of, e.again_of_position
  FROM emails e LEFT JOIN LATERAL (
    SELECT html, body, coalesce(html, body) IS NOT NULL OR raw IS NOT NULL AS kept
      FROM contents WHERE id = e.content_id OFFSET 0) c ON true
 WHERE e.id = %(email)s AND e.application_id = %(application)s AND (e.capture OR NOT %(tests)s)
"""

_RECIPIENTS = f"""
SELECT m.recipient, m.kind, m.state, m.attempts, m.updated_at,
       CASE WHEN q.due_at > now() THEN {NEXT_ATTEMPT} END, q.hold, m.capture
  FROM messages m LEFT JOIN delivery_queue q ON q.email_id = m.email_id AND q.position = m.position
 WHERE m.email_id = %(email)s ORDER BY m.position
"""

_STATES = """
SELECT email_id, array_agg(DISTINCT state), sum(attempts) FROM messages
 WHERE email_id = ANY(%(emails)s) GROUP BY email_id
"""

# Whoever complained and did not take it back counts before who clicked, who clicked before who opened. Machines do not.
_HEARD = """
SELECT email_id, CASE WHEN count(*) FILTER (WHERE kind = 'complained')
                           > count(*) FILTER (WHERE kind = 'complaint_withdrawn') THEN 'complained'
                      WHEN bool_or(kind = 'clicked') THEN 'clicked'
                      WHEN bool_or(kind = 'opened') THEN 'opened' ELSE '' END
  FROM events
 WHERE email_id = ANY(%(emails)s) AND kind IN ('clicked', 'complained', 'complaint_withdrawn', 'opened')
   AND engagement->>'machine' IS NULL
 GROUP BY email_id
"""

_EVENTS = """
SELECT v.kind, v.at, m.recipient, v.attempt, v.ip, v.provider, v.mx, v.tls, v.phase, v.code, v.enhanced, v.reply,
       v.action, v.class, v.scope, v.rule, v.detail, v.next_attempt_at, v.duration_ms,
       v.engagement
  FROM events v JOIN messages m ON m.email_id = v.email_id AND m.position = v.position
 WHERE v.email_id = %(email)s AND m.email_id = %(email)s ORDER BY v.at, v.position, v.attempt LIMIT %(limit)s
"""

_CANCEL = f"""
WITH gone AS (
  DELETE FROM delivery_queue q WHERE q.email_id = %(email)s AND {FREE}
  RETURNING q.position, q.lane, q.capture
), moved AS (
  UPDATE messages m SET state = %(state)s, updated_at = now() FROM gone
   WHERE m.email_id = %(email)s AND m.position = gone.position AND m.state = ANY(%(sources)s)
)
SELECT position, lane, capture, now() FROM gone
"""

# The email's row is locked first: two changes of one schedule take turns, so `expires_at` moves by the right amount.
_RESCHEDULE = f"""
WITH mail AS (
  SELECT id, scheduled_at FROM emails WHERE id = %(email)s AND scheduled_at IS NOT NULL FOR UPDATE
), moved AS (
  UPDATE delivery_queue q SET due_at = %(at)s, claimed_by = NULL, claimed_at = NULL, hold = NULL, breaker = NULL,
         expires_at = q.expires_at + (%(at)s - mail.scheduled_at)
    FROM mail, messages m
   WHERE q.email_id = mail.id AND {FREE}
     AND m.email_id = %(email)s AND m.position = q.position AND m.state = ANY(%(sources)s)
  RETURNING q.position
), shown AS (
  UPDATE emails e SET scheduled_at = %(at)s, expires_at = e.expires_at + (%(at)s - mail.scheduled_at)
    FROM mail WHERE e.id = mail.id AND e.id = %(email)s AND EXISTS (SELECT FROM moved)
)
SELECT position, now() FROM moved
"""


@dataclass(frozen=True, slots=True)
class RecipientView:
    """One message of an email."""

    recipient: str
    kind: str
    state: State
    attempts: int
    updated_at: datetime
    next_attempt_at: datetime | None
    """None when it is due now, under way, or ended."""
    waits_for: str | None = None
    """Why no IP could take it when it was looked at last."""
    captured: bool = False
    """It ends in the sandbox, and never leaves."""


@dataclass(frozen=True, slots=True)
class EmailSummary:
    """An email without its content. `states` are those its messages are in, each once; `attempts` their sum."""

    id: UUID
    message_id: str
    sender: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    subject: str
    created_at: datetime
    scheduled_at: datetime | None
    lane: str
    test: bool
    """A test key sent it: nothing of it leaves."""
    states: tuple[State, ...]
    attempts: int
    heard: str = ""
    """What was heard of a recipient after the delivery and says most: `complained`, `clicked` or `opened`."""


@dataclass(frozen=True, slots=True)
class EmailDetail:
    """An email with its content, as far as retention has left it."""

    summary: EmailSummary
    tags: tuple[tuple[str, str], ...]
    expires_at: datetime | None
    html: str | None
    text: str | None
    recipients: tuple[RecipientView, ...]
    topic_id: UUID | None = None
    template_id: UUID | None = None
    campaign_id: UUID | None = None
    kept: bool = False
    """A content of its own is stored, as it was accepted."""
    again_of: MessageRef | None = None
    """The message that it repeats (`messages/again`)."""


@dataclass(frozen=True, slots=True)
class EventView:
    """One row of the timeline; what does not apply is None."""

    kind: str
    at: datetime
    recipient: str
    attempt: int | None
    ip: str | None
    provider: str | None
    mx: str | None
    tls: str | None
    phase: str | None
    code: int | None
    enhanced: str | None
    reply: str | None
    action: str | None
    klass: str | None
    scope: str | None
    rule: str | None
    detail: str | None
    next_attempt_at: datetime | None
    duration_ms: int | None
    engagement: Mapping[str, Any] | None = None
    """Of an open or click: who followed which link."""


@dataclass(frozen=True, slots=True)
class Change:
    """How many messages a cancel or reschedule moved, and the states they are all in now."""

    moved: int
    states: tuple[State, ...]


async def find_email(
    connection: Connection, application_id: UUID, email_id: UUID, *, tests_only: bool = False
) -> EmailDetail | None:
    """An email of this application, if only tests are wanted one that a test key sent. So too below."""
    names = {"email": email_id, "application": application_id, "tests": tests_only}
    row = await (await connection.execute(_DETAIL, names)).fetchone()
    if row is None:
        return None
    recipients = tuple(
        RecipientView(recipient, kind, State(state), attempts, updated, due, hold, capture)
        for recipient, kind, state, attempts, updated, due, hold, capture in await (
            await connection.execute(_RECIPIENTS, names)
        ).fetchall()
    )
    tags, expires_at, html, text, topic_id, template_id, content_id, contact_id, campaign_id, kept, again = row[12:23]
    if contact_id is not None and content_id != email_id:  # a campaign's
        html, text = await personal.shown(connection, content_id, contact_id)
    states = tuple({r.state for r in recipients})
    heard = (await _heard(connection, [email_id])).get(email_id, "")
    summary = _summary(row[:12], states, sum(r.attempts for r in recipients), heard)
    return EmailDetail(
        summary, tuple((n, v) for n, v in tags), expires_at, html, text, recipients, topic_id, template_id, campaign_id,
        kept, MessageRef(again, row[23]) if again else None,
    )  # fmt: skip


async def list_emails(
    connection: Connection, application_id: UUID, window: Window[UUID], *, tests_only: bool = False
) -> Page[EmailSummary]:
    """The application's emails, newest first."""
    if window.before is not None:
        condition, order = "AND e.id > %(before)s", "ASC"
    else:
        condition, order = ("AND e.id < %(after)s" if window.after else ""), "DESC"
    if tests_only:
        condition += " AND e.capture"
    cursor = await connection.execute(
        f"{_SUMMARY} WHERE e.application_id = %(application)s {condition} ORDER BY e.id {order} LIMIT %(limit)s",
        {
            "application": application_id, "after": window.after, "before": window.before,
            "limit": window.limit and window.limit + 1,
        },
    )  # fmt: skip
    page = cut(await cursor.fetchall(), window)
    emails = [row[0] for row in page.entries]
    found, heard = await _states(connection, emails), await _heard(connection, emails)
    return page.map(lambda row: _summary(row, *found.get(row[0], ((), 0)), heard.get(row[0], "")))


async def read_events(connection: Connection, email_id: UUID) -> tuple[list[EventView], bool]:
    """The first `MAX_EVENTS` events of an email, oldest first, and whether there are more."""
    cursor = await connection.execute(_EVENTS, {"email": email_id, "limit": MAX_EVENTS + 1})
    rows = await cursor.fetchall()
    return [EventView(*row) for row in rows[:MAX_EVENTS]], len(rows) > MAX_EVENTS


async def cancel(
    connection: Connection, application_id: UUID, email_id: UUID, detail: str, *, tests_only: bool = False
) -> Change | None:
    """End what has not been sent of an email. None when the application has no such email."""
    if not await _owns(connection, application_id, email_id, tests_only):
        return None
    names = {"email": email_id, "state": State.CANCELLED.value, "sources": _names(Event.CANCEL)}
    gone = await (await connection.execute(_CANCEL, names)).fetchall()
    kind = EventKind.CANCELLED
    entries = [
        Entry(email_id, position, at, kind, detail=detail, counted=_counted(lane, kind, capture), capture=capture)
        for position, lane, capture, at in gone
    ]
    return await _changed(connection, email_id, entries)


async def reschedule(
    connection: Connection, application_id: UUID, email_id: UUID, at: datetime, *, tests_only: bool = False
) -> Change | None:
    """Move the schedule of an email that still waits for it; its expiry moves with it. None: no such email."""
    if not await _owns(connection, application_id, email_id, tests_only):
        return None
    names = {"email": email_id, "at": at, "sources": _names(Event.RESCHEDULE)}
    moved = await (await connection.execute(_RESCHEDULE, names)).fetchall()
    entries = [Entry(email_id, position, now, EventKind.RESCHEDULED, next_attempt_at=at) for position, now in moved]
    return await _changed(connection, email_id, entries)


async def _changed(connection: Connection, email_id: UUID, entries: Sequence[Entry]) -> Change:
    """Tell the timeline of a change, one entry a moved message; the answer for the caller."""
    await timeline.write(connection, entries)
    states, _ = (await _states(connection, [email_id])).get(email_id, ((), 0))
    return Change(len(entries), states)


async def applications_of(connection: Connection, emails: Sequence[UUID]) -> dict[UUID, UUID]:
    """Whose emails these are; one that is no longer stored is left out."""
    cursor = await connection.execute("SELECT id, application_id FROM emails WHERE id = ANY(%s)", [list(emails)])
    return dict(await cursor.fetchall())


def _counted(lane: str, kind: EventKind, capture: bool) -> Counted | None:
    """What never leaves counts nowhere."""
    return None if capture else Counted(lane, "", "", kind.value)


def _names(event: Event) -> list[str]:
    return sorted(state.value for state in sources(event))


async def _owns(connection: Connection, application_id: UUID, email_id: UUID, tests_only: bool) -> bool:
    cursor = await connection.execute(
        "SELECT 1 FROM emails WHERE id = %s AND application_id = %s AND (capture OR NOT %s)",
        [email_id, application_id, tests_only],
    )
    return await cursor.fetchone() is not None


async def _states(connection: Connection, emails: Sequence[UUID]) -> dict[UUID, tuple[tuple[State, ...], int]]:
    """The states of the messages of these emails, and the attempts made for each email."""
    if not emails:
        return {}
    cursor = await connection.execute(_STATES, {"emails": list(emails)})
    return {email: (_as_states(states), int(attempts)) for email, states, attempts in await cursor.fetchall()}


async def _heard(connection: Connection, emails: Sequence[UUID]) -> dict[UUID, str]:
    """What was heard after the delivery of these emails; without those of which nothing was."""
    if not emails:
        return {}
    return dict(await (await connection.execute(_HEARD, {"emails": list(emails)})).fetchall())


def _as_states(values: Iterable[str]) -> tuple[State, ...]:
    return tuple(State(value) for value in values)


def _summary(row: Sequence[Any], states: tuple[State, ...], attempts: int, heard: str) -> EmailSummary:
    return EmailSummary(*(*row, states, attempts, heard))
