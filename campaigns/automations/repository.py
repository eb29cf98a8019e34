"""The tables of automations and their versions. Works on the caller's connection and never commits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from campaigns.automations import workflow as workflows
from campaigns.automations.model import Automation, AutomationState, Workflow
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import not_found
from store import arrays
from store.database import Connection
from store.paging import newest_first

_COLUMNS: Final = (
    "id, application_id, name, state, version_id, next_at, stopped_at, created_at, updated_at"  # of `Automation`
)

_INSERT: Final = f"""
INSERT INTO automations (id, application_id, name, version_id, event_name)
VALUES (%(id)s, %(application)s, %(name)s, %(version)s, %(event)s) RETURNING {_COLUMNS}
"""

_PAGE: Final = f"""
SELECT {_COLUMNS} FROM automations
 WHERE application_id = %(application)s AND (%(state)s::text IS NULL OR state = %(state)s)
"""


async def insert(connection: Connection, application_id: UUID, name: str, workflow: Workflow) -> Automation:
    """A new one, disabled."""
    identifier = uuid7()
    version = await _write_version(connection, identifier, workflow)
    names = {
        "id": identifier, "application": application_id, "name": name, "version": version,
        "event": workflow.trigger.event,
    }  # fmt: skip
    row = await (await connection.execute(_INSERT, names)).fetchone()
    assert row is not None, "RETURNING gives the row"
    return _automation(row)


async def rename(connection: Connection, known: Automation, name: str) -> None:
    """Another name."""
    await connection.execute("UPDATE automations SET name = %s, updated_at = now() WHERE id = %s", [name, known.id])


async def rewrite(connection: Connection, known: Automation, workflow: Workflow) -> None:
    """Other steps, for who enters from now on. A version that nobody is under way with goes."""
    version = await _write_version(connection, known.id, workflow)
    await connection.execute(
        "UPDATE automations SET version_id = %s, event_name = %s, updated_at = now() WHERE id = %s",
        [version, workflow.trigger.event, known.id],
    )
    await connection.execute(
        "DELETE FROM automation_versions WHERE id = %s AND NOT EXISTS"
        " (SELECT FROM automation_runs WHERE automation_id = %s AND version_id = %s)",
        [known.version_id, known.id, known.version_id],
    )


async def switch(connection: Connection, known: Automation, state: AutomationState, next_at: datetime | None) -> None:
    """Whether people enter; when a rule is due."""
    await connection.execute(
        "UPDATE automations SET state = %s, next_at = %s, updated_at = now() WHERE id = %s",
        [state.value, next_at, known.id],
    )


async def stop(connection: Connection, known: Automation) -> None:
    """Nobody enters, and nothing of those under way is done from the caller's commit on."""
    await switch(connection, known, AutomationState.DISABLED, None)
    await connection.execute("UPDATE automations SET stopped_at = now() WHERE id = %s", [known.id])


async def delete(connection: Connection, known: Automation) -> None:
    """Its runs go in the background."""
    await connection.execute("DELETE FROM automation_versions WHERE automation_id = %s", [known.id])
    await connection.execute("DELETE FROM automations WHERE id = %s", [known.id])


async def find(connection: Connection, application_id: UUID | None, identifier: UUID) -> Automation | None:
    """An automation of the application; None: of any."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM automations WHERE id = %(id)s"
        " AND (%(application)s::uuid IS NULL OR application_id = %(application)s)",
        {"id": identifier, "application": application_id},
    )
    row = await cursor.fetchone()
    return _automation(row) if row else None


async def get(connection: Connection, application_id: UUID | None, identifier: UUID) -> Automation:
    """The same. Raises Refused when there is none."""
    found = await find(connection, application_id, identifier)
    if found is None:
        raise not_found("Automation not found")
    return found


async def held(connection: Connection, application_id: UUID | None, identifier: UUID) -> Automation:
    """The same, as it stays to the end of the transaction; whoever does its steps is through with them, or waits."""
    await connection.execute("SELECT FROM automations WHERE id = %s FOR UPDATE", [identifier])
    return await get(connection, application_id, identifier)


async def page(
    connection: Connection, application_id: UUID, window: Window[UUID], state: AutomationState | None = None
) -> Page[Automation]:
    """The application's automations, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"{_PAGE} AND {condition} ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id, "state": state and state.value},
    )
    return cut([_automation(row) for row in await cursor.fetchall()], window)


async def count(connection: Connection, application_id: UUID) -> int:
    """How many the application has. Who makes some at one time takes turns."""
    await connection.execute("SELECT FROM applications WHERE id = %s FOR NO KEY UPDATE", [application_id])
    cursor = await connection.execute("SELECT count(*) FROM automations WHERE application_id = %s", [application_id])
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def waiting_for(connection: Connection, application_id: UUID, event: str) -> list[Automation]:
    """Those that people enter by this event, and go on doing so until the transaction is over."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM automations WHERE application_id = %s AND event_name = %s AND state = 'enabled'"
        " ORDER BY id FOR SHARE",
        [application_id, event],
    )
    return [_automation(row) for row in await cursor.fetchall()]


async def shared(connection: Connection, identifiers: Iterable[UUID]) -> dict[UUID, Automation]:
    """Those that there are. Nobody stops or deletes them before the transaction is over."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM automations WHERE id = ANY(%s::uuid[]) ORDER BY id FOR SHARE",
        [arrays.uuids(set(identifiers))],
    )
    return {row[0]: _automation(row) for row in await cursor.fetchall()}


async def workflows_of(connection: Connection, versions: Iterable[UUID]) -> dict[UUID, Workflow]:
    """Steps by version; what is gone is left out."""
    cursor = await connection.execute(
        "SELECT id, steps FROM automation_versions WHERE id = ANY(%s::uuid[])", [arrays.uuids(set(versions))]
    )
    return {row[0]: workflows.from_json(row[1], None) for row in await cursor.fetchall()}


async def workflow_of(connection: Connection, known: Automation) -> Workflow:
    """The steps for who enters now."""
    return (await workflows_of(connection, [known.version_id]))[known.version_id]


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone. Its runs go in the background."""
    await connection.execute(
        "DELETE FROM automation_versions v USING automations a WHERE a.id = v.automation_id AND a.application_id = %s",
        [application_id],
    )
    await connection.execute("DELETE FROM automations WHERE application_id = %s", [application_id])


async def _write_version(connection: Connection, automation_id: UUID, workflow: Workflow) -> UUID:
    identifier = uuid7()
    steps, _ = workflows.to_json(workflow)
    await connection.execute(
        "INSERT INTO automation_versions (id, automation_id, steps) VALUES (%s, %s, %s)",
        [identifier, automation_id, Jsonb(steps)],
    )
    return identifier


def _automation(row: Sequence[Any]) -> Automation:
    identifier, application, name, state, *rest = row
    return Automation(identifier, application, name, AutomationState(state), *rest)
