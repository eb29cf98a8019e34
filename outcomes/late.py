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
from enum import StrEnum
from typing import Final

from core.queues import Lane
from messages.model import MessageRef
from messages.states import TERMINAL, Event, State, sources
from mta.model import Response, Verdict
from store import counters
from store.counters import Counted
from store.database import Connection
from suppression import repository as suppressions
from suppression.reasons import SuppressionEntry


class LateKind(StrEnum):
    """Kinds of events that are recorded here. `bounced` is the one an SMTP refusal has."""

    BOUNCED = "bounced"
    DELAYED = "delayed"
    COMPLAINED = "complained"


_COUNTED: Final = {LateKind.BOUNCED: "late_bounced", LateKind.COMPLAINED: "complained"}


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """What is stored about the message that a report is about."""

    ref: MessageRef
    address: str
    """Folded address of its recipient."""
    lane: Lane
    state: State
    ip: str
    """Egress IP it was delivered through, "" when it was not delivered (or its events are gone)."""
    provider: str
    complained: bool
    """A complaint about it was recorded before."""

    @property
    def under_way(self) -> bool:
        """Its outcome has not been recorded (yet)."""
        return self.state not in TERMINAL


@dataclass(frozen=True, slots=True)
class LateNews:
    """One thing heard about one message."""

    kind: LateKind
    at: datetime
    detail: str
    """Who said it, in words for the timeline."""
    mx: str = ""
    """The server that refused, as the report names it."""
    response: Response | None = None
    verdict: Verdict | None = None
    suppress: SuppressionEntry | None = None


async def find_message(connection: Connection, ref: MessageRef) -> KnownMessage | None:
    """The message with the IP and provider it was delivered through; None when it is not, or no longer, stored."""
    cursor = await connection.execute(
        "SELECT m.address, e.lane, m.state, d.ip, d.provider,"
        " EXISTS (SELECT FROM events v WHERE v.email_id = m.email_id AND v.position = m.position AND v.kind = %s)"
        " FROM messages m JOIN emails e ON e.id = m.email_id"
        " LEFT JOIN LATERAL (SELECT ip, provider FROM events v WHERE v.email_id = m.email_id"
        "  AND v.position = m.position AND v.kind = 'delivered' ORDER BY v.at DESC LIMIT 1) d ON true"
        " WHERE m.email_id = %s AND m.position = %s AND e.id = %s",
        [LateKind.COMPLAINED.value, ref.email_id, ref.position, ref.email_id],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    address, lane, state, ip, provider, complained = row
    return KnownMessage(ref, address, Lane(lane), State(state), ip or "", provider or "", bool(complained))


async def record_late_bounce(connection: Connection, message: KnownMessage, news: LateNews) -> bool:
    """Write event, counter and suppression of a failed delivery; returns whether the message moved to `bounced`."""
    cursor = await connection.execute(
        "UPDATE messages SET state = %s, updated_at = %s WHERE email_id = %s AND position = %s AND state = ANY(%s)",
        [
            State.BOUNCED.value,
            news.at,
            message.ref.email_id,
            message.ref.position,
            [state.value for state in sources(Event.LATE_BOUNCE)],
        ],
    )
    moved = cursor.rowcount == 1
    await record_late_news(connection, message, news, counted=moved)
    return moved


async def record_late_news(
    connection: Connection, message: KnownMessage, news: LateNews, *, counted: bool = True
) -> None:
    """Write event, counter and suppression of news that move no state."""
    await _write_event(connection, message, news)
    if counted and news.kind in _COUNTED:
        key = Counted(message.lane.value, message.provider, message.ip, _COUNTED[news.kind])
        await counters.add(connection, {key: 1})
    if news.suppress is not None:
        await suppressions.add(connection, [suppressions.Addition(message.address, news.suppress)])


async def _write_event(connection: Connection, message: KnownMessage, news: LateNews) -> None:
    response, verdict = news.response, news.verdict
    await connection.execute(
        "INSERT INTO events (email_id, position, at, kind, ip, provider, mx, code, enhanced, reply, action, class,"
        " scope, rule, detail) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            message.ref.email_id,
            message.ref.position,
            news.at,
            news.kind.value,
            message.ip or None,
            message.provider or None,
            news.mx or None,
            response.code if response else None,
            response.enhanced if response else None,
            response.text if response else None,
            verdict.action.value if verdict else None,
            verdict.klass if verdict else None,
            verdict.scope.value if verdict else None,
            verdict.rule if verdict else None,
            news.detail,
        ],
    )
