"""What is done for campaigns again and again, by every background process: each of these may be called at any time, by
two processes at once, and after any kill.

    begin     scheduled ones whose time has come; the audience of those that have none yet; whom to try again
    decide    a variant wins
    feed      waiting rows become mail
    settle    what became of mail becomes outcomes; campaigns that have too many complaints or bounces are stopped;
              rows that waited for another one of the same person go on or end
    finish    what has no open row is finished; what was cancelled ends
"""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from alarms import rule_settings
from alarms.model import AlarmKind
from campaigns import feed, readdressing, repository, retrying, settle, snapshot, tallies, windows
from campaigns.experiment import REST, Winner, best
from campaigns.model import Campaign
from campaigns.states import OUTCOMES, SKIPPED, Act, CampaignState, RowState
from campaigns.watching import Figures, too_many
from core.errors import UnavailableError
from core.logs import get_logger
from messages import halted, news
from messages.states import TERMINAL
from store import arrays
from store.clock import transaction_time
from store.database import Connection, Database

_log = get_logger(__name__)

T = TypeVar("T")
Step = Callable[[Database, Campaign], Awaitable[Campaign | None]]
"""A part of what is to be done for a campaign; gives it back when there is more."""

TURN_SECONDS: Final = 1.0
SLICE: Final = 5_000
"""Rows of a cancelled campaign that end in one transaction."""

# By which conditions each of these has something to do; what it finds then it asks itself.
SENDS: Final = "EXISTS (SELECT FROM campaigns WHERE state = 'sending')"
BEGINS: Final = """
EXISTS (SELECT FROM campaigns
         WHERE state = 'scheduled' OR (state = 'sending' AND (fixed_at IS NULL OR retried_at IS NOT NULL)))
"""
SETTLES: Final = f"{SENDS} OR {news.WAIT}"
GOES_ON: Final = f"{SENDS} OR EXISTS (SELECT FROM halted_campaigns)"
ENDS: Final = (
    "EXISTS (SELECT FROM campaigns WHERE state IN ('sending', 'cancelled')) OR EXISTS (SELECT FROM halted_campaigns)"
)

# Rows on their way have a queue row, or news that is not taken yet: both are looked up by index, so this is asked
# often.
_OPEN: Final = """
SELECT EXISTS (SELECT FROM campaign_recipients WHERE campaign_id = %(campaign)s AND state = 'waiting')
    OR EXISTS (SELECT FROM delivery_queue WHERE campaign_id = %(campaign)s)
    OR EXISTS (SELECT FROM campaign_news WHERE campaign_id = %(campaign)s)
    OR EXISTS (SELECT FROM campaigns WHERE id = %(campaign)s AND state = 'sending' AND retried_at IS NOT NULL)
"""

_WHY_FAILED: Final = """
SELECT reason FROM campaign_recipients WHERE campaign_id = %s AND state = 'failed' AND reason <> '' LIMIT 1
"""
_MEANT: Final = OUTCOMES - SKIPPED - {RowState.CANCELLED}
"""Who was to get it."""

# The rows themselves: the last word, once.
_OPEN_ROWS: Final = """
SELECT r.contact_id, r.state, m.state, coalesce(m.updated_at, now())
  FROM campaign_recipients r LEFT JOIN messages m ON m.email_id = r.email_id AND m.position = 0
 WHERE r.campaign_id = %(campaign)s AND r.state IN ('waiting', 'queued', 'deferred') LIMIT %(most)s
"""

# Its mail has ended and nobody said so: it was taken out of the queue by other hands.
_END_LOST: Final = """
UPDATE campaign_recipients r SET state = u.state, ended_at = u.at, reason = nullif(u.reason, '')
  FROM unnest(%(contacts)s::uuid[], %(before)s::text[], %(states)s::text[], %(times)s::timestamptz[],
              %(reasons)s::text[]) AS u(contact_id, before, state, at, reason)
 WHERE r.campaign_id = %(campaign)s AND r.contact_id = u.contact_id AND r.state = u.before
RETURNING u.before, r.state
"""

_CANCEL_WAITING: Final = """
WITH chosen AS (
  SELECT contact_id FROM campaign_recipients WHERE campaign_id = %(campaign)s AND state = 'waiting'
   LIMIT %(most)s FOR UPDATE SKIP LOCKED)
UPDATE campaign_recipients r SET state = 'cancelled', ended_at = now() FROM chosen
 WHERE r.campaign_id = %(campaign)s AND r.contact_id = chosen.contact_id
"""


