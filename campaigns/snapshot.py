"""Fixing the audience: one row for each person of the segment, made once, when the campaign begins.

In slices by the person's id, each a statement and a transaction of its own, so that the first mail leaves while a
million rows are still being made, and a kill costs one slice: `fixed_to` says how far it is. Who has a row already, as
somebody's whose address changed meanwhile (`readdressing`), gets no other. Whoever may not get the mail has a row that
says so. Nobody is added once `fixed_at` is set.

Slices take time, and people go on joining. Who is in are those who were there when it began, wherever the slices are:
whose contact, and whose place on the list, a transaction made that had begun by then. The first slice waits for the
end of such transactions, so that it sees what they made.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audience import eligibility
from campaigns import experiment, people, repository, tallies
from campaigns.model import Campaign
from campaigns.plan import Plan, due_everywhere, due_locally
from core.refusal import Refused
from store import arrays
from store.database import Connection, Database

FIRST_SLICE: Final = 1_000
"""A batch of the feed: its mail leaves while the next slice is made."""
SLICE: Final = 50_000
"""A second or two, and the most that a kill makes to be done again."""
WINNER_LATER: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""When those are due who wait for the winner: until there is one, never."""
_BEFORE_ALL: Final = UUID(int=0)
_PATIENCE: Final = timedelta(seconds=5)
"""Nobody waits longer for somebody else's transaction: a backup takes hours."""
_LOOKS: Final = 25
_LOOK_SECONDS: Final = 0.02
"""Most transactions end within a few of these looks; for others the next turn asks again."""

# Who may not get it is asked here for the report, and again before the mail is made (`feed`). What is asked of a person
# more than once is materialized.
_FIX: Final = """
WITH slice AS MATERIALIZED (
  SELECT p.id FROM ({people}) p WHERE p.id > %(after)s AND {there} ORDER BY p.id LIMIT %(most)s
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
_LOCALLY: Final = "coalesce(z.due, %(elsewhere)s::timestamptz)"
_ZONES: Final = "LEFT JOIN unnest(%(zones)s::text[], %(dues)s::timestamptz[]) AS z(name, due) ON z.name = j.time_zone"

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


# Times of rows are those at which their transactions began.
_OTHERS: Final = """
SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
                  AND xact_start <= %(started)s) AND now() < %(started)s + %(patience)s
"""


async def fix(database: Database, campaign: Campaign) -> Campaign | None:
    """Make the next of the rows that are missing; returns the campaign when there may be more. Only one process at a
    time."""
    campaign = await _heard(database, campaign)
    if not await _all_is_seen(database, campaign):
        return None
    async with database.transaction() as connection:
        if not await _is_ours(connection, campaign.id):
            return None
        try:
            done = await fix_slice(connection, campaign)
        except Refused as error:
            await repository.stop(connection, campaign, f"nobody can be asked: {error}")
            return None
    return campaign if done.more else None


async def _all_is_seen(database: Database, campaign: Campaign) -> bool:
    """Whether nothing is under way any more that began before the campaign."""
    names = {"started": campaign.started_at, "patience": _PATIENCE}
    for _ in range(_LOOKS):
        async with database.connection() as connection:  # within one transaction the answer would stay the same
            row = await (await connection.execute(_OTHERS, names)).fetchone()
        if row is None or not row[0]:
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return False


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
    asked, names = await people.question(connection, campaign, ("created_at",))
    reason, rules = people.eligible(holds, people.Moment.FIXING, "p.engaged_at")
    statement = _FIX.format(
        people=asked, there=people.there(holds), columns=people.COLUMNS, ineligible=reason,
        engaged=eligibility.engaged_of("c"), **_variant(campaign), **_due(campaign),
    )  # fmt: skip
    outcomes = eligibility.OUTCOMES
    own: dict[str, Any] = {
        "after": after or _BEFORE_ALL, "most": most, "topic": campaign.topic_id,
        "started": campaign.started_at, "campaign": campaign.id, "reasons": list(outcomes),
        "outcomes": list(outcomes.values()), "rest": experiment.REST, "held_out": experiment.HELD_OUT,
        "later": WINNER_LATER, **campaign.experiment.names(), **_local_times(campaign.plan),
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


def _local_times(plan: Plan) -> dict[str, Any]:
    """When it is that late, by zone. Asked of our own zones: PostgreSQL takes the second of two equal hours."""
    if plan.local is None:
        return {}
    everywhere = due_everywhere(plan.local)
    return {
        "zones": list(everywhere), "dues": arrays.moments(list(everywhere.values())),
        "elsewhere": due_locally(plan.local, plan.zone),
    }  # fmt: skip
