"""The complaint of `complained@`: planned when its mail is taken, recorded a moment later by the background worker.

It goes the way of a complaint that a feedback loop reports (`outcomes/late`), in the transaction that takes it off the
plan. Owns `simulated_complaints`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from messages.model import MessageRef
from messages.timeline import EventKind
from outcomes import late
from outcomes.late import LateNews
from store import arrays
from store.database import Connection, Database

AFTER: Final = timedelta(seconds=3)
"""Between delivery and complaint: real ones come later, and a person who tests does not wait for long."""
DETAIL: Final = "abuse report from a feedback loop (simulated)"
_AT_ONCE: Final = 500

_PLAN = """
INSERT INTO simulated_complaints (email_id, position, due_at)
SELECT email_id, position, now() + %s FROM unnest(%s::uuid[], %s::smallint[]) AS u(email_id, position)
    ON CONFLICT DO NOTHING
"""

DUE: Final = "EXISTS (SELECT FROM simulated_complaints WHERE due_at <= now())"
"""Condition: some are to be voiced."""
_DUE = """
DELETE FROM simulated_complaints WHERE (email_id, position) IN (
  SELECT email_id, position FROM simulated_complaints WHERE due_at <= now() LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING email_id, position, due_at
"""


async def plan(connection: Connection, refs: Sequence[MessageRef]) -> None:
    """These complain in a moment."""
    if refs:
        emails, positions = arrays.uuids(r.email_id for r in refs), arrays.integers(r.position for r in refs)
        await connection.execute(_PLAN, [AFTER, emails, positions])


async def voice(database: Database) -> int:
    """Record the complaints whose time has come; returns how many."""
    voiced = 0
    while True:
        async with database.transaction() as connection:
            await late.take_turn(connection)
            due = await (await connection.execute(_DUE, [_AT_ONCE])).fetchall()
            for email_id, position, at in due:
                message = await late.find_message(connection, MessageRef(email_id, position))
                if message is not None and not message.complained:
                    await late.record_late_news(connection, message, LateNews(EventKind.COMPLAINED, at, DETAIL))
        voiced += len(due)
        if len(due) < _AT_ONCE:
            return voiced
