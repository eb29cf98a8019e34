"""What is left of lists that were deleted, and of the people of applications that are gone: nothing. It may be a
million rows, so it goes in slices of a transaction each, that nobody waits for, and goes on wherever a kill stopped it.

A deleted list is seen nowhere; nobody asks about an application that is gone (`departed_applications` names it until
all of it went).
"""

from typing import Final
from uuid import UUID

from store.database import Connection, Database

SLICE: Final = 5_000
"""Rows of one transaction: some hundred milliseconds."""

_LIST: Final = """
SELECT s.id FROM segments s WHERE s.deleted_at IS NOT NULL
   AND EXISTS (SELECT FROM segment_members m WHERE m.segment_id = s.id) LIMIT 1
"""

_MEMBERS: Final = """
DELETE FROM segment_members WHERE segment_id = %(id)s AND contact_id = ANY(ARRAY(
  SELECT contact_id FROM segment_members WHERE segment_id = %(id)s LIMIT %(most)s))
"""

_APPLICATION: Final = "SELECT application_id FROM departed_applications LIMIT 1"

# People first, with what has their id; then what outlived somebody. Nobody writes any of it any more.
_OF_APPLICATION: Final = (
    """
WITH gone AS MATERIALIZED (SELECT id FROM contacts WHERE application_id = %(id)s ORDER BY id LIMIT %(most)s),
places AS (DELETE FROM segment_members m USING gone g WHERE m.contact_id = g.id),
told AS (DELETE FROM contact_history h USING gone g WHERE h.contact_id = g.id)
DELETE FROM contacts c USING gone g WHERE c.id = g.id
""",
    "DELETE FROM contact_history WHERE id = ANY(ARRAY("
    "SELECT id FROM contact_history WHERE application_id = %(id)s LIMIT %(most)s))",
    "DELETE FROM choices WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM choices WHERE application_id = %(id)s LIMIT %(most)s))",
    "DELETE FROM choice_history WHERE id = ANY(ARRAY("
    "SELECT id FROM choice_history WHERE application_id = %(id)s LIMIT %(most)s))",
)


# Another process may have the last slice in hand, and lose it.
_DONE: Final = """
DELETE FROM departed_applications WHERE application_id = %(id)s
   AND NOT EXISTS (SELECT FROM contacts WHERE application_id = %(id)s)
   AND NOT EXISTS (SELECT FROM contact_history WHERE application_id = %(id)s)
   AND NOT EXISTS (SELECT FROM choices WHERE application_id = %(id)s)
   AND NOT EXISTS (SELECT FROM choice_history WHERE application_id = %(id)s)
"""


async def application(connection: Connection, application_id: UUID) -> None:
    """An application goes with the caller's transaction, and its people behind it."""
    await connection.execute(
        "INSERT INTO departed_applications (application_id) VALUES (%s) ON CONFLICT DO NOTHING", [application_id]
    )


async def forget_gone(database: Database) -> None:
    """Take away all that is left."""
    while (found := await _next(database, _LIST)) is not None:
        await _all(database, _MEMBERS, found)
    while (found := await _next(database, _APPLICATION)) is not None:
        for statement in _OF_APPLICATION:
            await _all(database, statement, found)
        async with database.transaction() as connection:
            await connection.execute(_DONE, {"id": found})


async def _next(database: Database, question: str) -> UUID | None:
    async with database.connection() as connection:
        row = await (await connection.execute(question)).fetchone()
    return row[0] if row else None


async def _all(database: Database, statement: str, identifier: UUID) -> None:
    """Slice after slice, until one finds nothing."""
    more = True
    while more:
        async with database.transaction() as connection:
            more = (await connection.execute(statement, {"id": identifier, "most": SLICE})).rowcount > 0
