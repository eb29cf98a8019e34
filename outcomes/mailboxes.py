"""What outcomes say about the mailboxes they are about: it took a mail, or the mail ended because of it.

For the count of soft bounces. One email counts once, however often it was tried: what its last verdict blamed. An email
that ran out of time while it waited says nothing itself; its last deferral does.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from messages.model import MessageRef
from messages.states import State
from outcomes.kinds import Outcome
from store import arrays
from store.database import Connection
from suppression.rules import Strike, strike_of
from suppression.soft_bounces import MailboxNews

_LAST_DEFERRALS: Final = """
SELECT DISTINCT ON (email_id, position) email_id, position, class, scope, rule, coalesce(reply, '')
  FROM events WHERE email_id = ANY(%s) AND kind = 'deferred' AND class IS NOT NULL
 ORDER BY email_id, position, at DESC
"""

_at: Final = attrgetter("at")

Blame = tuple[Strike | None, str]
"""How the mailbox failed, and in which words."""


async def mailbox_news(connection: Connection, moved: Sequence[Outcome]) -> list[MailboxNews]:
    """What outcomes that moved their messages say, in the order of their times."""
    waited = [o for o in moved if o.state is State.EXPIRED and o.attempt is None and o.attempts]
    blames = await _last_deferrals(connection, waited) if waited else {}
    news = []
    for outcome in sorted(moved, key=_at):
        if outcome.state is State.DELIVERED:
            news.append(MailboxNews(outcome.address, outcome.ref.email_id, outcome.at, None))
            continue
        strike, reply = blames.get(outcome.ref) or _blame(outcome)
        if strike:
            news.append(MailboxNews(outcome.address, outcome.ref.email_id, outcome.at, strike, reply))
    return news


def _blame(outcome: Outcome) -> Blame:
    a = outcome.attempt
    if a is None or outcome.suppress or outcome.state not in (State.BOUNCED, State.EXPIRED):
        return None, ""
    return strike_of(a.klass, a.scope, a.rule), f"{a.code} {a.enhanced} {a.reply}".strip()


async def _last_deferrals(connection: Connection, waited: Sequence[Outcome]) -> dict[MessageRef, Blame]:
    cursor = await connection.execute(_LAST_DEFERRALS, [arrays.uuids(o.ref.email_id for o in waited)])
    return {
        MessageRef(email, position): (strike_of(klass, scope, rule), reply)
        for email, position, klass, scope, rule, reply in await cursor.fetchall()
    }
