"""Send windows hold what is in the queue, too: mail that was made, put off or held leaves within the promised hours, or
not before they come again.

A campaign is halted from the moment on at which its window closes, written down some seconds before, so that the claim
knows to the microsecond; when the window opens its mail is due. Whoever pauses it meanwhile takes that over.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from campaigns import repository
from campaigns.model import Campaign
from campaigns.plan import Window
from campaigns.states import CampaignState
from messages import halted
from store.clock import transaction_time
from store.database import Connection, Database

AHEAD: Final = timedelta(minutes=1)
"""So long before it closes that is written down: duties may be late."""


def shut_from(window: Window | None, now: datetime) -> datetime | None:
    """From when on nothing may leave; None: that is further ahead. Pure."""
    if window is None:
        return None
    if not window.is_open(now):
        return now
    closes = window.closes(now)
    return closes if closes - now <= AHEAD and not window.is_open(closes) else None


async def keep(database: Database) -> None:
    """Halt what may not leave from now on, or soon; let go what may leave again."""
    async with database.connection() as connection:
        sending = await repository.in_states(connection, [CampaignState.SENDING])
        known = await halted.outside_of_window(connection)
        now = await transaction_time(connection) if known or any(one.plan.window for one in sending) else None
    if now is None:
        return
    for campaign in sending:
        if (shut_from(campaign.plan.window, now) is not None) != (campaign.id in known):
            async with database.transaction() as connection:
                if await repository.hold(connection, campaign.id, CampaignState.SENDING):
                    await shut(connection, campaign)
    async with database.transaction() as connection:
        await _forget(connection, known - {campaign.id for campaign in sending})


async def shut(connection: Connection, campaign: Campaign) -> None:
    """As its window wants it now. The caller holds the campaign, which is sending."""
    at = shut_from(campaign.plan.window, await transaction_time(connection))
    if at is not None:
        await halted.halt_from(connection, campaign.id, at)
    elif await halted.open_window(connection, campaign.id):
        await repository.went_on(connection, campaign.id)


async def _forget(connection: Connection, ended: set[UUID]) -> None:
    for campaign_id in ended:
        if not await repository.hold(connection, campaign_id, CampaignState.SENDING):  # else it could not be read
            await halted.open_window(connection, campaign_id)
