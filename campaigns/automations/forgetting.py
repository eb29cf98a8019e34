"""What of automations goes, and when: with a person, with an application, with time.

An erased person's runs go with the events that began them, in the transaction that erases. Runs of who was merely
deleted end, and lose their event. What is over is kept as long as mail; but that somebody was welcomed, which names
nobody, is known for as long as there is the automation, or they would be welcomed again.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from campaigns.automations import repository
from campaigns.automations.letters import GONE
from campaigns.automations.model import ONCE
from core.ids import lowest_at
from store.database import Connection, Database

SLICE: Final = 5_000

_RUNS: Final = "DELETE FROM automation_runs WHERE contact_id = ANY(%s) RETURNING id"
_STEPS: Final = "DELETE FROM automation_steps WHERE run_id = ANY(%s)"
_EVENTS: Final = "DELETE FROM application_events WHERE contact_id = ANY(%s)"

_DELETED: Final = """
SELECT DISTINCT contact_id FROM contact_history h WHERE what = 'deleted' AND at > now() - interval '1 hour'
   AND NOT EXISTS (SELECT FROM contacts c WHERE c.id = h.contact_id)
   AND (EXISTS (SELECT FROM automation_runs r WHERE r.contact_id = h.contact_id AND r.state = 'running')
     OR EXISTS (SELECT FROM application_events e WHERE e.contact_id = h.contact_id))
 LIMIT %s
"""

_END: Final = """
UPDATE automation_runs SET state = 'cancelled', reason = %s, due_at = NULL, ended_at = now()
 WHERE contact_id = ANY(%s) AND state = 'running'
"""

_OF_NOBODY: Final = """
SELECT id FROM automation_runs r WHERE automation_id = (
  SELECT automation_id FROM automation_runs u
   WHERE NOT EXISTS (SELECT FROM automations a WHERE a.id = u.automation_id) LIMIT 1) LIMIT %s
"""

_EVENTS_OF_NOBODY: Final = """
DELETE FROM application_events WHERE id IN (SELECT id FROM application_events e
  WHERE NOT EXISTS (SELECT FROM applications a WHERE a.id = e.application_id) LIMIT %s)
"""

_OLD: Final = f"""
SELECT id FROM automation_runs WHERE ended_at < now() - %(days)s AND entry <> '{ONCE}' ORDER BY ended_at LIMIT %(most)s
"""

_OLD_EVENTS: Final = """
DELETE FROM application_events WHERE id IN (SELECT id FROM application_events e WHERE id < %(before)s
   AND NOT EXISTS (SELECT FROM automation_runs r WHERE r.event_id = e.id AND r.state = 'running') LIMIT %(most)s)
"""


async def forget_people(connection: Connection, contacts: Sequence[UUID]) -> None:
    """Somebody is erased: runs, what was done in them, events. After the contact itself, so that none begins anew."""
    if contacts:
        await _delete_runs(connection, _RUNS, list(contacts))
        await connection.execute(_EVENTS, [list(contacts)])


async def stop_all(connection: Connection, application_id: UUID) -> None:
    """An application is on its way out: nothing more is made for it from the caller's commit on."""
    cursor = await connection.execute("SELECT id FROM automations WHERE application_id = %s", [application_id])
    for (identifier,) in await cursor.fetchall():
        known = await repository.held(connection, application_id, identifier)
        await repository.stop(connection, known)


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone. Its runs and events go in the background."""
    await connection.execute("DELETE FROM event_definitions WHERE application_id = %s", [application_id])
    await repository.forget_application(connection, application_id)


async def forget_gone(database: Database) -> None:
    """A slice of what belongs to nobody any more: to a deleted automation, application or contact."""
    async with database.transaction() as connection:
        cursor = await connection.execute(_OF_NOBODY, [SLICE])
        await _delete_runs(connection, "DELETE FROM automation_runs WHERE id = ANY(%s) RETURNING id",
                           [row[0] for row in await cursor.fetchall()])  # fmt: skip
        await connection.execute(_EVENTS_OF_NOBODY, [SLICE])
    async with database.transaction() as connection:
        deleted = [row[0] for row in await (await connection.execute(_DELETED, [SLICE])).fetchall()]
        if deleted:
            await connection.execute(_END, [GONE, deleted])
            await connection.execute(_EVENTS, [deleted])


async def forget_old(database: Database, days: int) -> None:
    """Retention, in slices."""
    more = True
    while more:
        async with database.transaction() as connection:
            names: dict[str, Any] = {"days": timedelta(days=days), "most": SLICE}
            old = [row[0] for row in await (await connection.execute(_OLD, names)).fetchall()]
            await _delete_runs(connection, "DELETE FROM automation_runs WHERE id = ANY(%s) RETURNING id", old)
            row = await (await connection.execute("SELECT now()")).fetchone()
            assert row is not None
            names["before"] = lowest_at(row[0] - timedelta(days=days))
            events = (await connection.execute(_OLD_EVENTS, names)).rowcount
        more = len(old) == SLICE or events == SLICE


async def _delete_runs(connection: Connection, statement: str, which: list[UUID]) -> None:
    if which:
        gone = [row[0] for row in await (await connection.execute(statement, [which])).fetchall()]
        await connection.execute(_STEPS, [gone])
