"""Was the same content sent to these people before? Compared with the last campaigns of the topic, as they were sent.

A content is kept as a sample of its word sequences (`templates/checks.shingles`), written with it when a campaign
begins; the words themselves are not read again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from campaigns import contents, people, speaking
from campaigns.checking.audience import bounded
from campaigns.checking.model import Code, Finding, warns
from campaigns.model import Campaign
from store.database import Connection
from templates.checks import ALIKE, likeness

LAST: Final = 20
"""Campaigns of the topic that are looked at."""
SHOWN: Final = 3

_BEFORE: Final = """
SELECT c.id, c.name, c.started_at, k.shingles FROM (
  SELECT id, name, started_at FROM campaigns
   WHERE application_id = %(application)s AND topic_id = %(topic)s AND started_at IS NOT NULL AND deleted_at IS NULL
     AND id <> ALL(%(apart)s::uuid[])
   ORDER BY started_at DESC LIMIT %(last)s) c
  JOIN campaign_contents k ON k.campaign_id = c.id WHERE k.shingles IS NOT NULL
"""

_GOT_IT: Final = """
SELECT count(*) FROM ({people}) p
  JOIN campaign_recipients r ON r.campaign_id = %(before)s AND r.contact_id = p.id
 WHERE r.state = 'delivered'
"""


@dataclass(frozen=True, slots=True)
class Before:
    """A campaign that said nearly the same."""

    id: UUID
    name: str
    at: datetime
    likeness: float


async def findings(connection: Connection, campaign: Campaign, total: int) -> list[Finding]:
    """The campaigns that said the same to some of these people; `total` of them are in the segment."""
    found = []
    for before in await alike(connection, campaign):
        got = await bounded(connection, _got(connection, campaign, before.id)) if total else 0
        if got != 0:
            found.append(_finding(before, got, total))
    return found


async def alike(connection: Connection, campaign: Campaign) -> list[Before]:
    """Earlier campaigns that said the same, the likest first."""
    every = speaking.every(campaign).values()
    own = await asyncio.to_thread(lambda: [contents.sample(words) for words in every])
    apart = [campaign.id, *([campaign.follow.campaign_id] if campaign.follow else [])]  # meant to be the same again
    names = {"application": campaign.application_id, "topic": campaign.topic_id, "apart": apart, "last": LAST}
    rows = await (await connection.execute(_BEFORE, names)).fetchall()
    found = [Before(row[0], row[1], row[2], _likeness(own, frozenset(row[3]))) for row in rows]
    best: dict[UUID, Before] = {}
    for one in found:
        if one.likeness >= ALIKE and (one.id not in best or one.likeness > best[one.id].likeness):
            best[one.id] = one
    return sorted(best.values(), key=lambda one: one.likeness, reverse=True)[:SHOWN]


def _likeness(own: Sequence[frozenset[int]], before: frozenset[int]) -> float:
    return max(likeness(one, before) for one in own)


async def _got(connection: Connection, campaign: Campaign, before: UUID) -> int:
    asked, names = await people.question(connection, campaign)
    row = await (await connection.execute(_GOT_IT.format(people=asked), names | {"before": before})).fetchone()
    return int(row[0]) if row else 0


def _finding(before: Before, got: int | None, total: int) -> Finding:
    """`got`: None where counting takes too long."""
    called, many = before.name or str(before.id), "Some" if got is None else f"{got:,}"
    return warns(
        Code.SENT_BEFORE,
        f"{many} of {total:,} people got nearly the same on {before.at:%Y-%m-%d}: {called!r} has"
        f" {before.likeness:.0%} of its words.",
        f'Say something new, or leave them out: a segment with `not got campaign "{called}"`.',
        got,
    )
