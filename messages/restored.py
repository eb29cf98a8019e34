"""Mail that a restored backup brought back, and that may have left since the backup was made.

What was due, held, or in a worker's hands then may have been sent a moment later; the copy does not know. `hold` puts
it aside until a person decides: `release` sends it, `cancel` ends it. What was to leave at a time that is still ahead
cannot have left, and goes on by itself. Owns the mark on such mail.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from messages.clocks import begin_anew
from messages.held import FREE
from messages.withdrawing import cancel_rows
from store.database import Connection

HELD: Final = "restored from a backup: it may have left since"
"""In `delivery_queue.hold`."""
_LASTING: Final = timedelta(days=3650)
"""For ever, as far as the queue is concerned; a time that every client can read."""

_HOLD: Final = f"""
UPDATE delivery_queue SET due_at = now() + %s, hold = '{HELD}', breaker = NULL, claimed_by = NULL, claimed_at = NULL
 WHERE due_at <= now() OR claimed_by IS NOT NULL OR hold IS NOT NULL
"""
_WHICH: Final = f"""
 FROM delivery_queue q WHERE q.hold = '{HELD}' AND (%(application)s::uuid IS NULL OR q.application_id = %(application)s)
"""
_COUNT: Final = f"""
SELECT a.name, h.application_id, h.lane, h.n, h.first, h.last
  FROM (SELECT q.application_id, q.lane, count(*) AS n, min(e.created_at) AS first, max(e.created_at) AS last
          FROM delivery_queue q JOIN emails e ON e.id = q.email_id WHERE q.hold = '{HELD}' GROUP BY 1, 2) h
  LEFT JOIN applications a ON a.id = h.application_id ORDER BY h.n DESC, h.application_id, h.lane
"""
_RELEASE: Final = f"""
UPDATE delivery_queue q SET due_at = now(), hold = NULL
 WHERE (q.email_id, q.position) IN (SELECT q.email_id, q.position {_WHICH} LIMIT %(most)s)
RETURNING q.email_id
"""
_ROWS: Final = f"""
SELECT q.email_id, q.position, q.lane, q.attempts, q.capture, now() {_WHICH} AND {FREE}
 LIMIT %(most)s FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class HeldMail:
    """What of one application's stream is held."""

    application: str
    """"" for one that is gone."""
    application_id: UUID | None
    stream: str
    messages: int
    first: datetime
    """When the oldest of them was accepted."""
    last: datetime


async def hold(connection: Connection) -> int:
    """Put aside whatever may have left; how many messages that are. Nothing else may use the database yet."""
    return (await connection.execute(_HOLD, [_LASTING])).rowcount


async def held(connection: Connection) -> list[HeldMail]:
    """What nobody has decided about, most first. Reads the whole queue."""
    rows = await (await connection.execute(_COUNT)).fetchall()
    return [HeldMail(name or "", *rest) for name, *rest in rows]


async def release(connection: Connection, application: UUID | None, most: int) -> int:
    """Up to so many of an application, or of all, are due at once, with a retry clock that begins now; how many."""
    rows = await (await connection.execute(_RELEASE, {"application": application, "most": most})).fetchall()
    await begin_anew(connection, [row[0] for row in rows])
    return len(rows)


async def cancel(connection: Connection, application: UUID | None, most: int) -> int:
    """Up to so many are cancelled: their timelines say that a person thought they had left. How many."""
    rows = await (await connection.execute(_ROWS, {"application": application, "most": most})).fetchall()
    return await cancel_rows(connection, rows, "restored from a backup; whoever restored it says that it had left")
