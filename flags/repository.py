"""The table `flags`: a row for each flag that somebody has switched, one more for each application with its own.

`percent` NULL: switched back to what is declared. The row stays, and says who did that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from flags.asking import Switch
from store.database import Connection

# One row without a name when nothing is switched: the time comes along in any case.
_HELD: Final = """
SELECT now(), f.name, f.application_id, f.percent FROM (VALUES (1)) AS once LEFT JOIN flags f ON f.percent IS NOT NULL
"""
_SETTINGS: Final = """
SELECT f.name, f.application_id, coalesce(a.name, ''), f.percent, f.reason, f.changed_by, f.changed_at
  FROM flags f LEFT JOIN applications a ON a.id = f.application_id ORDER BY f.name, a.name NULLS FIRST
"""
# Waits for nobody but another writer of the same flag; an application that goes meanwhile takes its row with it.
_SET: Final = """
INSERT INTO flags AS f (name, application_id, percent, reason, changed_by)
VALUES (%(name)s, %(application)s, %(percent)s, %(reason)s, %(by)s)
ON CONFLICT (name, application_id) DO UPDATE
   SET percent = excluded.percent, reason = excluded.reason, changed_by = excluded.changed_by, changed_at = now()
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What somebody set."""

    name: str
    application_id: UUID | None
    """None: for everything."""
    application: str
    percent: int | None
    """None: back to what is declared, or to what holds for everything."""
    reason: str
    by: str
    at: datetime


async def held(connection: Connection) -> tuple[Mapping[str, Switch], datetime]:
    """All switches, for a process to go by, and the time by the database's clock."""
    rows = await (await connection.execute(_HELD)).fetchall()
    percents: dict[str, int] = {}
    own: dict[str, dict[UUID, int]] = {}
    for _, name, application, percent in rows:
        if application is not None:
            own.setdefault(name, {})[application] = percent
        elif name is not None:
            percents[name] = percent
    return {name: Switch(percents.get(name), own.get(name, {})) for name in {*percents, *own}}, rows[0][0]


async def settings(connection: Connection) -> list[Setting]:
    """What was set, by flag; for everything first."""
    return [Setting(*row) for row in await (await connection.execute(_SETTINGS)).fetchall()]


async def put(connection: Connection, setting: Mapping[str, object]) -> None:
    """Set a flag: `name`, `application`, `percent`, `reason`, `by`."""
    await connection.execute(_SET, setting)
