"""Campaigns and automations that a restored backup brought back: they may have gone on since it was made.

Whoever got mail in that time does not stand in the copy. So nothing of them that was due by now leaves before a person
has looked; what is due at a time still ahead goes on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from campaigns import repository
from campaigns.model import Campaign
from campaigns.states import Act, CampaignState
from messages import halted
from store.database import Connection

WHY: Final = "restored from a backup: it may have gone on since"

_DISABLE: Final = """
UPDATE automations SET state = 'disabled', next_at = NULL, updated_at = now()
 WHERE state = 'enabled' AND next_at <= now()
"""
_END_RUNS: Final = """
UPDATE automation_runs SET state = 'cancelled', reason = %s, ended_at = now(), due_at = NULL
 WHERE state = 'running' AND due_at <= now()
"""


@dataclass(frozen=True, slots=True)
class PutAside:
    """How many."""

    campaigns: int
    """Paused."""
    automations: int
    """Disabled, whose rule's day came since."""
    runs: int
    """Of people in automations, ended: their next mail may have left."""


async def put_aside(connection: Connection) -> PutAside:
    """Keep from going on whatever may have gone on. Nothing else may use the database yet."""
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None
    found = await repository.in_states(connection, (CampaignState.SENDING, CampaignState.SCHEDULED))
    going = [one for one in found if _may_go(one, row[0])]
    for campaign in going:
        act = Act.PAUSE if campaign.state is CampaignState.SENDING else Act.ASK
        await repository.move(connection, campaign, act, WHY)
        await halted.halt(connection, campaign.id, WHY)
    disabled = (await connection.execute(_DISABLE)).rowcount
    return PutAside(len(going), disabled, (await connection.execute(_END_RUNS, [WHY])).rowcount)


def _may_go(campaign: Campaign, now: datetime) -> bool:
    begins = campaign.plan.begins(campaign.scheduled_at)
    return campaign.state is CampaignState.SENDING or begins is None or begins <= now
