"""The tables of runs and of their steps. Works on the caller's connection and never commits.

A run is unique by automation, person and entry, a step that is over by run and position: whoever comes twice, after a
kill or beside another process, is refused by the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from campaigns.automations import repository
from campaigns.automations.model import Automation, Done, Run, RunState, StepState, WholeRun
from campaigns.automations.workflow import next_mail
from core.ids import uuid7
from core.logs import get_logger
from core.paging import Page, Window, cut
from core.refusal import Refused, conflict, not_found
from flags import declared
from store import arrays
from store.database import Connection
from store.paging import newest_first

_log = get_logger(__name__)

_COLUMNS: Final = (
    "id, automation_id, application_id, version_id, contact_id, event_id, position, state, coalesce(reason, ''),"
    " due_at, held_since, created_at, ended_at"
)

# Who is erased or deleted at this moment either waits for us, and finds the run, or is gone, and has none.
_ENTER: Final = """
INSERT INTO automation_runs (id, automation_id, application_id, version_id, contact_id, entry, event_id, position,
                             due_at)
SELECT u.id, %(automation)s, %(application)s, %(version)s, c.id, %(entry)s, %(event)s, %(position)s, now() + %(wait)s
  FROM unnest(%(ids)s::uuid[], %(contacts)s::uuid[]) AS u(id, contact_id) JOIN contacts c ON c.id = u.contact_id
   FOR KEY SHARE OF c
ON CONFLICT (automation_id, contact_id, entry) DO NOTHING
"""

# Applications are found one by one in the index.
_OWNERS: Final = """
WITH RECURSIVE owners(id) AS (
  (SELECT application_id FROM automation_runs WHERE state = 'running' ORDER BY application_id LIMIT 1)
  UNION ALL
  SELECT (SELECT application_id FROM automation_runs WHERE state = 'running' AND application_id > o.id
           ORDER BY application_id LIMIT 1) FROM owners o WHERE o.id IS NOT NULL)
SELECT id FROM owners WHERE id IS NOT NULL
"""

GO_ON: Final = """
(SELECT true FROM automation_runs WHERE state = 'running' ORDER BY application_id LIMIT 1) IS NOT NULL
"""
"""Condition: there are runs that are not over. Whether any is due only `due` says, application by application."""

# In turns of the applications, the first in the row of each before the second of any: a welcome does not wait behind a
# million mails of somebody else.
_DUE: Final = f"""
WITH chosen AS (
  SELECT w.id FROM unnest(%(owners)s::uuid[]) AS o(id), LATERAL (
    SELECT id, row_number() OVER (ORDER BY due_at, id) AS turn FROM automation_runs
     WHERE application_id = o.id AND state = 'running' AND due_at <= now() ORDER BY due_at, id LIMIT %(most)s) w
   ORDER BY w.turn, w.id LIMIT %(most)s)
SELECT {_COLUMNS} FROM automation_runs
 WHERE id = ANY(ARRAY(SELECT id FROM chosen)) AND state = 'running' AND due_at <= now()
 ORDER BY id FOR UPDATE SKIP LOCKED
"""

_SETTLE: Final = """
UPDATE automation_runs r SET position = u.position, state = u.state, reason = nullif(u.reason, ''),
       due_at = CASE WHEN u.state = 'running' THEN now() + u.wait END,
       held_since = CASE WHEN u.held THEN coalesce(r.held_since, now()) END,
       ended_at = CASE WHEN u.state <> 'running' THEN now() END
  FROM unnest(%(runs)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(reasons)s::text[],
              %(waits)s::interval[], %(held)s::boolean[]) AS u(id, position, state, reason, wait, held)
 WHERE r.id = u.id
"""

_DONE: Final = """
INSERT INTO automation_steps (run_id, position, state, email_id, campaign_id, reason)
SELECT u.run, u.position, u.state, u.email, u.campaign, nullif(u.reason, '')
  FROM unnest(%(runs)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(emails)s::uuid[],
              %(campaigns)s::uuid[], %(reasons)s::text[]) AS u(run, position, state, email, campaign, reason)