# Whoever halts one moves it in the same transaction, so behind this lock the two say the same, or never will.
_HALTED_BUT_SENDING: Final = """
SELECT c.id FROM campaigns c WHERE c.state = 'sending' AND c.id IN (
  SELECT campaign_id FROM halted_campaigns WHERE why <> %s) FOR NO KEY UPDATE SKIP LOCKED
"""

# No claim takes so long; and mail that waits for its own time may be much, and is not looked at for ever.
_GONE_ON: Final = "SELECT id FROM campaigns WHERE state = 'sending' AND updated_at > now() - interval '2 minutes'"

# Whether each is over, too: all its mail has been on its way for the time that was asked for. What waits in the queue
# has not left; what is put off by its server may take days, and is not waited for.
_TESTED: Final = """
SELECT r.variant, count(*) FILTER (WHERE r.state = 'delivered'), count(r.opened_at), count(r.clicked_at),
       coalesce(max(r.queued_at) < now() - %(hours)s, true) AND NOT bool_or(r.state = 'waiting'
         OR (r.state = 'queued' AND EXISTS (SELECT FROM delivery_queue q WHERE q.email_id = r.email_id)))
  FROM campaign_recipients r WHERE r.campaign_id = %(campaign)s AND r.variant >= 0 GROUP BY 1
"""

# Who waits for the winner stands behind all others in the index, so that nobody else is looked at.
_GIVE: Final = """
WITH chosen AS (
  SELECT contact_id FROM campaign_recipients
   WHERE campaign_id = %(campaign)s AND state = 'waiting' AND due_at = %(later)s AND variant = %(rest)s
   LIMIT %(most)s FOR UPDATE SKIP LOCKED)
UPDATE campaign_recipients r SET variant = %(variant)s, due_at = now() FROM chosen
 WHERE r.campaign_id = %(campaign)s AND r.contact_id = chosen.contact_id
"""


class Lost(NamedTuple):
    """An open row of which no mail is in the queue, and no news."""

    contact_id: UUID
    state: str
    mail: str | None
    """The state of its mail; None: there is none."""
    at: datetime

    @property
    def outcome(self) -> tuple[RowState, str]:
        """What the mail says became of it, and what the row says of that."""
        return (RowState(self.mail), "") if self.mail in TERMINAL else (RowState.FAILED, "its mail is no longer there")


async def begin(database: Database) -> None:
    """Begin what is due, and make the rows of what has begun; whoever has the fewest first."""
    found = await _found(database, CampaignState.SCHEDULED, CampaignState.SENDING)
    await _each(database, sorted(found, key=lambda one: tallies.people(one.tallies)), _go_on)


async def _go_on(database: Database, campaign: Campaign) -> Campaign | None:
    if campaign.state is CampaignState.SCHEDULED:
        await _begin_if_due(database, campaign)
    elif campaign.fixed_at is None:
        return await snapshot.fix(database, campaign)
    elif campaign.retried_at is not None:
        await retrying.go_on(database, campaign, TURN_SECONDS)
    return None


async def feed_all(database: Database, simulated_domain: str, hint: feed.Hint = feed.tell_nobody) -> None:
    """Put mail into the queue; `hint` as in `feed.feed_one`."""

    async def batch(database: Database, campaign: Campaign) -> Campaign | None:
        fed = await feed.feed_one(database, campaign, simulated_domain, hint)
        return campaign if fed == feed.BATCH else None

    await _each(database, await _found(database, CampaignState.SENDING), batch)


async def release(database: Database) -> None:
    """Make due what a claim has put aside although its campaign had just gone on, and halt nothing that is sending but
    outside of its window."""
    await windows.keep(database)
    async with database.transaction() as connection:
        for (campaign_id,) in await (await connection.execute(_HALTED_BUT_SENDING, [halted.WINDOW])).fetchall():
            await halted.let_go(connection, campaign_id)
    async with database.connection() as connection:
        rows = await (await connection.execute(_GONE_ON)).fetchall()
        if rows:
            await halted.release(connection, [row[0] for row in rows])


async def settle_all(database: Database) -> None:
    """Take news; stop what recipients or servers complain about too much."""
    taken = settle.BATCH
    while taken == settle.BATCH:  # judged between batches: there may be news without end
        taken, moved = await settle.settle(database)
        for campaign_id in moved:
            await _judge(database, campaign_id)
    await readdressing.decide(database)


async def finish(database: Database) -> None:
    """Finish what has no open row, and end what is left of cancelled ones."""
    for campaign in await _found(database, CampaignState.SENDING):
        if campaign.fixed_at is not None:
            async with _alone(database, campaign):
                await _finish(database, campaign)
    async with database.connection() as connection:
        cancelled = await _ending(connection)
    await _in_turn(cancelled, partial(_end, database))


