"""What is heard about messages after their SMTP sessions: bounce reports, notices of delay, complaints.

Recorded in one transaction with the mark on the received mail (`outcomes/reports`), so that a report counts once. The
one move of a state is `delivered` → `bounced` by the event `late_bounce`; every other state stays, and the event says
what was heard. In particular a message that is still on its way is not ended: its queue row belongs to a worker, whose
next attempt finds the truth, or the suppression entry that is written here ends it at the claim.

Counters: a late bounce counts as `late_bounced`, not as `bounced`, because the message has been counted as delivered
and both together would be more than was accepted. Provider and IP are those it was delivered through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from core.queues import Lane
from messages import moves, timeline
from messages.model import MessageRef
from messages.states import TERMINAL, State
from messages.timeline import Entry, EventKind
from mta.model import Response, Verdict
from store import arrays
from store.counters import Counted
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

_FIND = """
SELECT m.email_id, m.position, m.address, e.application_id, e.lane, m.state, d.ip, d.provider,
       coalesce(c.kind = 'complained', false), m.capture
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
  JOIN messages m ON m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[])
  JOIN emails e ON e.id = u.email_id AND e.id = ANY(%(emails)s::uuid[])
  LEFT JOIN LATERAL (SELECT v.ip, v.provider FROM events v WHERE v.email_id = m.email_id AND v.position = m.position
     AND v.kind = 'delivered' ORDER BY v.at DESC LIMIT 1) d ON true
  LEFT JOIN LATERAL (SELECT v.kind FROM events v WHERE v.email_id = m.email_id AND v.position = m.position
     AND v.kind IN ('complained', 'complaint_withdrawn') ORDER BY v.at DESC LIMIT 1) c ON true
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
    complained: bool
    """A complaint about it was recorded before, and not taken back."""
    capture: bool = False
    """It never left: nothing that is heard about it counts, or keeps real mail from its recipient."""

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
    rows = await (await connection.execute(_FIND, names)).fetchall() if wanted else []
    return {message.ref: message for message in map(_known, rows)}


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
    bounces = [(message, news) for message, news in told if news.kind is EventKind.BOUNCED]
    moved = await moves.bounce_late(connection, {message.ref: news.at for message, news in bounces})
    await timeline.write(connection, [_entry(m, news, changes=_changes(m, news, moved)) for m, news in told])
    struck = [failed for m, news in bounces if m.ref in moved and (failed := _strike(m, news)) is not None]
    soft = await soft_bounces.observe(connection, struck, rule)
    additions = [addition for m, news in told if (addition := _addition(m, news)) is not None]
    if additions or soft:
        await adding.add(connection, [*additions, *soft])
    taken_back = [m for m, news in told if news.kind is EventKind.COMPLAINT_WITHDRAWN]
    await withdraw(connection, [(message.address, message.ref.email_id) for message in taken_back])
    return moved


async def record_late_news(connection: Connection, message: KnownMessage, news: LateNews) -> None:
    """One of these."""
    await record_news(connection, [(message, news)])


def _known(row: TupleRow) -> KnownMessage:
    email, position, address, application, lane, state, ip, provider, complained, capture = row
    return KnownMessage(
        MessageRef(email, position), address, application, Lane(lane), State(state), ip or "", provider or "",
        complained, capture,
    )  # fmt: skip


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
    return Counted(message.lane.value, message.provider, message.ip, _COUNTED[news.kind], klass)


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
