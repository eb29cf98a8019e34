"""What is heard about a message after its SMTP session: bounce reports, notices of delay, complaints.

Recorded in one transaction with the mark on the received mail (`outcomes/reports`), so that a report counts once. The
one move of a state is `delivered` → `bounced` by the event `late_bounce`; every other state stays, and the event says
what was heard. In particular a message that is still on its way is not ended: its queue row belongs to a worker, whose
next attempt finds the truth, or the suppression entry that is written here ends it at the claim.

Counters: a late bounce counts as `late_bounced`, not as `bounced`, because the message has been counted as delivered
and both together would be more than was accepted. Provider and IP are those it was delivered through.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.queues import Lane
from messages import moves, timeline
from messages.model import MessageRef
from messages.states import TERMINAL, State
from messages.timeline import Entry, EventKind
from mta.model import Response, Verdict
from store.counters import Counted
from store.database import Connection
from suppression import adding, soft_bounces
from suppression.entries import Addition
from suppression.reasons import SuppressionEntry
from suppression.rules import BY_DEFAULT, SoftBounceRule, strike_of
from suppression.soft_bounces import MailboxNews

_COUNTED: Final = {EventKind.BOUNCED: "late_bounced", EventKind.COMPLAINED: "complained"}


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
    """A complaint about it was recorded before."""
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


async def find_message(connection: Connection, ref: MessageRef) -> KnownMessage | None:
    """The message with the IP and provider it was delivered through; None when it is not, or no longer, stored."""
    cursor = await connection.execute(
        "SELECT m.address, e.application_id, e.lane, m.state, d.ip, d.provider,"
        " EXISTS (SELECT FROM events v WHERE v.email_id = m.email_id AND v.position = m.position AND v.kind = %s),"
        " m.capture"
        " FROM messages m JOIN emails e ON e.id = m.email_id"
        " LEFT JOIN LATERAL (SELECT ip, provider FROM events v WHERE v.email_id = m.email_id"
        "  AND v.position = m.position AND v.kind = 'delivered' ORDER BY v.at DESC LIMIT 1) d ON true"
        " WHERE m.email_id = %s AND m.position = %s AND e.id = %s",
        [EventKind.COMPLAINED.value, ref.email_id, ref.position, ref.email_id],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    address, application, lane, state, ip, provider, complained, capture = row
    return KnownMessage(
        ref, address, application, Lane(lane), State(state), ip or "", provider or "", bool(complained), capture
    )


async def record_late_bounce(
    connection: Connection, message: KnownMessage, news: LateNews, rule: SoftBounceRule = BY_DEFAULT
) -> bool:
    """Write event, counter and suppression of a failed delivery; returns whether the message moved to `bounced`.
    `rule` says when soft bounces suppress."""
    moved = await moves.bounce_late(connection, message.ref, news.at)
    await record_late_news(connection, message, news, counted=moved)
    v = news.verdict
    counts = moved and news.suppress is None and not message.capture
    strike = strike_of(v.klass, v.scope, v.rule) if v and counts else None
    if strike:
        reply = news.response.text if news.response else ""
        failed = MailboxNews(message.address, message.ref.email_id, news.at, strike, reply, message.application_id)
        await adding.add(connection, await soft_bounces.observe(connection, [failed], rule))
    return moved


async def record_late_news(
    connection: Connection, message: KnownMessage, news: LateNews, *, counted: bool = True
) -> None:
    """Write event, counter and suppression of news that move no state."""
    await timeline.write(connection, [_entry(message, news, counted=counted)])
    if news.suppress is not None and not message.capture:
        owner, source = message.application_id, message.ref.email_id
        addition = Addition(message.address, news.suppress, owner, news.only_for, source_id=source)
        await adding.add(connection, [addition])


def _counts(message: KnownMessage, news: LateNews) -> Counted:
    klass = news.verdict.klass if news.verdict else ""
    return Counted(message.lane.value, message.provider, message.ip, _COUNTED[news.kind], klass)


def _entry(message: KnownMessage, news: LateNews, *, counted: bool) -> Entry:
    counts = counted and news.kind in _COUNTED and not message.capture
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
    )
    if news.response is not None:
        response = news.response
        entry = entry._replace(code=response.code, enhanced=response.enhanced, reply=response.text)
    if news.verdict is not None:
        v = news.verdict
        entry = entry._replace(action=v.action.value, klass=v.klass, scope=v.scope.value, rule=v.rule)
    return entry