async def _found(database: Database, *states: CampaignState) -> list[Campaign]:
    async with database.connection() as connection:
        return await repository.in_states(connection, states)


async def _in_turn(found: Sequence[T], step: Callable[[T], Awaitable[T | None]]) -> None:
    """A step for each, and again for those that have another, for so long: a large one does not hold up a small one,
    and who comes meanwhile waits for one turn at most."""
    until = time.monotonic() + TURN_SECONDS
    while found:
        left = [await step(one) for one in found]
        found = [one for one in left if one is not None] if time.monotonic() < until else []


async def _each(database: Database, found: Sequence[Campaign], step: Step) -> None:
    """The same for campaigns, of which none suffers from another."""

    async def alone(campaign: Campaign) -> Campaign | None:
        async with _alone(database, campaign):
            return await step(database, campaign)
        return None  # it is stopped

    await _in_turn(found, alone)


@contextlib.asynccontextmanager
async def _alone(database: Database, campaign: Campaign) -> AsyncIterator[None]:
    """A bug that one campaign brings to light stops that one, and says so; the others go on."""
    try:
        yield
    except UnavailableError:
        raise
    except Exception as error:  # whatever it is, those behind it are not to blame
        _log.error("campaign_failed", campaign=str(campaign.id), exc_info=error)
        async with database.transaction() as connection:
            await repository.stop(connection, campaign, f"internal error: {type(error).__name__}: {error}"[:500])


async def decide(database: Database) -> None:
    """Let variants win whose time has come, and give them to those who wait for it."""
    tested = [
        one for one in await _found(database, CampaignState.SENDING)
        if one.experiment.variants and one.experiment.test_share < 1 and one.fixed_at is not None
    ]  # fmt: skip
    await _each(database, tested, _decide)


async def _decide(database: Database, campaign: Campaign) -> Campaign | None:
    if campaign.experiment.chosen is not None:
        return await _give(database, campaign)
    if campaign.experiment.winner is not Winner.HAND:
        await _choose(database, campaign)
    return None


async def _choose(database: Database, campaign: Campaign) -> None:
    tested = campaign.experiment
    names = {"campaign": campaign.id, "hours": timedelta(hours=tested.after_hours)}
    async with database.transaction() as connection:
        figures = await (await connection.execute(_TESTED, names)).fetchall()
        if all(over for *_, over in figures):  # also when nobody is in the test: the others get the first then
            await repository.choose(connection, campaign.id, best([tuple(row[:4]) for row in figures], tested.winner))


async def _give(database: Database, campaign: Campaign) -> Campaign | None:
    """The winner, to some of those who wait for it; the campaign when there may be more of them."""
    names = {
        "campaign": campaign.id, "variant": campaign.experiment.chosen, "rest": REST, "most": SLICE,
        "later": snapshot.WINNER_LATER,
    }  # fmt: skip
    async with database.transaction() as connection:
        done = (await connection.execute(_GIVE, names)).rowcount
    return campaign if done == SLICE else None


async def _begin_if_due(database: Database, seen: Campaign) -> None:
    """As it stands now: since it was read somebody may have cancelled it, moved it, or sent it by hand."""
    async with database.transaction() as connection:
        if not await repository.hold(connection, seen.id, CampaignState.SCHEDULED):
            return
        campaign = await repository.get(connection, None, seen.id)
        if campaign.unreadable:
            return
        now, begins = await transaction_time(connection), campaign.plan.begins(campaign.scheduled_at)
        if begins is not None and now < begins:
            return
        if campaign.plan.is_late(campaign.scheduled_at, now):
            late = f"it should have begun at {begins:%Y-%m-%d %H:%M} UTC: let it go on if it should still be sent"
            await repository.move(connection, campaign, Act.ASK, late)
            await halted.halt(connection, campaign.id, late)
        else:
            await repository.move(connection, campaign, Act.START)


async def _finish(database: Database, campaign: Campaign) -> None:
    names = {"campaign": campaign.id, "most": SLICE}
    async with database.connection() as connection:
        row = await (await connection.execute(_OPEN, names)).fetchone()
    if row is None or row[0]:
        return
    async with database.transaction() as connection:
        # Whoever opens a row holds the campaign first; so behind this lock the rows are what they are.
        if not await repository.hold(connection, campaign.id, CampaignState.SENDING):
            return
        open_rows = await (await connection.execute(_OPEN_ROWS, names)).fetchall()
        again = await (await connection.execute(_OPEN, names)).fetchone()
        if again is None or again[0]:
            return
        if open_rows:
            await _end_lost(connection, campaign.id, [Lost(*row) for row in open_rows])
        else:
            await repository.move_quietly(
                connection, campaign, Act.FINISH, await _nobody_got_it(connection, campaign.id)
            )


