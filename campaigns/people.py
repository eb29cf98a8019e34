"""Whom a campaign may write to, as SQL: who is in its segment, and what forbids mail to somebody of it.

Both are the audience's own answers (`audience/audiences`, `suppression/predicate`, `audience/predicate`); here they
become parts of the two statements that ask: the one that fixes the audience, and the one that puts mail into the queue.
"""

from typing import Any, Final

from audience.predicate import LEFT, NOT_ASKED_FOR, PAUSED, refusing
from campaigns.model import Campaign
from campaigns.states import RowState
from store.database import Connection
from suppression.predicate import forbidding
from suppression.reasons import Reason

UNCONFIRMED: Final = "unconfirmed"

_LIST: Final = """
SELECT c.id, c.address FROM segment_members m JOIN contacts c ON c.id = m.contact_id
 WHERE m.segment_id = %(segment)s AND c.application_id = %(application)s AND m.status <> 'unsubscribed'
"""
_EVERYBODY: Final = "SELECT c.id, c.address FROM contacts c WHERE c.application_id = %(application)s"

_OUTCOMES: Final = {
    Reason.UNSUBSCRIBE.value: RowState.UNSUBSCRIBED,
    LEFT: RowState.UNSUBSCRIBED,
    NOT_ASKED_FOR: RowState.UNSUBSCRIBED,
    PAUSED: RowState.UNSUBSCRIBED,
    UNCONFIRMED: RowState.UNCONFIRMED,
}


async def question(connection: Connection, campaign: Campaign) -> tuple[str, dict[str, Any]]:
    """SELECT of `id` and `address` of the people in its segment, with what it names."""
    names = {"segment": campaign.segment_id, "application": campaign.application_id}
    return (_LIST if campaign.segment_id else _EVERYBODY), names


def ineligible(row: str) -> str:
    """An expression: why the person in `row` may not get the mail, NULL when they may. `row` has the columns `address`,
    `lane`, `application_id`, `topic_id` and `status`, of a contact."""
    return f"""CASE WHEN {row}.status = 'unconfirmed' THEN '{UNCONFIRMED}'
    ELSE coalesce((SELECT s.reason {forbidding(row)} LIMIT 1), {refusing(row)}) END"""


def outcomes() -> dict[str, RowState]:
    """Outcomes by reason, where it is another one than "suppressed"."""
    return dict(_OUTCOMES)


def outcome_of(reason: str) -> RowState:
    """The outcome of a row whose person may not get the mail for this reason."""
    return _OUTCOMES.get(reason, RowState.SUPPRESSED)
