"""What applications are told of the timeline: each entry as an event of webhooks, in the same transaction.

One statement asks which types the applications of these entries want; what nobody wants costs no more than that. The
shapes are Resend's; what we know besides (recipient, IP, provider, code, class, verdict) stands beside them
under the names of the API's timeline.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from messages.entries import Entry, EventKind
from messages.model import NewEmail
from mta.bounce_kinds import bounce_kind
from store import arrays
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

_READ = """
SELECT m.email_id, m.position, m.recipient, e.lane, e.application_id, e.message_id, e.created_at, e.sender, e."to",
       e.subject, e.tags, e.topic_id, e.scheduled_at, e.campaign_id, e.template_id
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
_PAIR: Final = 2

Wanted = Mapping[int, Collection[str]]
"""Types by application, as a number: ids hash in Python."""

_Ref = tuple[UUID, int]

_LASTING: Final = (
    "ip", "provider", "mx", "tls", "phase", "code", "enhanced", "verdict", "class", "scope", "rule",
)  # fmt: skip
"""What is the same of many entries, as the API's timeline calls it but for the verdict."""
_SERVER: Final = slice(Entry._fields.index("ip"), Entry._fields.index("enhanced") + 1)
_VERDICT: Final = slice(Entry._fields.index("action"), Entry._fields.index("rule") + 1)


