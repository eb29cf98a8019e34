"""Imports of contacts as they are remembered: what was asked for, how far it is, and what became of each line.

An upload waits in the database, in parts, for the process that works on it; a file that the command line reads is known
by its fingerprint. Functions work on the caller's connection and never commit.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from audience import confirmations
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import conflict, not_found
from store.database import Connection
from store.paging import newest_first

PART: Final = 1024 * 1024
"""Bytes of an upload in one row."""
MOST_OPEN: Final = 3
"""Uploads of one application that wait or are worked on."""

OPEN: Final = "EXISTS (SELECT FROM contact_imports WHERE completed_at IS NULL)"
"""Condition: some are not done yet."""
_UPLOADED: Final = "EXISTS (SELECT FROM contact_import_parts p WHERE p.import_id = i.id)"


class ImportStatus(StrEnum):
    """How far an import is: Resend's words. The values are stored."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Import:
    """A stored import."""

    id: UUID
    application_id: UUID
    name: str
    actor: str
    terms: Mapping[str, Any]
    status: ImportStatus
    failure: str
    line: int
    total: int
    created: int
    updated: int
    skipped: int
    failed: int
    confirmations: int
    """Mails that ask, which were queued for it."""
    reasons: Mapping[str, int]
    """How many lines were not taken, by reason."""
    faults: Sequence[Mapping[str, Any]]
    """The first of them."""
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


_COLUMNS: Final = (
    "id, application_id, name, actor, terms, status, coalesce(failure, ''), line, total, created, updated, skipped,"
    " failed, confirmations, reasons, faults, created_at, updated_at, completed_at"
)

# The same file with the same terms, while it is under way, is the same import.
_BEGIN: Final = f"""
INSERT INTO contact_imports AS i (id, application_id, fingerprint, name, actor, terms, status)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (application_id, fingerprint) WHERE completed_at IS NULL DO UPDATE SET updated_at = now()
RETURNING {_COLUMNS}
"""

_REACHED: Final = """
UPDATE contact_imports SET status = 'in_progress', line = %(line)s, total = %(total)s, created = %(created)s,
  updated = %(updated)s, skipped = %(skipped)s, failed = %(failed)s, confirmations = %(confirmations)s,
  reasons = %(reasons)s, faults = %(faults)s, updated_at = now() WHERE id = %(id)s AND completed_at IS NULL
"""

# The text is as somebody wrote it.
_UNNAME: Final = """
UPDATE contact_imports SET faults = (
  SELECT jsonb_agg(CASE WHEN strpos(lower(fault->>'text'), %(address)s) > 0 THEN fault || '{"text": ""}' ELSE fault END
                   ORDER BY place) FROM jsonb_array_elements(faults) WITH ORDINALITY AS told(fault, place))
 WHERE application_id = %(application)s AND strpos(lower(faults::text), %(address)s) > 0
"""


async def begin(
    connection: Connection, application_id: UUID, name: str, actor: str, terms: str, fingerprint: str = ""
) -> Import:
    """A new import, or the one of this fingerprint that was stopped."""
    identifier = uuid7()
    values = [identifier, application_id, fingerprint or str(identifier), name, actor, terms, ImportStatus.QUEUED.value]
    row = await (await connection.execute(_BEGIN, values)).fetchone()
    assert row is not None
    return _import(row)


async def keep_part(connection: Connection, identifier: UUID, number: int, data: bytes) -> None:
    """A piece of the uploaded file."""
    await connection.execute(
        "INSERT INTO contact_import_parts (import_id, part, data) VALUES (%s, %s, %s)", [identifier, number, data]
    )


async def take_parts(connection: Connection, upload_id: UUID, identifier: UUID) -> None:
    """The file of an upload is the import's. What is stored out of line stays where it is."""
    await connection.execute(
        "UPDATE contact_import_parts SET import_id = %s WHERE import_id = %s", [identifier, upload_id]
    )


async def drop_parts(connection: Connection, identifiers: Sequence[UUID]) -> None:
    """Files that nobody needs any more."""
    await connection.execute("DELETE FROM contact_import_parts WHERE import_id = ANY(%s)", [list(identifiers)])


async def parts(connection: Connection, identifier: UUID) -> AsyncIterator[bytes]:
    """The uploaded file, piece by piece."""
    number = 0
    while True:
        cursor = await connection.execute(
            "SELECT data FROM contact_import_parts WHERE import_id = %s AND part = %s", [identifier, number]
        )
        row = await cursor.fetchone()
        if row is None:
            return
        yield bytes(row[0])
        number += 1


async def uploaded(connection: Connection) -> list[Import]:
    """Uploads that are not done yet: the oldest of each application, for they have their turns."""
    cursor = await connection.execute(
        f"SELECT DISTINCT ON (application_id) {_COLUMNS} FROM contact_imports i WHERE completed_at IS NULL"
        f" AND {_UPLOADED} ORDER BY application_id, id"
    )
    return sorted((_import(row) for row in await cursor.fetchall()), key=lambda one: one.id)