"""

_CANCEL: Final = """
WITH chosen AS (
  SELECT id FROM automation_runs WHERE automation_id = %(automation)s AND state = 'running' AND created_at <= %(until)s
   ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED)
UPDATE automation_runs r SET state = 'cancelled', reason = %(reason)s, due_at = NULL, ended_at = now()
  FROM chosen WHERE r.id = chosen.id
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a run's turn."""

    run: Run
    position: int
    state: RunState = RunState.RUNNING
    wait: timedelta = timedelta()
    """Before it is due again, while it runs."""
    reason: str = ""
    held: bool = False
    """Nothing was done: it is tried again."""
    step: StepState | None = None
    """Of the step at the run's old position, when that is over now."""
    email_id: UUID | None = None


async def enter(
    connection: Connection, automation: Automation, contacts: Sequence[UUID], entry: str, event_id: UUID | None = None
) -> int:
    """Begin runs; how many. Who has one of this entry gets no other. Nobody enters one whose steps cannot be read: that
    is an alarm, and no fault of whoever tells an event."""
    try:
        workflow = await repository.workflow_of(connection, automation)
    except Refused as error:
        _log.warning("nobody_enters", automation=str(automation.id), error=str(error))
        return 0
    first = next_mail(workflow.steps, 0)
    assert first is not None, "a workflow sends something"
    names = {
        "automation": automation.id, "application": automation.application_id, "version": automation.version_id,
        "entry": entry, "event": event_id, "position": first[0], "wait": first[1],
        "ids": arrays.uuids(uuid7() for _ in contacts), "contacts": arrays.uuids(contacts),
    }  # fmt: skip
    return (await connection.execute(_ENTER, names)).rowcount


async def due(connection: Connection, most: int) -> list[Run]:
    """Runs whose next step is due, of each application in turn; nobody else does them before the transaction ends. None
    of applications whose automations are switched off: theirs wait."""
    owners = [row[0] for row in await (await connection.execute(_OWNERS)).fetchall()]
    names = {"owners": arrays.uuids(one for one in owners if declared.AUTOMATIONS.on(one)), "most": most}
    return [_run(row) for row in await (await connection.execute(_DUE, names)).fetchall()]


async def settle(connection: Connection, turns: Sequence[Settled]) -> None:
    """Write what became of these."""
    names: dict[str, Any] = {
        "runs": arrays.uuids(one.run.id for one in turns),
        "positions": arrays.integers(one.position for one in turns),
        "states": [one.state.value for one in turns],
        "reasons": [one.reason[:500] for one in turns],
        "waits": [one.wait for one in turns],
        "held": [one.held for one in turns],
    }
    await connection.execute(_SETTLE, names)
    over = [one for one in turns if one.step is not None]
    if over:
        names = {
            "runs": arrays.uuids(one.run.id for one in over),
            "positions": arrays.integers(one.run.position for one in over),
            "states": [one.step.value for one in over if one.step is not None],
            "emails": [one.email_id for one in over],
            "campaigns": [None for _ in over],
            "reasons": [one.reason[:500] for one in over],
        }
        await connection.execute(_DONE, names)


async def has(connection: Connection, automation_id: UUID, contact_id: UUID, entry: str) -> bool:
    """Whether there is a run of this entry."""
    cursor = await connection.execute(
        "SELECT FROM automation_runs WHERE automation_id = %s AND contact_id = %s AND entry = %s",
        [automation_id, contact_id, entry],
    )
    return await cursor.fetchone() is not None


