"""What applications are told of the timeline: each entry as an event of webhooks, in the same transaction.

One statement asks which types the applications of these entries want; what nobody wants costs no more than that. The
shapes are Resend's; what we know besides (recipient, IP, provider, code, class, verdict) stands beside them
under the names of the API's timeline.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from messages.entries import Entry, EventKind, Words
from messages.model import NewEmail
from mta.bounce_kinds import bounce_kind
from store import arrays
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

_READ = """
SELECT m.email_id, m.position, m.recipient, e.application_id, e.message_id, e.created_at, e.sender, e."to", e.subject,
       e.tags, e.lane, e.topic_id, e.scheduled_at, e.campaign_id, e.template_id
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
  JOIN messages m ON m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[])
  JOIN emails e ON e.id = u.email_id AND e.id = ANY(%(emails)s::uuid[])
"""

TOLD: Final[Mapping[EventKind, EventType]] = MappingProxyType(
    {
        EventKind.DELIVERED: EventType.EMAIL_DELIVERED,
        EventKind.DEFERRED: EventType.EMAIL_DELIVERY_DELAYED,
        EventKind.BOUNCED: EventType.EMAIL_BOUNCED,
        EventKind.COMPLAINED: EventType.EMAIL_COMPLAINED,
        EventKind.SUPPRESSED: EventType.EMAIL_SUPPRESSED,
        EventKind.EXPIRED: EventType.EMAIL_EXPIRED,
        EventKind.CANCELLED: EventType.EMAIL_CANCELLED,
        EventKind.FAILED: EventType.EMAIL_FAILED,
        EventKind.REROUTED: EventType.EMAIL_REROUTED,
        EventKind.RESCHEDULED: EventType.EMAIL_SCHEDULED,
        EventKind.OPENED: EventType.EMAIL_OPENED,
        EventKind.CLICKED: EventType.EMAIL_CLICKED,
        EventKind.UNSUBSCRIBED: EventType.EMAIL_UNSUBSCRIBED,
        EventKind.COMPLAINT_WITHDRAWN: EventType.EMAIL_COMPLAINT_WITHDRAWN,
    }
)
"""What each kind of entry is told as; one that is not here is told to nobody. `DELAYED` is not: the report that a
server further on still tries comes after we have delivered, and what applications know as delayed is not delivered."""

_OF_THE_EMAIL: Final = frozenset({EventType.EMAIL_SENT, EventType.EMAIL_SCHEDULED})
"""Told once for all its recipients."""

Wanted = Mapping[UUID, Collection[str]]
"""Types by application."""

_Ref = tuple[UUID, int]

_FACTS: Final = (
    "attempt", "ip", "provider", "mx", "tls", "phase", "code", "enhanced", "reply", "verdict", "class", "scope", "rule",
    "detail", "next_attempt_at", "duration_ms",
)  # fmt: skip
"""Names of an entry's fields from `attempt` on, as the API's timeline has them but for the verdict."""
_FIRST_FACT: Final = Entry._fields.index("attempt")


class ToldEmail(NamedTuple):
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
    campaign_id: UUID | None = None
    template_id: UUID | None = None

    @classmethod
    def of(cls, words: Words) -> "ToldEmail":
        """As its worker knows it."""
        e = words.email
        return cls(
            e.id, e.application_id, e.message_id, e.created_at, e.sender, e.to, e.subject, e.tags, words.lane.value,
            e.topic_id, e.scheduled_at, e.campaign_id, e.template_id,
        )  # fmt: skip


class _Message(NamedTuple):
    """A message with what all its events share, made once."""

    recipient: str
    application_id: UUID
    key: str
    about: dict[str, object]

    @classmethod
    def of(cls, recipient: str, email: ToldEmail) -> "_Message":
        return cls(recipient, email.application_id, str(email.id), about(email))


async def tell(connection: Connection, entries: Sequence[Entry]) -> None:
    """Tell the applications that want to know, within the caller's transaction."""
    told = [entry for entry in entries if entry.kind in TOLD and not entry.noted]
    owners = {entry.origin.application_id if entry.origin else None for entry in told}
    if not owners:
        return
    known = None if None in owners else {owner for owner in owners if owner}
    wanted = await outbox.wanted(connection, known)
    told = [entry for entry in told if _may_want(entry, wanted)] if wanted else []
    if told:
        messages = await _messages(connection, told)
        await outbox.append_known(connection, list(_events(told, messages, wanted)))


