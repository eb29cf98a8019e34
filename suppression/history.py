"""What became of entries that are no more as they were: removed, replaced, expired. Written with each such change.

`KEEP` is part of the statements that change or delete rows (`suppression/adding`, `suppression/removing`), so that no
entry goes without a trace. Nothing is ever taken out of the history but what was agreed with an application that is
gone.
"""

from typing import Final
from uuid import UUID

from store.database import Connection
from suppression.entries import Ended
from suppression.rows import NAMES, columns, suppression

KEEP: Final = f"""INSERT INTO suppression_history (suppression_id, {", ".join(NAMES[1:])}, ended, ended_by, why)
  SELECT {columns("s")}"""
"""Continue with the last three values and where `s` comes from."""

MOST: Final = 100
"""Shown of one entry or address; the newest."""

_OF = f"""SELECT h.suppression_id, {", ".join(f"h.{name}" for name in NAMES[1:])},
       h.ended, h.ended_at, h.ended_by, h.why
  FROM suppression_history h WHERE {{which}} ORDER BY h.id DESC LIMIT {MOST}"""


async def of_subjects(connection: Connection, subjects: list[str]) -> list[Ended]:
    """What there was for these stored texts, the newest first."""
    return await _read(connection, "h.address = ANY(%s)", subjects)


async def of_entry(connection: Connection, identifier: UUID) -> list[Ended]:
    """How one entry was before, the newest first; also of one that is gone."""
    return await _read(connection, "h.suppression_id = %s", identifier)


async def _read(connection: Connection, which: str, value: object) -> list[Ended]:
    cursor = await connection.execute(_OF.format(which=which), [value])
    return [Ended(suppression(row[: len(NAMES)]), *row[len(NAMES) :]) for row in await cursor.fetchall()]