async def write_whole(connection: Connection, whole: WholeRun, entry: str) -> None:
    """A run that was over as it began, with its steps. The database refuses another one of its entry."""
    run = whole.run
    await connection.execute(
        "INSERT INTO automation_runs (id, automation_id, application_id, version_id, contact_id, entry, position,"
        " state, reason, created_at, ended_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, nullif(%s, ''), %s, %s)",
        [
            run.id, run.automation_id, run.application_id, run.version_id, run.contact_id, entry, run.position,
            run.state.value, run.reason[:500], run.created_at, run.ended_at,
        ],
    )  # fmt: skip
    for done in whole.done:
        await connection.execute(
            "INSERT INTO automation_steps (run_id, position, state, email_id, campaign_id, reason, at)"
            " VALUES (%s, %s, %s, %s, %s, nullif(%s, ''), %s)",
            [run.id, done.position, done.state.value, done.email_id, done.campaign_id, done.reason[:500], done.at],
        )


async def last_campaign(connection: Connection, automation_id: UUID) -> tuple[str, str] | None:
    """Name and state of the campaign that an automation made last; None when there is none any more."""
    cursor = await connection.execute(
        "SELECT c.name, c.state FROM automation_runs r JOIN automation_steps s ON s.run_id = r.id"
        " JOIN campaigns c ON c.id = s.campaign_id WHERE r.automation_id = %s ORDER BY r.id DESC LIMIT 1",
        [automation_id],
    )
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else None


async def cancel(connection: Connection, known: Run, reason: str) -> None:
    """End a run. One that is cancelled already stays so; raises Refused when it is over otherwise."""
    cursor = await connection.execute(
        "UPDATE automation_runs SET state = 'cancelled', reason = %s, due_at = NULL, ended_at = now()"
        " WHERE id = %s AND state = 'running'",
        [reason, known.id],
    )
    if cursor.rowcount == 0:
        now = await find(connection, known.automation_id, known.id)
        if now.state is not RunState.CANCELLED:
            raise conflict(f"a run that is {now.state} cannot be cancelled")


async def cancel_some(connection: Connection, automation_id: UUID, until: datetime, reason: str, most: int) -> int:
    """End up to so many runs that had begun by then; how many."""
    names = {"automation": automation_id, "until": until, "reason": reason, "most": most}
    return (await connection.execute(_CANCEL, names)).rowcount


async def find(connection: Connection, automation_id: UUID, identifier: UUID) -> Run:
    """A run of the automation. Raises Refused when there is none."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM automation_runs WHERE id = %s AND automation_id = %s", [identifier, automation_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Automation run not found")
    return _run(row)


async def whole(connection: Connection, known: Run) -> WholeRun:
    """A run with its steps."""
    cursor = await connection.execute(
        "SELECT position, state, email_id, campaign_id, coalesce(reason, ''), at FROM automation_steps"
        " WHERE run_id = %s ORDER BY position",
        [known.id],
    )
    done = [Done(row[0], StepState(row[1]), *row[2:]) for row in await cursor.fetchall()]
    found = await repository.workflows_of(connection, [known.version_id])
    return WholeRun(known, found[known.version_id], done)


async def page(
    connection: Connection, automation_id: UUID, window: Window[UUID], states: Iterable[RunState] = ()
) -> Page[Run]:
    """Runs of an automation, newest first; of these states, or all."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM automation_runs WHERE automation_id = %(automation)s AND {condition}"
        " AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"automation": automation_id, "states": [state.value for state in states] or None},
    )
    return cut([_run(row) for row in await cursor.fetchall()], window)


async def counts(connection: Connection, automations: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
    """How many runs there are, by automation and state."""
    cursor = await connection.execute(
        "SELECT automation_id, state, count(*) FROM automation_runs WHERE automation_id = ANY(%s::uuid[])"
        " GROUP BY 1, 2",
        [arrays.uuids(automations)],
    )
    found: dict[UUID, dict[str, int]] = {}
    for automation, state, n in await cursor.fetchall():
        found.setdefault(automation, {})[state] = n
    return found


def _run(row: Sequence[Any]) -> Run:
    identifier, automation, application, version, contact, event, position, state, *rest = row
    return Run(identifier, automation, application, version, contact, event, position, RunState(state), *rest)