def _may_want(entry: Entry, wanted: Wanted) -> bool:
    if entry.origin is None:
        return bool(wanted)
    types = wanted.get(entry.origin.application_id, ())
    return TOLD[entry.kind] in types or EventType.EMAIL_SENT in types


async def _messages(connection: Connection, entries: Sequence[Entry]) -> dict[_Ref, _Message]:
    """The message of each entry; one that is no longer stored is left out."""
    found: dict[_Ref, _Message] = {}
    unknown: dict[_Ref, None] = {}
    for entry in entries:
        ref = entry.email_id, entry.position
        if entry.words is None:
            unknown[ref] = None
        elif ref not in found:
            found[ref] = _Message.of(entry.words.recipient, ToldEmail.of(entry.words))
    left = [ref for ref in unknown if ref not in found]
    return found | await _read(connection, left) if left else found


async def _read(connection: Connection, refs: Sequence[_Ref]) -> dict[_Ref, _Message]:
    names = {"emails": arrays.uuids(email for email, _ in refs), "positions": arrays.integers(at for _, at in refs)}
    rows = await (await connection.execute(_READ, names)).fetchall()
    return {(row[0], row[1]): _Message.of(row[2], ToldEmail(row[0], *row[3:])) for row in rows}


async def tell_scheduled(connection: Connection, emails: Sequence[NewEmail]) -> None:
    """Tell of emails that were accepted for later."""
    if emails and await outbox.listened(connection):
        await outbox.append_known(connection, [_scheduled(email) for email in emails])


def _events(entries: Sequence[Entry], messages: Mapping[_Ref, _Message], wanted: Wanted) -> Iterator[OutboxEvent]:
    """In the order of the entries; before the first that tells of a server, that the email was sent. A schedule is the
    email's, and told once for all recipients."""
    told: set[tuple[str, EventType]] = set()
    for entry in entries:
        message = messages.get((entry.email_id, entry.position))
        if message is None:
            continue
        types = wanted.get(message.application_id, ())
        for kind in _kinds(entry):
            whole = kind in _OF_THE_EMAIL
            if kind not in types or (whole and (message.key, kind) in told):
                continue
            told.add((message.key, kind))
            data = message.about if whole else _data(entry, message)
            once = f"sent {message.key}" if kind is EventType.EMAIL_SENT else ""
            yield OutboxEvent(kind, message.application_id, entry.at, data, message.key, once)


def _kinds(entry: Entry) -> tuple[EventType, ...]:
    """What an entry is told as. The first try says that its email was sent, also of a mail that was only captured."""
    tried = entry.attempt is not None and bool(entry.ip or (entry.capture and entry.code))
    return (EventType.EMAIL_SENT, TOLD[entry.kind]) if tried else (TOLD[entry.kind],)


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
    if email.campaign_id is not None:
        told["broadcast_id"] = email.campaign_id
    if email.template_id is not None:
        told["template_id"] = email.template_id
    if email.scheduled_at is not None:
        told["scheduled_at"] = email.scheduled_at
    return told


def _scheduled(email: NewEmail) -> OutboxEvent:
    told = ToldEmail(
        email.id, email.application_id, email.message_id, email.created_at, email.sender, email.to, email.subject,
        email.tags, email.lane.value, email.topic_id, email.scheduled_at, email.campaign_id, email.template_id,
    )  # fmt: skip
    return OutboxEvent(EventType.EMAIL_SCHEDULED, email.application_id, email.created_at, about(told), str(email.id))


def _data(entry: Entry, message: _Message) -> dict[str, object]:
    data = {**message.about, "recipient": message.recipient}
    for name, value in zip(_FACTS, entry[_FIRST_FACT:], strict=False):
        if value is not None and value != "":
            data[name] = value
    if entry.capture:
        data["captured"] = True
    if entry.kind is not EventKind.DELIVERED:
        data.update(_resends(entry))
    if entry.more:
        data.update(entry.more)
    return data


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
    """Type and subtype in Resend's words (`mta/bounce_kinds`), and what the server said."""
    kind = bounce_kind(entry.klass or "")
    reply = " ".join(part for part in (str(entry.code or ""), entry.enhanced or "", entry.reply or "") if part)
    message = entry.reply or entry.detail or ""
    return {
        "type": kind.permanence.capitalize(),
        "subType": kind.sub,
        "message": message,
        "diagnosticCode": [f"smtp; {reply}"] if reply else [],
    }
