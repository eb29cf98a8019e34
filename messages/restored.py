"""Mail that a restored backup brought back, and that may have left since the backup was made.

What was due, held, or in a worker's hands then may have been sent a moment later; the copy does not know. Between
`watch` and `watched` such mail is put aside as it comes, until a person decides: `release` sends it, `cancel` ends it.
What was to leave at a time that is still ahead cannot have left, and goes on by itself. Owns the mark on such mail.
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

# A trigger, so that a row that may have left is held in the statement that brings it back: a process that runs, or a
# restore that is interrupted, finds none that is due.
_WATCH: Final = (
    f"""
CREATE FUNCTION restored_mail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.due_at <= now() OR NEW.claimed_by IS NOT NULL OR NEW.hold IS NOT NULL THEN
    NEW.due_at := now() + interval '{_LASTING.days} days'; NEW.hold := '{HELD}';
    NEW.breaker := NULL; NEW.claimed_by := NULL; NEW.claimed_at := NULL;
  END IF;
  RETURN NEW;
END $$
""",
    "CREATE TRIGGER restored_mail BEFORE INSERT ON delivery_queue FOR EACH ROW EXECUTE FUNCTION restored_mail()",
)
_WATCHED: Final = ("DROP TRIGGER restored_mail ON delivery_queue", "DROP FUNCTION restored_mail")
_WHICH: Final = f"""
 FROM delivery_queue q WHERE q.hold = '{HELD}' AND (%(application)s::uuid IS NULL OR q.application_id = %(application)s)
"""
_COUNT: Final = f"""
SELECT a.name, h.application_id, h.lane, h.n, h.first, h.last
  FROM (SELECT q.application_id, q.lane, count(*) AS n, min(e.created_at) AS first, max(e.created_at) AS last
          FROM delivery_queue q JOIN emails e ON e.id = q.email_id WHERE q.hold = '{HELD}' GROUP BY 1, 2) h
  LEFT JOIN applications a ON a.id = h.application_id ORDER BY h.n DESC, h.application_id, h.lane
"""
# Two at once take different rows: what the other has released may be in a worker's hands already. Materialized, or
# the planner may choose anew for each row.
_RELEASE: Final = f"""
WITH mine AS MATERIALIZED (SELECT q.email_id, q.position {_WHICH} LIMIT %(most)s FOR UPDATE SKIP LOCKED)
UPDATE delivery_queue q SET due_at = now(), hold = NULL
  FROM mine WHERE q.email_id = mine.email_id AND q.position = mine.position AND q.hold = '{HELD}'
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


async def watch(connection: Connection) -> None:
    """From the caller's commit on, what comes into the queue and may have left is held."""
    for statement in _WATCH:
        await connection.execute(statement)


async def watched(connection: Connection) -> int:
    """All of it is there: what comes now is new. How many messages are held."""
    for statement in _WATCHED:
        await connection.execute(statement)
    row = await (await connection.execute(f"SELECT count(*) FROM delivery_queue WHERE hold = '{HELD}'")).fetchone()
    assert row is not None
    return int(row[0])


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