class Told(Protocol):
    """What an event says of the email it is about, besides its lane."""

    @property
    def id(self) -> UUID: ...
    @property
    def application_id(self) -> UUID: ...
    @property
    def message_id(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def sender(self) -> str: ...
    @property
    def to(self) -> Sequence[str]: ...
    @property
    def subject(self) -> str: ...
    @property
    def tags(self) -> Sequence[tuple[str, str]]: ...
    @property
    def topic_id(self) -> UUID | None: ...
    @property
    def scheduled_at(self) -> datetime | None: ...
    @property
    def campaign_id(self) -> UUID | None: ...
    @property
    def template_id(self) -> UUID | None: ...


class _ReadEmail(NamedTuple):
    """As the table has it."""

    id: UUID
    application_id: UUID
    message_id: str
    created_at: datetime
    sender: str
    to: Sequence[str]
    subject: str
    tags: Sequence[tuple[str, str]]
    topic_id: UUID | None
    scheduled_at: datetime | None
    campaign_id: UUID | None
    template_id: UUID | None


class _Message(NamedTuple):
    """A message with what all its events share."""

    recipient: str
    application_id: UUID
    key: str
    about: dict[str, object]

    @classmethod
    def of(cls, recipient: str, email: Told, lane: str) -> "_Message":
        return cls(recipient, email.application_id, str(email.id), about(email, lane))


async def tell(connection: Connection, entries: Sequence[Entry]) -> None:
    """Tell the applications that want to know, within the caller's transaction."""
    told = [entry for entry in entries if entry.kind in TOLD and not entry.noted]
    if not told:
        return
    owners = {entry.origin.application_id.int: entry.origin.application_id for entry in told if entry.origin}
    known = None if any(entry.origin is None for entry in told) else owners.values()
    wanted = {owner.int: types for owner, types in (await outbox.wanted(connection, known)).items()}
    told = [entry for entry in told if _may_want(entry, wanted)] if wanted else []
    if told:
        messages = await _messages(connection, told)
        await outbox.append_known(connection, list(_events(told, messages, wanted)))


def _may_want(entry: Entry, wanted: Wanted) -> bool:
    if entry.origin is None:
        return bool(wanted)
    types = wanted.get(entry.origin.application_id.int, ())
    return TOLD[entry.kind] in types or EventType.EMAIL_SENT in types


async def _messages(connection: Connection, entries: Sequence[Entry]) -> Sequence[_Message | None]:
    """The message of each entry; None for one that is no longer stored."""
    unknown = {(entry.email_id, entry.position): None for entry in entries if entry.words is None}
    read = await _read(connection, list(unknown)) if unknown else {}
    return [
        _Message.of(w.recipient, w.email, w.lane.value) if (w := entry.words) is not None
        else read.get((entry.email_id, entry.position))
        for entry in entries
    ]  # fmt: skip


async def _read(connection: Connection, refs: Sequence[_Ref]) -> dict[_Ref, _Message]:
    names = {"emails": arrays.uuids(email for email, _ in refs), "positions": arrays.integers(at for _, at in refs)}
    rows = await (await connection.execute(_READ, names)).fetchall()
    return {(row[0], row[1]): _Message.of(row[2], _ReadEmail(row[0], *row[4:]), row[3]) for row in rows}


async def tell_scheduled(connection: Connection, emails: Sequence[NewEmail]) -> None:
    """Tell of emails that were accepted for later."""
    if emails and await outbox.listened(connection):
        await outbox.append_known(connection, [_scheduled(email) for email in emails])


def _events(entries: Sequence[Entry], messages: Sequence[_Message | None], wanted: Wanted) -> Iterator[OutboxEvent]:
    """In the order of the entries; before the first that tells of a server, that the email was sent. A schedule is the
    email's, and told once for all recipients."""
    told: set[tuple[str, EventType]] = set()
    begun: set[str] = set()
    for entry, message in zip(entries, messages, strict=True):
        if message is None:
            continue
        key, owner = message.key, message.application_id
        types = wanted.get(owner.int, ())
        kinds = [
            kind for kind in _kinds(entry) if kind in types and not (kind in _OF_THE_EMAIL and (key, kind) in told)
        ]
        if len(kinds) == _PAIR and key not in begun and _is_first(entry):
            beyond = _beyond(entry, message)
            yield OutboxEvent(kinds[1], owner, entry.at, beyond, key, _once(key), ahead=message.about)
        else:
            for kind in kinds:
                data = message.about if kind in _OF_THE_EMAIL else message.about | _beyond(entry, message)
                once = _once(key) if kind is EventType.EMAIL_SENT else ""
                yield OutboxEvent(kind, owner, entry.at, data, key, once)
        if kinds:
            begun.add(key)
            told.update((key, kind) for kind in kinds)


def _once(key: str) -> str:
    """That it was sent is told once of an email."""
    return f"sent {key}"


def _is_first(entry: Entry) -> bool:
    """Whether nobody has told before that the email was sent, as far as one can see: this was the first try to reach
    its first recipient, and it names no other. Being wrong costs some time (`outbox.append_known`)."""
    if entry.words is None or entry.attempt != 1 or entry.position:
        return False
    email = entry.words.email
    return len(email.to) + len(email.cc) == 1


def _kinds(entry: Entry) -> tuple[EventType, ...]:
    """What an entry is told as. The first try says that its email was sent, also of a mail that was only captured."""
    tried = entry.attempt is not None and bool(entry.ip or (entry.capture and entry.code))
    return (EventType.EMAIL_SENT, TOLD[entry.kind]) if tried else (TOLD[entry.kind],)


def about(email: Told, lane: str) -> dict[str, object]:
    """The email, as every event of it shows it."""
    told: dict[str, object] = {
        "email_id": email.id,
        "message_id": email.message_id,
        "created_at": email.created_at,
        "from": email.sender,
        "to": email.to,
        "subject": email.subject,
        "tags": dict(email.tags),
        "stream": lane,
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
    told = about(email, email.lane.value)
    return OutboxEvent(EventType.EMAIL_SCHEDULED, email.application_id, email.created_at, told, str(email.id))


def _beyond(entry: Entry, message: _Message) -> dict[str, object]:
    """What is told of it besides the email."""
    data: dict[str, object] = {"recipient": message.recipient, **_lasting((entry[_SERVER], entry[_VERDICT]))}
    for name, value in (
        ("attempt", entry.attempt), ("reply", entry.reply), ("detail", entry.detail),
        ("next_attempt_at", entry.next_attempt_at), ("duration_ms", entry.duration_ms),
    ):  # fmt: skip
        if value is not None and value != "":
            data[name] = value
    if entry.capture:
        data["captured"] = True
    if entry.kind is not EventKind.DELIVERED:
        data.update(_resends(entry))
    if entry.more:
        data.update(entry.more)
    return data


@lru_cache(10_000)
def _lasting(facts: tuple[tuple[Any, ...], tuple[Any, ...]]) -> Mapping[str, object]:
    """By name, what there is of it."""
    return {
        name: value
        for name, value in zip(_LASTING, facts[0] + facts[1], strict=True)
        if value is not None and value != ""
    }


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
