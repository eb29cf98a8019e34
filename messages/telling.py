"""What applications are told of the timeline: each entry as an event of webhooks, in the same transaction.

One statement asks whether anybody listens and, if so, for what the emails say of themselves; without a listener it ends
there. The shapes are Resend's; what we know besides (recipient, IP, provider, code, class, verdict) stands beside them
under the names of the API's timeline.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from messages.entries import Entry, EventKind
from messages.model import MessageRef, NewEmail
from store import arrays
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

_READ = f"""
SELECT m.email_id, m.position, m.recipient, e.application_id, e.message_id, e.created_at, e.sender, e."to", e.subject,
       e.tags, e.lane, e.topic_id, e.scheduled_at
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
  JOIN messages m ON m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[])
  JOIN emails e ON e.id = u.email_id AND e.id = ANY(%(emails)s::uuid[])
 WHERE {outbox.LISTENED} AND e.application_id IN ({outbox.LISTENING})
"""

TOLD: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        "delivered": EventType.EMAIL_DELIVERED,
        "deferred": EventType.EMAIL_DELIVERY_DELAYED,
        "delayed": EventType.EMAIL_DELIVERY_DELAYED,
        "bounced": EventType.EMAIL_BOUNCED,
        "complained": EventType.EMAIL_COMPLAINED,
        "suppressed": EventType.EMAIL_SUPPRESSED,
        "expired": EventType.EMAIL_EXPIRED,
        "cancelled": EventType.EMAIL_CANCELLED,
        "failed": EventType.EMAIL_FAILED,
        "rerouted": EventType.EMAIL_REROUTED,
        "rescheduled": EventType.EMAIL_SCHEDULED,
        "opened": EventType.EMAIL_OPENED,
        "clicked": EventType.EMAIL_CLICKED,
        "unsubscribed": EventType.EMAIL_UNSUBSCRIBED,
    }
)
"""What each kind of entry is told as; one that is not here is told to nobody."""

_FULL: Final = "mailbox_full"
_CONTENT: Final = frozenset({"spam_content", "prohibited_content", "malformed_message", "policy"})
_NOT_KNOWN: Final = frozenset({"", "unclassified_permanent", "unclassified_temporary", "unknown_after_dot"})


@dataclass(frozen=True, slots=True)
class ToldEmail:
    """What an event says of the email it is about."""

    id: UUID
    application_id: UUID
    message_id: str
    created_at: datetime
    sender: str
    to: Sequence[str]
    subject: str
    tags: Sequence[tuple[str, str]]
    lane: str
    topic_id: UUID | None
    scheduled_at: datetime | None


async def tell(connection: Connection, entries: Sequence[Entry]) -> None:
    """Tell the applications that want to know, within the caller's transaction."""
    refs = list({MessageRef(entry.email_id, entry.position): None for entry in entries if entry.kind in TOLD})
    if not refs:
        return
    names = {"emails": arrays.uuids(r.email_id for r in refs), "positions": arrays.integers(r.position for r in refs)}
    rows = await (await connection.execute(_READ, names)).fetchall()
    if rows:
        known = {MessageRef(row[0], row[1]): (row[2], ToldEmail(row[0], *row[3:])) for row in rows}
        await outbox.append_known(connection, list(_events(entries, known)))


async def tell_scheduled(connection: Connection, emails: Sequence[NewEmail]) -> None:
    """Tell of emails that were accepted for later."""
    waiting = [email for email in emails if email.scheduled_at is not None]
    if waiting and await outbox.listened(connection):
        await outbox.append_known(connection, [_scheduled(email) for email in waiting])


