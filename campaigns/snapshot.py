"""Fixing the audience: one row for each person of the segment, made once, when the campaign begins.

In slices by the person's id, each a statement and a transaction of its own, so that the first mail leaves while a
million rows are still being made, and a kill costs one slice: `fixed_to` says how far it is. Who has a row already, as
somebody's whose address changed meanwhile (`readdressing`), gets no other. Whoever may not get the mail has a row that
says so. Nobody is added once `fixed_at` is set.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from audience import eligibility
from campaigns import experiment, people, repository, tallies
from campaigns.model import Campaign
from core.refusal import Refused
from store.database import Connection, Database

FIRST_SLICE: Final = 1_000
"""A batch of the feed: its mail leaves while the next slice is made."""
SLICE: Final = 50_000
"""A second or two, and the most that a kill makes to be done again."""
WINNER_LATER: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""When those are due who wait for the winner: until there is one, never."""
_BEFORE_ALL: Final = UUID(int=0)

# Who may not get it is asked here for the report, and again before the mail is made (`feed`). What is asked of a person
# more than once is materialized.
_FIX: Final = """
WITH slice AS MATERIALIZED (
  SELECT p.id FROM ({people}) p WHERE p.id > %(after)s ORDER BY p.id LIMIT %(most)s
), person AS MATERIALIZED (
  SELECT {columns}, {engaged} AS engaged_at FROM slice JOIN contacts c ON c.id = slice.id
), judged AS MATERIALIZED (
  SELECT p.id, p.address, p.time_zone, p.engaged_at, {ineligible} AS reason FROM person p
), placed AS {once} (
  SELECT j.*, {variant} AS variant FROM judged j
), made AS (
  INSERT INTO campaign_recipients (campaign_id, contact_id, due_at, engaged_at, state, reason, ended_at, variant,
                                   destination)
  SELECT %(campaign)s, j.id, CASE WHEN j.variant = %(rest)s THEN %(later)s::timestamptz ELSE {due} END, j.engaged_at,
         CASE WHEN j.reason IS NOT NULL THEN coalesce(o.state, 'suppressed')
              WHEN j.variant = %(held_out)s THEN 'held_out' ELSE 'waiting' END, j.reason,
         CASE WHEN j.reason IS NOT NULL OR j.variant = %(held_out)s THEN now() END, j.variant,
         substring(j.address FROM '@([^@]*)$')
    FROM placed j LEFT JOIN unnest(%(reasons)s::text[], %(outcomes)s::text[]) AS o(reason, state)
      ON o.reason = j.reason {zones}
   ORDER BY j.id
  ON CONFLICT DO NOTHING RETURNING state
)
SELECT (SELECT count(*) FROM slice), (SELECT id FROM slice ORDER BY id DESC LIMIT 1),
       (SELECT coalesce(jsonb_object_agg(state, n), '{{}}') FROM (
         SELECT state, count(*) AS n FROM made GROUP BY state) counted)
"""

_NOW: Final = "%(started)s::timestamptz"
_LOCALLY: Final = "(%(local)s::timestamp AT TIME ZONE coalesce(z.name, %(zone)s))"
_ZONES: Final = "LEFT JOIN (SELECT name FROM pg_timezone_names) z ON z.name = j.time_zone"

# Rows that a crash takes with them are made again. Where PostgreSQL compiles what is costly, this statement would be
# compiled for each slice.
_HASTE: Final = "SELECT set_config('synchronous_commit', 'off', true), set_config('jit', 'off', true)"

_REACHED: Final = """
UPDATE campaigns SET fixed_to = coalesce(%(to)s, fixed_to), fixed_at = CASE WHEN NOT %(more)s THEN now() END
 WHERE id = %(id)s AND fixed_at IS NULL
"""

_BESIDE_OTHERS: Final = "SELECT pg_advisory_xact_lock_shared(hashtextextended('audiences of ' || %s::text, 0))"
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('audiences of ' || %s::text, 0))"


@dataclass(frozen=True, slots=True)
class Slice:
    """What was made of an audience in one transaction."""

    people: int
    last: UUID | None
    made: Counter[str]
    """Rows by state: fewer, where some were there already."""
    more: bool
    """There may be."""


