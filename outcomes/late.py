"""What is heard about messages after their SMTP sessions: bounce reports, notices of delay, complaints.

Recorded in one transaction with the mark on the received mail (`outcomes/reports`), so that a report counts once. The
one move of a state is `delivered` → `bounced` by the event `late_bounce`; every other state stays, and the event says
what was heard. In particular a message that is still on its way is not ended: its queue row belongs to a worker, whose
next attempt finds the truth, or the suppression entry that is written here ends it at the claim.

Counters: a late bounce counts as `late_bounced`, not as `bounced`, because the message has been counted as delivered
and both together would be more than was accepted. Provider and IP are those it was delivered through. A complaint
counts in the hour in which it came; one that is taken back is taken out of that hour, so that whoever judges by
complaints judges by those that stand.

Whoever has a mail of ours can write reports about it for ever: of each kind so many are told (`MOST_HEARD`), and no
more.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from core import tracing
from core.queues import Lane
from core.tracing import Span
from messages import moves, timeline
from messages.model import MessageRef
from messages.states import TERMINAL, State
from messages.timeline import Entry, EventKind
from mta.model import Response, Verdict
from store import arrays, counters
from store.counters import Counted, Origin, origin
from store.database import Connection
from store.locks import Lock
from suppression import adding, soft_bounces
from suppression.entries import Addition
from suppression.reasons import SuppressionEntry
from suppression.rules import BY_DEFAULT, SoftBounceRule, strike_of
from suppression.soft_bounces import MailboxNews
from suppression.withdrawing import withdraw

_COUNTED: Final = {
    EventKind.BOUNCED: "late_bounced",
    EventKind.COMPLAINED: "complained",
    EventKind.COMPLAINT_WITHDRAWN: "complaint_withdrawn",
}

MOST_HEARD: Final = {
    EventKind.DELAYED: 10,
    EventKind.BOUNCED: 5,
    EventKind.COMPLAINED: 3,
    EventKind.COMPLAINT_WITHDRAWN: 2,
}
"""Events of each kind in the timeline of one message that reports may cause. One complaint more than may be taken back,
so that in the end it stands."""

_TO_AND_FRO: Final = (EventKind.COMPLAINED, EventKind.COMPLAINT_WITHDRAWN)
"""Of these the last one about a message decides whether its recipient is suppressed."""
_TICK: Final = timedelta(microseconds=1)
"""The least that PostgreSQL tells apart."""

_FIND = """
SELECT m.email_id, m.position, m.address, e.application_id, e.lane, m.state, m.capture, e.domain_id, e.topic_id, e.tags
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
  JOIN messages m ON m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[])
  JOIN emails e ON e.id = u.email_id AND e.id = ANY(%(emails)s::uuid[])
"""

_HEARD = """
SELECT v.email_id, v.position, v.kind, v.at, v.ip, v.provider, v.pool_id
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
  JOIN events v ON v.email_id = u.email_id AND v.position = u.position AND v.email_id = ANY(%(emails)s::uuid[])
 WHERE v.kind IN ('delivered', 'delayed', 'bounced', 'complained', 'complaint_withdrawn') ORDER BY v.at
"""


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """What is stored about the message that a report is about."""

    ref: MessageRef
    address: str
    """Folded address of its recipient."""
    application_id: UUID
    lane: Lane
    state: State
    ip: str
    """Egress IP it was delivered through, "" when it was not delivered (or its events are gone)."""
    provider: str
    capture: bool = False
    """It never left: nothing that is heard about it counts, or keeps real mail from its recipient."""
    pool_id: UUID | None = None
    """The pool it left through."""
    origin: Origin | None = None
    complained_at: datetime | None = None
    """When somebody complained about it who has not taken that back."""
    last_word_at: datetime | None = None
    """When somebody last complained about it, or took that back."""
    heard: Mapping[EventKind, int] = field(default_factory=dict)
    """How often its timeline says what."""

    @property
    def complained(self) -> bool:
        """A complaint about it was recorded before, and not taken back."""
        return self.complained_at is not None

    def word_at(self, received_at: datetime) -> datetime:
        """The time of a complaint, or of its withdrawal, that is heard now: behind the last one, because the timeline
        has them in the order of their times, and whole batches are received at one."""
        return max(received_at, self.last_word_at + _TICK) if self.last_word_at else received_at

    def has_heard_enough(self, kind: EventKind) -> bool:
        """Whether its timeline holds all that reports may write into it of this kind."""
        return self.heard.get(kind, 0) >= MOST_HEARD[kind]

    def after(self, news: "LateNews") -> "KnownMessage":
        """As the next report finds it."""
        known = replace(self, heard={**self.heard, news.kind: self.heard.get(news.kind, 0) + 1})
        if news.kind is EventKind.BOUNCED and self.state is State.DELIVERED:
            return replace(known, state=State.BOUNCED)
        if news.kind in (EventKind.COMPLAINED, EventKind.COMPLAINT_WITHDRAWN):
            complained_at = news.at if news.kind is EventKind.COMPLAINED else None
            return replace(known, complained_at=complained_at, last_word_at=news.at)
        return known

    @property
    def under_way(self) -> bool:
        """Its outcome has not been recorded (yet)."""
        return self.state not in TERMINAL


@dataclass(frozen=True, slots=True)
class LateNews:
    """One thing heard about one message."""

    kind: EventKind
    at: datetime
    detail: str
    """Who said it, in words for the timeline."""
    mx: str = ""
    """The server that refused, as the report names it."""
    response: Response | None = None
    verdict: Verdict | None = None
    suppress: SuppressionEntry | None = None
    only_for: UUID | None = None
    """The application whose mail alone it forbids; None: everybody's."""
    counts_for_mailbox: bool = True
    """A failure may count against the mailbox: it is ours, and the report is certain."""