def _events(entries: Sequence[Entry], known: Mapping[MessageRef, tuple[str, ToldEmail]]) -> Iterator[OutboxEvent]:
    """In the order of the entries; before the first that tells of a server, that the email was sent. A schedule is the
    email's, and told once for all recipients."""
    sent: set[UUID] = set()
    moved: dict[UUID, OutboxEvent] = {}
    for entry in entries:
        recipient, email = known.get(MessageRef(entry.email_id, entry.position), ("", None))
        if email is None or entry.kind not in TOLD:
            continue
        if entry.kind is EventKind.RESCHEDULED:
            moved.setdefault(email.id, _event(EventType.EMAIL_SCHEDULED, email, entry.at, about(email)))
            continue
        if entry.attempt is not None and (entry.ip or entry.capture) and email.id not in sent:
            sent.add(email.id)
            yield _event(EventType.EMAIL_SENT, email, entry.at, about(email), once=f"sent {email.id}")
        yield _event(TOLD[entry.kind], email, entry.at, _data(entry, recipient, email))
    yield from moved.values()


def _event(kind: EventType, email: ToldEmail, at: datetime, data: Mapping[str, object], once: str = "") -> OutboxEvent:
    return OutboxEvent(kind, email.application_id, at, data, str(email.id), once)


def about(email: ToldEmail) -> dict[str, object]:
    """The email, as every event of it shows it."""
    told: dict[str, object] = {
        "email_id": email.id,
        "message_id": email.message_id,
        "created_at": email.created_at,
        "from": email.sender,
        "to": list(email.to),
        "subject": email.subject,
        "tags": dict(email.tags),
        "stream": email.lane,
    }
    if email.topic_id is not None:
        told["topic_id"] = email.topic_id
    if email.scheduled_at is not None:
        told["scheduled_at"] = email.scheduled_at
    return told


def _scheduled(email: NewEmail) -> OutboxEvent:
    told = ToldEmail(
        email.id, email.application_id, email.message_id, email.created_at, email.sender, email.to, email.subject,
        email.tags, email.lane.value, email.topic_id, email.scheduled_at,
    )  # fmt: skip
    return _event(EventType.EMAIL_SCHEDULED, told, email.created_at, about(told))


def _data(entry: Entry, recipient: str, email: ToldEmail) -> dict[str, object]:
    facts = {
        "recipient": recipient, "attempt": entry.attempt, "ip": entry.ip, "provider": entry.provider, "mx": entry.mx,
        "tls": entry.tls, "phase": entry.phase, "code": entry.code, "enhanced": entry.enhanced, "reply": entry.reply,
        "verdict": entry.action, "class": entry.klass, "scope": entry.scope, "rule": entry.rule,
        "detail": entry.detail, "next_attempt_at": entry.next_attempt_at, "duration_ms": entry.duration_ms,
    }  # fmt: skip
    known = {name: value for name, value in facts.items() if value not in (None, "")}
    if entry.capture:
        known["captured"] = True
    return {**about(email), **known, **_resends(entry), **(entry.more or {})}


def _resends(entry: Entry) -> dict[str, Any]:
    """The object that Resend puts into events of this kind."""
    if entry.kind is EventKind.BOUNCED:
        return {"bounce": bounce(entry)}
    if entry.kind is EventKind.SUPPRESSED:
        reason = (entry.detail or "").removeprefix("suppressed: ")
        return {"suppressed": {"type": reason or "suppressed", "message": entry.detail or ""}}
    if entry.kind is EventKind.FAILED:
        return {"failed": {"reason": entry.detail or ""}}
    return {}


def bounce(entry: Entry) -> dict[str, object]:
    """Type and subtype in Resend's words. Permanent is only what speaks about the mailbox: programs that take people
    off their lists for it must not do so because an IP of ours, or what the mail said, was refused."""
    kind, sub = _bounce_type(entry.klass or "", entry.action or "")
    reply = " ".join(part for part in (str(entry.code or ""), entry.enhanced or "", entry.reply or "") if part)
    message = entry.reply or entry.detail or ""
    return {"type": kind, "subType": sub, "message": message, "diagnosticCode": [f"smtp; {reply}"] if reply else []}


def _bounce_type(klass: str, action: str) -> tuple[str, str]:
    if klass == _FULL:
        return "Transient", "MailboxFull"
    if klass == "message_too_large":
        return "Transient", "MessageTooLarge"
    if klass in _CONTENT:
        return "Transient", "ContentRejected"
    if klass in _NOT_KNOWN:
        return "Undetermined", "Undetermined"
    return ("Transient", "General") if action == "block" else ("Permanent", "General")