async def fix(database: Database, campaign: Campaign) -> int:
    """Make the rows that are still missing; returns how many that were. Only one process at a time."""
    total = 0
    campaign = await _heard(database, campaign)
    while campaign.fixed_at is None:
        async with database.transaction() as connection:
            if not await _is_ours(connection, campaign.id):
                break
            try:
                done = await fix_slice(connection, campaign)
            except Refused as error:
                await repository.stop(connection, campaign, f"nobody can be asked: {error}")
                break
        total += done.made.total()
        if not done.more:
            break
    return total


async def fix_slice(connection: Connection, campaign: Campaign) -> Slice:
    """The next slice, in the caller's transaction. Raises Refused: nobody can be asked."""
    done = await _slice(connection, campaign)
    await connection.execute(_REACHED, {"id": campaign.id, "to": done.last, "more": done.more})
    # Behind the campaign's row, as in the feed: in the other order the two waited for each other.
    await tallies.add(connection, {(campaign.id, state): n for state, n in done.made.items()})
    return done


async def none_beside(connection: Connection, application_id: UUID) -> None:
    """Until the end of the transaction no audience of the application gets rows: what a slice made is seen here, and
    the next one sees what was done. Waits for a slice, a second or two."""
    await connection.execute(_ALONE, [application_id])


async def _heard(database: Database, campaign: Campaign) -> Campaign:
    """With what `eligibility.heard_since` says, kept for the feed: silence means the same to the end."""
    if campaign.heard_since is not None:
        return campaign
    async with database.transaction() as connection:
        heard = await eligibility.heard_since(connection, campaign.application_id)
        await connection.execute("UPDATE campaigns SET heard_since = %s WHERE id = %s", [heard, campaign.id])
    return replace(campaign, heard_since=heard)


async def _is_ours(connection: Connection, campaign_id: UUID) -> bool:
    """Whether nobody else makes rows of it now, and it is not cancelled, paused or done."""
    cursor = await connection.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('campaign ' || %(id)s::text, 0)) AND EXISTS"
        " (SELECT FROM campaigns WHERE id = %(id)s AND state = 'sending' AND fixed_at IS NULL)",
        {"id": campaign_id},
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _slice(connection: Connection, campaign: Campaign) -> Slice:
    await connection.execute(_HASTE)
    await connection.execute(_BESIDE_OTHERS, [campaign.application_id])
    cursor = await connection.execute("SELECT fixed_to FROM campaigns WHERE id = %s", [campaign.id])
    reached = await cursor.fetchone()
    after = reached[0] if reached else None
    most = SLICE if after else FIRST_SLICE
    if campaign.follow is not None:
        await repository.alone_with(connection, campaign.follow.campaign_id)
    holds = await people.rules_in_turn(connection, campaign, people.Moment.FIXING)
    asked, names = await people.question(connection, campaign)
    reason, rules = people.eligible(holds, people.Moment.FIXING, "p.engaged_at")
    statement = _FIX.format(
        people=asked, columns=people.COLUMNS, ineligible=reason, engaged=eligibility.engaged_of("c"),
        **_variant(campaign), **_due(campaign),
    )  # fmt: skip
    outcomes = eligibility.OUTCOMES
    own: dict[str, Any] = {
        "after": after or _BEFORE_ALL, "most": most, "topic": campaign.topic_id,
        "started": campaign.started_at, "campaign": campaign.id, "local": campaign.plan.local,
        "zone": campaign.plan.zone, "reasons": list(outcomes), "outcomes": list(outcomes.values()),
        "rest": experiment.REST, "held_out": experiment.HELD_OUT, "later": WINNER_LATER, **campaign.experiment.names(),
    }  # fmt: skip
    row = await (await connection.execute(statement, names | rules | own)).fetchone()
    assert row is not None, "figures are one row"
    found, last, made = row
    return Slice(found, last, Counter(made), more=found == most)


def _variant(campaign: Campaign) -> dict[str, str]:
    if campaign.experiment.variants or campaign.experiment.hold_out:
        return {"variant": experiment.VARIANT, "once": "MATERIALIZED"}
    return {"variant": "0", "once": ""}


def _due(campaign: Campaign) -> dict[str, str]:
    if campaign.plan.local is None:
        return {"due": _NOW, "zones": ""}
    return {"due": _LOCALLY, "zones": _ZONES}
