"""Whom a campaign may write to, as SQL: who is in its segment, and what forbids mail to somebody of it.

Both are the audience's own answers (`audience/audiences`, `audience/eligibility`); here they become parts of the two
statements that ask: the one that fixes the audience, and the one that puts mail into the queue.
"""

from collections.abc import Sequence
from typing import Any, Final

from audience import audiences, eligibility, segments
from audience.eligibility import OUTCOMES, Moment, Rules
from campaigns import following, repository
from campaigns.following import Whom
from campaigns.model import Campaign
from campaigns.states import RowState
from core.queues import Lane
from core.refusal import conflict
from store.database import Connection
from store.tables import compiled

__all__ = ["COLUMNS", "Moment", "Rules", "eligible", "outcome_of", "question", "rules_in_turn"]

COLUMNS: Final = (
    "c.id, c.address, c.status, c.confirmed_at, c.created_at, c.time_zone, c.application_id,"
    f" '{Lane.MARKETING}' AS lane, %(topic)s::uuid AS topic_id"
)
"""Of a contact `c`, what is asked of a person."""

Part = tuple[str, dict[str, Any]]
"""SQL with what it names."""


async def question(connection: Connection, campaign: Campaign, more: Sequence[str] = ()) -> Part:
    """SELECT of `id`, `address` and `more` columns of the people in its segment, or of those of the campaign that it
    follows. Raises Refused: that cannot be asked any more."""
    if campaign.follow is not None:
        missed = campaign.follow.whom is Whom.MISSED
        return following.people(
            campaign.follow, await repository.related(connection, campaign.id) if missed else (), more
        )
    if campaign.segment_id is None or campaign.started_at is None:
        raise conflict("it has no segment")
    segment = await segments.get(connection, campaign.application_id, campaign.segment_id)
    whom = await segments.audience(connection, segment)
    return compiled(audiences.people(campaign.application_id, whom, campaign.started_at, more))


def there(rules: Rules) -> str:
    """An expression: whether the person in `p`, with `created_at`, was there when the campaign began, and on its list.
    It names what `eligible` names. Shaped as one look at the list for each of a slice: joined, all of it is read."""
    if rules.list_id is None:
        return "p.created_at <= %(e_now)s"
    return """p.created_at <= %(e_now)s AND (SELECT j.added_at <= %(e_now)s FROM segment_members j
      WHERE j.segment_id = %(e_list)s AND j.contact_id = p.id) IS NOT FALSE"""


def eligible(rules: Rules, moment: Moment, engaged_at: str = "") -> Part:
    """An expression: why the person in `p`, a row of `COLUMNS`, may not get the mail; NULL when they may. `engaged_at`
    as in `eligibility.ineligible`."""
    return eligibility.ineligible("p", rules, moment, engaged_at), eligibility.names(rules)


async def rules_of(connection: Connection, campaign: Campaign) -> Rules:
    """What holds for its people."""
    segment = campaign.segment_id and await segments.find(connection, campaign.application_id, campaign.segment_id)
    list_id = segment.id if segment and segment.filter is None else None
    whose = (campaign.id, campaign.topic_id, list_id)
    assert campaign.started_at is not None, "it has begun"
    heard = campaign.heard_since or await eligibility.heard_since(connection, campaign.application_id)
    return await eligibility.rules_for(connection, whose, heard, campaign.started_at)


async def rules_in_turn(connection: Connection, campaign: Campaign, moment: Moment) -> Rules:
    """The same for whoever decides. Until the end of the transaction nobody else decides about those of its topic,
    where that could be one too many. Whoever holds the campaign would keep its pause waiting here: ask this first."""
    rules = await rules_of(connection, campaign)
    if moment is Moment.FIXING or rules.policy.most_per_week is not None:
        await eligibility.alone(connection, campaign.topic_id)
    return rules


def outcome_of(reason: str) -> RowState:
    """The outcome of a row whose person may not get the mail for this reason."""
    return RowState(OUTCOMES.get(reason, RowState.SUPPRESSED))
