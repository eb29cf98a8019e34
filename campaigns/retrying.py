"""Trying again those of a campaign whose mail failed, in slices: they may be hundreds of thousands.

Asking notes the time; rows that had ended by then are turned to `waiting` in the background, in the order of their ids,
and the campaign is not finished before all are. Who fails again after that is not tried a third time. How many they are
is known at once from the tallies. Whoever gets the same by a campaign to those who missed this one is left alone: a
person gets one mail.
"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from campaigns import repository, tallies
from campaigns.following import DEAD, GETS_IT
from campaigns.model import Campaign
from campaigns.states import CampaignState, RowState
from campaigns.tallies import HARD_BOUNCED
from store.database import Connection, Database

SLICE: Final = 5_000
_BEFORE_ALL: Final = UUID(int=0)

_FAILED: Final = """(r.state IN ('failed', 'expired')
  OR (r.state = 'bounced' AND NOT coalesce(r.class, '') = ANY(%(dead)s)))"""
_ELSEWHERE: Final = GETS_IT.format(row="r")

# An address that is dead is no accident. Locked in the order in which news is taken.
_SLICE: Final = f"""
WITH chosen AS MATERIALIZED (
  SELECT contact_id, state FROM campaign_recipients r
   WHERE campaign_id = %(campaign)s AND contact_id > %(after)s AND ended_at <= %(asked)s
     AND {_FAILED} AND NOT {_ELSEWHERE}
   ORDER BY contact_id LIMIT %(most)s FOR UPDATE
), moved AS (
  UPDATE campaign_recipients r SET state = 'waiting', due_at = now(), email_id = NULL, queued_at = NULL,
         ended_at = NULL, reason = NULL, class = NULL
    FROM chosen s WHERE r.campaign_id = %(campaign)s AND r.contact_id = s.contact_id
)
SELECT contact_id, state FROM chosen ORDER BY 1
"""

_COUNT_ELSEWHERE: Final = f"""
SELECT count(*) FROM campaign_recipients r WHERE r.campaign_id = %(campaign)s AND {_FAILED} AND {_ELSEWHERE}
"""


def people(counted: Mapping[str, int]) -> int:
    """How many may be tried again, by the tallies."""
    soft = counted.get(RowState.BOUNCED, 0) - counted.get(HARD_BOUNCED, 0)
    return counted.get(RowState.FAILED, 0) + counted.get(RowState.EXPIRED, 0) + soft


async def elsewhere(connection: Connection, campaign_id: UUID) -> int:
    """How many of them get it, or have got it, by a campaign that goes to those who missed this one."""
    related = await repository.related(connection, campaign_id)
    if not related:
        return 0
    names = {"campaign": campaign_id, "dead": DEAD, "related": related}
    row = await (await connection.execute(_COUNT_ELSEWHERE, names)).fetchone()
    return int(row[0]) if row else 0


async def ask(connection: Connection, campaign_id: UUID) -> None:
    """Whoever has failed until now is tried again."""
    await connection.execute("UPDATE campaigns SET retried_at = now() WHERE id = %s", [campaign_id])


async def go_on(database: Database, campaign: Campaign, seconds: float) -> None:
    """Turn them to waiting, for so long, and a slice at least. What is left is done by the next call."""
    until = time.monotonic() + seconds
    after: UUID | None = _BEFORE_ALL
    while after is not None:
        async with database.transaction() as connection:
            after = await _slice(connection, campaign, after)
        if time.monotonic() >= until:
            return


async def _slice(connection: Connection, campaign: Campaign, after: UUID) -> UUID | None:
    """The last of those that were moved; None when it was the last slice."""
    await repository.alone_with(connection, campaign.id, *([campaign.follow.campaign_id] if campaign.follow else []))
    related = await repository.related(connection, campaign.id)
    cursor = await connection.execute(
        "SELECT retried_at FROM campaigns WHERE id = %s AND state = %s AND retried_at IS NOT NULL FOR NO KEY UPDATE",
        [campaign.id, CampaignState.SENDING],
    )
    asked = await cursor.fetchone()
    if asked is None:
        return None
    names: dict[str, Any] = {
        "campaign": campaign.id, "after": after, "asked": asked[0], "dead": DEAD, "most": SLICE,
        "related": related,
    }  # fmt: skip
    rows = await (await connection.execute(_SLICE, names)).fetchall()
    moved = Counter(state for _, state in rows)
    await tallies.add(connection, tallies.moves(campaign.id, ((state, "waiting") for state in moved.elements())))
    if len(rows) == SLICE:
        found: UUID = rows[-1][0]
        return found
    await connection.execute("UPDATE campaigns SET retried_at = NULL WHERE id = %s", [campaign.id])
    return None