async def under_way(connection: Connection, application_id: UUID) -> tuple[int, int]:
    """How many lists of the application are being read, and how many lines of them were."""
    cursor = await connection.execute(
        "SELECT count(*), coalesce(sum(line), 0)::bigint FROM contact_imports"
        " WHERE application_id = %s AND completed_at IS NULL",
        [application_id],
    )
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else (0, 0)


async def refuse_more(connection: Connection, application_id: UUID) -> None:
    """Raises Refused while `MOST_OPEN` uploads of the application wait; until the end of the transaction nobody else
    adds one."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"uploads of contacts {application_id}"]
    )
    cursor = await connection.execute(
        f"SELECT count(*) FROM contact_imports i WHERE application_id = %s AND completed_at IS NULL AND {_UPLOADED}",
        [application_id],
    )
    row = await cursor.fetchone()
    if row is not None and row[0] >= MOST_OPEN:
        raise conflict(
            f"{row[0]} lists of this application wait to be imported",
            "Send more when one of them is done; the list of imports says how far they are.",
            "too_many_imports",
        )


async def alone(connection: Connection, identifier: UUID) -> bool:
    """Whether nobody else works on it; then nobody will before `let_go`, or the end of the connection."""
    return await _lock(connection, "pg_try_advisory_lock", identifier)


async def let_go(connection: Connection, identifier: UUID) -> None:
    """Somebody else may."""
    await _lock(connection, "pg_advisory_unlock", identifier)


async def _lock(connection: Connection, how: str, identifier: UUID) -> bool:
    row = await (
        await connection.execute(f"SELECT {how}(hashtextextended(%s, 0))", [f"contact import {identifier}"])
    ).fetchone()
    return bool(row and row[0])


async def reached(connection: Connection, identifier: UUID, figures: Mapping[str, object]) -> None:
    """How far it is; by the names of the columns. Raises Refused when somebody stopped it."""
    if not (await connection.execute(_REACHED, dict(figures) | {"id": identifier})).rowcount:
        raise conflict("the import was stopped")


async def stop(connection: Connection, application_id: UUID, identifier: UUID, who: str) -> tuple[Import, int]:
    """Nothing more of it comes in, and nobody more of it is asked; how many would have been. What came in stays. Raises
    Refused when there is none."""
    await get(connection, application_id, identifier)
    await ended(connection, identifier, f"stopped by {who}")
    unasked = await confirmations.stop_import(connection, identifier)
    return await get(connection, application_id, identifier), unasked


async def ended(connection: Connection, identifier: UUID, failure: str = "") -> None:
    """It is done, or cannot be. The file goes."""
    status = ImportStatus.FAILED if failure else ImportStatus.COMPLETED
    await connection.execute(
        "UPDATE contact_imports SET status = %s, failure = nullif(%s, ''), completed_at = now(), updated_at = now()"
        " WHERE id = %s AND completed_at IS NULL",
        [status.value, failure, identifier],
    )
    await drop_parts(connection, [identifier])


async def find(connection: Connection, application_id: UUID, identifier: UUID) -> Import | None:
    """One of the application, if there is one."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_imports WHERE id = %s AND application_id = %s", [identifier, application_id]
    )
    row = await cursor.fetchone()
    return _import(row) if row else None


async def get(connection: Connection, application_id: UUID, identifier: UUID) -> Import:
    """One of the application. Raises Refused when there is none."""
    found = await find(connection, application_id, identifier)
    if found is None:
        raise not_found("Import not found")
    return found


async def page(
    connection: Connection, application_id: UUID, window: Window[UUID], status: ImportStatus | None = None
) -> Page[Import]:
    """The application's imports, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_imports WHERE application_id = %(application)s AND {condition}"
        f" AND (%(status)s::text IS NULL OR status = %(status)s) ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id, "status": status},
    )
    return cut(await cursor.fetchall(), window).map(_import)


async def unname(connection: Connection, application_id: UUID, addresses: Sequence[str]) -> None:
    """Somebody is erased: lines of theirs that made no contact are told without their text. `addresses` are folded."""
    for address in addresses:
        await connection.execute(_UNNAME, {"application": application_id, "address": address})


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone."""
    await connection.execute(
        "DELETE FROM contact_import_parts p USING contact_imports i WHERE i.id = p.import_id AND i.application_id = %s",
        [application_id],
    )
    await connection.execute("DELETE FROM contact_imports WHERE application_id = %s", [application_id])


def _import(row: Sequence[Any]) -> Import:
    identifier, application, name, actor, terms, status, *rest = row
    return Import(identifier, application, name, actor, terms, ImportStatus(status), *rest)