async def _nobody_got_it(connection: Connection, campaign_id: UUID) -> str:
    """Why one that has ended reached nobody: no mail could be made for anybody. "" for any other."""
    counted = (await tallies.of(connection, [campaign_id])).get(campaign_id, {})
    failed = counted.get(RowState.FAILED, 0)
    if not failed or failed < sum(n for state, n in counted.items() if state in _MEANT):
        return ""
    row = await (await connection.execute(_WHY_FAILED, [campaign_id])).fetchone()
    return f"nobody got it, all {failed:,} failed" + (f": {row[0][:300]}" if row else "")


async def _end_lost(connection: Connection, campaign_id: UUID, lost: Sequence[Lost]) -> None:
    outcomes = [one.outcome for one in lost]
    names = {
        "campaign": campaign_id,
        "contacts": arrays.uuids(one.contact_id for one in lost),
        "before": [one.state for one in lost],
        "states": [state.value for state, _ in outcomes],
        "times": arrays.moments([one.at for one in lost]),
        "reasons": [reason for _, reason in outcomes],
    }
    moved = await (await connection.execute(_END_LOST, names)).fetchall()  # news may have come between
    await tallies.add(connection, tallies.moves(campaign_id, moved))


async def _ending(connection: Connection) -> list[UUID]:
    cursor = await connection.execute(
        "SELECT h.campaign_id FROM halted_campaigns h LEFT JOIN campaigns c ON c.id = h.campaign_id"
        " WHERE c.state = 'cancelled' OR c.id IS NULL"
        # Rows that were being made while it was cancelled, and those whose mail ended without a word.
        " UNION SELECT c.id FROM campaigns c JOIN campaign_tallies t ON t.campaign_id = c.id"
        " WHERE c.state = 'cancelled' AND t.state IN ('waiting', 'queued', 'deferred') AND t.n > 0"
    )
    return [row[0] for row in await cursor.fetchall()]


async def _end(database: Database, campaign_id: UUID) -> UUID | None:
    """Some rows without mail, else some mail that nobody holds; returns the campaign when there may be more. What a
    worker holds ends with it, and is looked for again."""
    if await _cancel_waiting(database, campaign_id) == SLICE:
        return campaign_id
    async with database.transaction() as connection:
        if await halted.end_queued(connection, campaign_id, SLICE) == SLICE:
            return campaign_id
    return await _end_rest(database, campaign_id)


async def _end_rest(database: Database, campaign_id: UUID) -> UUID | None:
    """Rows of a cancelled campaign whose mail has ended and nobody said so, once nothing of it is under way; it is over
    then. Nobody opens a row of it any more, but for an address that changes, whose row waits then and is ended."""
    names = {"campaign": campaign_id, "most": SLICE}
    async with database.transaction() as connection:
        is_there = await repository.hold(connection, campaign_id, CampaignState.CANCELLED)
        rows = await (await connection.execute(_OPEN_ROWS, names)).fetchall() if is_there else []
        lost = [Lost(*row) for row in rows]
        row = await (await connection.execute(_OPEN, names)).fetchone()
        if row is None or row[0]:
            return None
        if lost:
            await _end_lost(connection, campaign_id, lost)
        else:
            await halted.forget(connection, campaign_id)
    return campaign_id if lost else None


async def _cancel_waiting(database: Database, campaign_id: UUID) -> int:
    async with database.transaction() as connection:
        names = {"campaign": campaign_id, "most": SLICE}
        done = (await connection.execute(_CANCEL_WAITING, names)).rowcount
        moved = [(RowState.WAITING.value, RowState.CANCELLED.value)] * done
        await tallies.add(connection, tallies.moves(campaign_id, moved))
    return done


async def _judge(database: Database, campaign_id: UUID) -> None:
    async with database.transaction() as connection:
        campaign = await repository.find(connection, None, campaign_id)
        if campaign is None or campaign.state is not CampaignState.SENDING:
            return
        limits = await rule_settings.rules(connection)
        complaints, bounces = limits[AlarmKind.COMPLAINTS].values, limits[AlarmKind.HARD_BOUNCES].values
        reason = too_many(Figures.of(campaign.tallies), complaints, bounces)
        if reason:
            await repository.stop(connection, campaign, reason)
