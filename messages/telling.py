"""What applications are told of the timeline: each entry as an event of webhooks, in the same transaction.

One statement asks which types the applications of these entries want; what nobody wants costs no more than that. The
shapes are Resend's; what we know besides (recipient, IP, provider, code, class, verdict) stands beside them
under the names of the API's timeline.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import orjson

from messages.entries import Entry, EventKind
from messages.model import NewEmail
from mta.bounce_kinds import bounce_kind
from store import arrays
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent, Pair

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

_SENT: Final = EventType.EMAIL_SENT
_DELIVERED: Final = EventKind.DELIVERED
"""Taken out of their enumerations once, which do it in Python."""
_OF_THE_EMAIL: Final = frozenset({_SENT, EventType.EMAIL_SCHEDULED})
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


class _ReadMessage(NamedTuple):
    """`Words` as the tables have them."""

    recipient: str
    lane: str
    email: _ReadEmail


async def tell(connection: Connection, entries: Sequence[Entry]) -> None:
    """Tell the applications that want to know, within the caller's transaction."""
    told = [entry for entry in entries if entry.kind in TOLD and not entry.noted]
    if not told:
        return
    origins = [entry.origin for entry in told if entry.origin is not None]
    owners = {origin.application_id.int: origin.application_id for origin in origins}
    known = owners.values() if len(origins) == len(told) else None
    wanted = {owner.int: types for owner, types in (await outbox.wanted(connection, known)).items()}
    if wanted:
        events, pairs = _events(told, await _read(connection, _unknown(told, wanted)), wanted)
        await outbox.append_known(connection, events, pairs)


def _unknown(entries: Sequence[Entry], wanted: Wanted) -> Sequence[_Ref]:
    """The messages that have to be read: nobody has at hand what is told of them, and somebody may want it told."""
    refs = {
        (entry.email_id, entry.position): None
        for entry in entries
        if entry.words is None
        and (entry.origin is None or _kinds(entry, wanted.get(entry.origin.application_id.int, ())))
    }
    return list(refs)


async def _read(connection: Connection, refs: Sequence[_Ref]) -> dict[_Ref, _ReadMessage]:
    """Those that are still stored."""
    if not refs:
        return {}
    names = {"emails": arrays.uuids(email for email, _ in refs), "positions": arrays.integers(at for _, at in refs)}
    rows = await (await connection.execute(_READ, names)).fetchall()
    return {(row[0], row[1]): _ReadMessage(row[2], row[3], _ReadEmail(row[0], *row[4:])) for row in rows}


async def tell_scheduled(connection: Connection, emails: Sequence[NewEmail]) -> None:
    """Tell of emails that were accepted for later."""
    if emails and await outbox.listened(connection):
        await outbox.append_known(connection, [_scheduled(email) for email in emails])


def _events(
    entries: Sequence[Entry], read: Mapping[_Ref, _ReadMessage], wanted: Wanted
) -> tuple[Sequence[OutboxEvent], Sequence[Pair]]:
    """In the order of the entries; before the first that tells of a server, that the email was sent. A schedule is the
    email's, and told once for all recipients."""
    events: list[OutboxEvent] = []
    pairs: list[Pair] = []
    told: dict[str, tuple[EventType, ...]] = {}
    for entry in entries:
        message = entry.words or read.get((entry.email_id, entry.position))
        if message is None:
            continue
        email, owner = message.email, message.email.application_id
        kinds = _kinds(entry, wanted.get(owner.int, ()))
        if not kinds:
            continue
        key = _text(email.id)
        about = _about(email, key, message.lane)
        before = told.get(key, ())
        told[key] = before + kinds
        if len(kinds) == _PAIR and not before and _is_first(entry):
            beyond = _beyond(entry, message.recipient)
            pairs.append(Pair(kinds[1], owner, entry.at, about, key, beyond))
            continue
        for kind in kinds:
            if kind not in _OF_THE_EMAIL:
                data = outbox.joined(about, _beyond(entry, message.recipient))
                events.append(OutboxEvent(kind, owner, entry.at, data, key))
            elif kind not in before:
                once = outbox.once_sent(key) if kind is _SENT else ""
                events.append(OutboxEvent(kind, owner, entry.at, about, key, once))
    return events, pairs


def _is_first(entry: Entry) -> bool:
    """Whether nobody has told before that the email was sent, as far as one can see: this was the first try to reach
    its first recipient, and it names no other. Being wrong costs some time (`outbox.append_known`)."""
    if entry.words is None or entry.attempt != 1 or entry.position:
        return False
    email = entry.words.email
    return len(email.to) + len(email.cc) == 1


def _kinds(entry: Entry, types: Collection[str]) -> tuple[EventType, ...]:
    """What an entry is told as, of what is wanted. The first try says that its email was sent, also of a mail that was
    only captured."""
    kind = TOLD[entry.kind]
    kinds = (kind,) if kind in types else ()
    tried = entry.attempt is not None and bool(entry.ip or (entry.capture and entry.code))
    return (_SENT, *kinds) if tried and _SENT in types else kinds


def _text(email: UUID) -> str:
    """As `str` writes it, which takes four times as long."""
    return orjson.dumps(email)[1:-1].decode()


def _about(email: Told, key: str, lane: str) -> dict[str, object]:
    """The email, as every event of it shows it."""
    told: dict[str, object] = {
        "email_id": key,
        "message_id": email.message_id,
        "created_at": email.created_at,
        "from": email.sender,
        "to": email.to,
        "subject": email.subject,
        "tags": dict(email.tags),
        "stream": str(lane),
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
    key = _text(email.id)
    told = _about(email, key, email.lane)
    return OutboxEvent(EventType.EMAIL_SCHEDULED, email.application_id, email.created_at, told, key)


def _beyond(entry: Entry, recipient: str) -> bytes:
    """What is told of it besides the email, as JSON. `more` says nothing by a name that stands here."""
    data: dict[str, object] = {}
    if entry.attempt is not None:
        data["attempt"] = entry.attempt
    if entry.reply:
        data["reply"] = entry.reply
    if entry.detail:
        data["detail"] = entry.detail
    if entry.next_attempt_at is not None:
        data["next_attempt_at"] = entry.next_attempt_at
    if entry.duration_ms is not None:
        data["duration_ms"] = entry.duration_ms
    if entry.capture:
        data["captured"] = True
    if entry.kind is not _DELIVERED:
        data.update(_resends(entry))
    if entry.more:
        data.update(entry.more)
    begun = b'{"recipient":%b%b' % (orjson.dumps(recipient), _lasting(entry[_SERVER], entry[_VERDICT]))
    return begun + b"," + outbox.written(data)[1:] if data else begun + b"}"


@lru_cache(10_000)
def _lasting(server: tuple[Any, ...], verdict: tuple[Any, ...]) -> bytes:
    """What there is of it, by name, as it follows in an object."""
    facts = zip(_LASTING, server + verdict, strict=True)
    data = {name: value for name, value in facts if value is not None and value != ""}
    return b"," + outbox.written(data)[1:-1] if data else b""


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
