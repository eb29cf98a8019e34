"""Campaigns of which nothing may leave: paused, stopped by a breaker, cancelled, or outside of their send window.

`halted_campaigns` has a row for each, and the claim asks it in its one statement, so that a campaign of any size halts
with one insert. What a claim meets of it is held for an hour; when the campaign goes on that mail is due at once.
A claim that was under way may hold mail moments after its campaign went on, so `release` looks again and again. The
clock of retries begins anew for what was held for hours: days of pause are no fault of its servers.

Mail that is being sent that moment cannot be taken back; it ends as its server says. Owns the table, the mark on held
mail, and the end of what is queued of a cancelled campaign.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from messages.clocks import begin_anew
from messages.held import FREE
from messages.withdrawing import cancel_rows
from store import arrays
from store.database import Connection

HELD: Final = "its campaign is halted"
"""In `delivery_queue.hold`."""
LASTING: Final = timedelta(hours=1)
WINDOW: Final = "outside of its send window"
"""Why a campaign is halted that only waits for its hours."""
LATELY: Final = timedelta(hours=12)
"""Mail that was made within so long has time enough."""

# An id says to the millisecond when its mail was made.
_DUE: Final = f"""
UPDATE delivery_queue q SET due_at = now(), hold = NULL
 WHERE q.campaign_id = ANY(%(campaigns)s::uuid[]) AND q.due_at > now() AND q.hold = '{HELD}' AND q.claimed_by IS NULL
   AND NOT EXISTS (SELECT FROM halted_campaigns h WHERE h.campaign_id = q.campaign_id AND h.at <= now())
RETURNING q.email_id, ('x' || translate(left(q.email_id::text, 13), '-', ''))::bit(48)::bigint / 1000.0
                      < extract(epoch FROM now() - %(lately)s)
"""

_FREE: Final = f"""
SELECT q.email_id, q.position, q.lane, q.attempts, q.capture, now() FROM delivery_queue q
 WHERE q.campaign_id = %(campaign)s AND {FREE} LIMIT %(most)s FOR UPDATE SKIP LOCKED
"""


async def halt(connection: Connection, campaign_id: UUID, why: str) -> None:
    """Let nothing of it leave any more, from the caller's commit on."""
    await connection.execute(
        "INSERT INTO halted_campaigns (campaign_id, why) VALUES (%s, %s)"
        " ON CONFLICT (campaign_id) DO UPDATE SET why = excluded.why, at = now()",
        [campaign_id, why],
    )


async def let_go(connection: Connection, campaign_id: UUID) -> int:
    """It goes on: what was held is due at once. Returns how many mails that were."""
    await connection.execute("DELETE FROM halted_campaigns WHERE campaign_id = %s", [campaign_id])
    return await release(connection, [campaign_id])


async def forget(connection: Connection, campaign_id: UUID) -> None:
    """Nothing of it is left."""
    await connection.execute("DELETE FROM halted_campaigns WHERE campaign_id = %s", [campaign_id])


async def release(connection: Connection, campaigns: Sequence[UUID]) -> int:
    """Mail of these that is held although its campaign is not halted is due; returns how many."""
    names = {"campaigns": arrays.uuids(campaigns), "lately": LATELY}
    rows = await (await connection.execute(_DUE, names)).fetchall()
    old = [email for email, is_old in rows if is_old]
    await begin_anew(connection, old)
    return len(rows)


async def halt_from(connection: Connection, campaign_id: UUID, at: datetime) -> None:
    """Let nothing of it leave from that moment on, until its window opens. What halts it already stands."""
    await connection.execute(
        "INSERT INTO halted_campaigns (campaign_id, why, at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [campaign_id, WINDOW, at],
    )


async def open_window(connection: Connection, campaign_id: UUID) -> bool:
    """Its window is open, or nothing of it is left that would wait for it; whether it was halted for that reason."""
    cursor = await connection.execute(
        "DELETE FROM halted_campaigns WHERE campaign_id = %s AND why = %s", [campaign_id, WINDOW]
    )
    if cursor.rowcount:
        await release(connection, [campaign_id])
    return cursor.rowcount > 0


async def outside_of_window(connection: Connection) -> set[UUID]:
    """Campaigns that are halted for that reason, or will be within the minute."""
    cursor = await connection.execute("SELECT campaign_id FROM halted_campaigns WHERE why = %s", [WINDOW])
    return {row[0] for row in await cursor.fetchall()}


async def end_queued(connection: Connection, campaign_id: UUID, most: int) -> int:
    """End up to so many queued mails of a cancelled campaign, but for those that a worker holds; returns how many."""
    rows = await (await connection.execute(_FREE, {"campaign": campaign_id, "most": most})).fetchall()
    return await cancel_rows(connection, rows, "its campaign was cancelled")