Told = tuple[KnownMessage, LateNews]


async def take_turn(connection: Connection) -> None:
    """Wait until nobody else tells news, and keep others from it to the end of the transaction: two reports about one
    message, read at the same time, would both be the first."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", [Lock.LATE_NEWS])


async def find_messages(connection: Connection, refs: Sequence[MessageRef]) -> dict[MessageRef, KnownMessage]:
    """The messages with IP and provider they were delivered through; those no longer stored are left out.

    Not locked: whoever records outcomes locks many messages in whatever order. Who tells news takes turns instead.
    """
    wanted = sorted(set(refs))
    names = {
        "emails": arrays.uuids(r.email_id for r in wanted),
        "positions": arrays.integers(r.position for r in wanted),
    }
    if not wanted:
        return {}
    heard: defaultdict[MessageRef, list[TupleRow]] = defaultdict(list)
    for email, position, *event in await (await connection.execute(_HEARD, names)).fetchall():
        heard[MessageRef(email, position)].append(tuple(event))
    rows = await (await connection.execute(_FIND, names)).fetchall()
    return {message.ref: message for row in rows if (message := _known(row, heard[MessageRef(row[0], row[1])]))}


async def find_message(connection: Connection, ref: MessageRef) -> KnownMessage | None:
    """One of these."""
    return (await find_messages(connection, [ref])).get(ref)


async def messages_of(connection: Connection, email_id: UUID, named: Sequence[str]) -> MessageRef | None:
    """The one message of an email that a report can be about: its only one, or the one to an address that is named."""
    cursor = await connection.execute("SELECT position, address FROM messages WHERE email_id = %s", [email_id])
    rows = await cursor.fetchall()
    meant = rows if len(rows) == 1 else [row for row in rows if row[1] in named]
    return MessageRef(email_id, meant[0][0]) if len(meant) == 1 else None


async def record_news(
    connection: Connection, told: Sequence[Told], rule: SoftBounceRule = BY_DEFAULT
) -> set[MessageRef]:
    """Write events, counters and suppressions of these, in their order; returns which messages moved to `bounced`.
    `rule` says when soft bounces suppress."""
    begun = time.time_ns()
    bounces = [(message, news) for message, news in told if news.kind is EventKind.BOUNCED]
    moved = await moves.bounce_late(connection, {message.ref: news.at for message, news in bounces})
    await timeline.write(connection, [_entry(m, news, changes=_changes(m, news, moved)) for m, news in told])
    struck = [failed for m, news in bounces if m.ref in moved and (failed := _strike(m, news)) is not None]
    soft = await soft_bounces.observe(connection, struck, rule)
    stands = {m.ref: news for m, news in told if news.kind in _TO_AND_FRO}
    lasting = [(m, news) for m, news in told if stands.get(m.ref, news) is news or news.kind not in _TO_AND_FRO]
    additions = [addition for m, news in lasting if (addition := _addition(m, news)) is not None]
    if additions or soft:
        await adding.add(connection, [*additions, *soft])
    withdrawn = EventKind.COMPLAINT_WITHDRAWN
    await withdraw(connection, [(m.address, m.ref.email_id) for m, news in lasting if news.kind is withdrawn])
    await _uncount(connection, [m for m, news in told if news.kind is withdrawn])
    _trace(told, begun)
    return moved


def _trace(told: Sequence[Told], begun: int) -> None:
    if not tracing.on():
        return
    for message, news in told:
        email_id = message.ref.email_id
        if not tracing.is_traced(email_id):
            continue
        place = tracing.of_moment(email_id, news.at.isoformat())
        about = tracing.known(
            {
                "postlane.message_id": str(message.ref),
                "postlane.event": news.kind.value,
                "postlane.ip": message.ip,
                "postlane.provider": message.provider,
                "postlane.code": news.response.code if news.response else "",
            }
        )
        tracing.note(Span("report", place, tracing.root(email_id).span, begun, time.time_ns(), about, "consumer"))


async def _uncount(connection: Connection, messages: Sequence[KnownMessage]) -> None:
    """Take complaints out of the counters that their authors withdrew, each message as it was before."""
    counted = Counter(_taken_back(message) for message in messages if message.complained and not message.capture)
    await counters.add(connection, {what: -times for what, times in counted.items()})


async def record_late_news(connection: Connection, message: KnownMessage, news: LateNews) -> None:
    """One of these."""
    await record_news(connection, [(message, news)])


def _known(row: TupleRow, events: Sequence[TupleRow]) -> KnownMessage:
    """`events`: kind, time, IP, provider, pool; oldest first."""
    email, position, address, application, lane, state, capture, domain, topic, tags = row
    message = KnownMessage(
        MessageRef(email, position), address, application, Lane(lane), State(state), "", "", capture,
        origin=origin(application, domain, topic, tuple((name, value) for name, value in tags), capture),
        heard=Counter(EventKind(event[0]) for event in events),
    )  # fmt: skip
    for kind, at, ip, provider, pool in events:
        if kind == EventKind.DELIVERED:
            message = replace(message, ip=ip or "", provider=provider or "", pool_id=pool)
        elif kind in (EventKind.COMPLAINED, EventKind.COMPLAINT_WITHDRAWN):
            message = replace(message, complained_at=at if kind == EventKind.COMPLAINED else None, last_word_at=at)
    return message


def _changes(message: KnownMessage, news: LateNews, moved: set[MessageRef]) -> bool:
    """Whether anything is different now: a failure of a message that is not delivered is only noted."""
    return news.kind is not EventKind.BOUNCED or message.ref in moved


def _addition(message: KnownMessage, news: LateNews) -> Addition | None:
    if news.suppress is None or message.capture:
        return None
    owner, source = message.application_id, message.ref.email_id
    return Addition(message.address, news.suppress, owner, news.only_for, source_id=source)


def _strike(message: KnownMessage, news: LateNews) -> MailboxNews | None:
    """How a late bounce counts against the mailbox, None when it does not."""
    verdict = news.verdict
    if verdict is None or news.suppress is not None or message.capture or not news.counts_for_mailbox:
        return None
    strike = strike_of(verdict.klass, verdict.scope, verdict.rule)
    reply = news.response.text if news.response else ""
    ref = message.ref
    return (
        MailboxNews(message.address, ref.email_id, news.at, strike, reply, message.application_id) if strike else None
    )


def _counts(message: KnownMessage, news: LateNews) -> Counted:
    klass = news.verdict.klass if news.verdict else ""
    hour = news.at if news.kind is EventKind.COMPLAINED else None
    return Counted(message.lane.value, message.provider, message.ip, _COUNTED[news.kind], klass, message.pool_id, hour)


def _taken_back(message: KnownMessage) -> tuple[Counted, Origin | None]:
    """What was counted for a complaint that is withdrawn now."""
    counted = Counted(
        message.lane.value, message.provider, message.ip, _COUNTED[EventKind.COMPLAINED], "", message.pool_id,
        message.complained_at,
    )  # fmt: skip
    return counted, message.origin


def _entry(message: KnownMessage, news: LateNews, *, changes: bool) -> Entry:
    counts = changes and news.kind in _COUNTED and not message.capture
    entry = Entry(
        *message.ref,
        news.at,
        news.kind,
        ip=message.ip or None,
        provider=message.provider or None,
        mx=news.mx or None,
        detail=news.detail,
        counted=_counts(message, news) if counts else None,
        origin=message.origin,
        capture=message.capture,
        noted=not changes,
    )
    if news.response is not None:
        response = news.response
        entry = entry._replace(code=response.code, enhanced=response.enhanced, reply=response.text)
    if news.verdict is not None:
        v = news.verdict
        entry = entry._replace(action=v.action.value, klass=v.klass, scope=v.scope.value, rule=v.rule)
    return entry
