"""Lists that were uploaded and not begun: somebody looks at what their columns mean, then begins or throws them away.

What nobody begins is thrown away after `KEPT`. Functions work on the caller's connection and never commit.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Final
from uuid import UUID

from audience import properties
from audience.importing import asking, imports
from audience.importing.columns import ColumnMap
from audience.importing.imports import PART, Import
from audience.importing.merging import Terms, stored
from audience.properties import Definitions
from core.ids import uuid7
from core.list_files import TORN, decoded, lent
from core.list_rows import bounded
from core.refusal import Refused, conflict, invalid, not_found
from store.database import Connection

MOST: Final = 5
"""Lists of one application that wait for somebody to begin them."""
KEPT: Final = "1 day"
_IN_MEMORY: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored one."""

    id: UUID
    application_id: UUID
    name: str
    """Of the file."""
    actor: str
    size: int
    """Bytes, as it was sent."""
    lines: int
    created_at: datetime


_COLUMNS: Final = "id, application_id, name, actor, bytes, lines, created_at"


def counted(file: IO[bytes], known: Definitions) -> int:
    """How many lines a list has. Raises Refused for what can be no list. Reads all of it: work for a thread."""
    try:
        with decoded(lent(file), asking.MOST_UNPACKED) as text:
            asking.reader(text, known, ColumnMap()).opened()
        with decoded(lent(file), asking.MOST_UNPACKED) as text:
            return sum(1 for _ in bounded(text))
    except TORN as error:
        raise invalid("file", f"it is damaged: {error}", "invalid_file") from None
    finally:
        file.seek(0)


async def refuse_more(connection: Connection, application_id: UUID) -> None:
    """Raises Refused while `MOST` of the application wait; until the end of the transaction nobody else adds one."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"uploads to look at {application_id}"]
    )
    if len(await waiting(connection, application_id)) >= MOST:
        raise conflict(
            f"{MOST} lists of this application wait for somebody to begin them",
            "Begin one of them, or throw it away.",
            "too_many_uploads",
        )


async def keep(connection: Connection, application_id: UUID, name: str, actor: str, file: IO[bytes]) -> Upload:
    """Store a list, its file a piece at a time. Raises Refused: it is none, or others wait."""
    await refuse_more(connection, application_id)
    lines = await asyncio.to_thread(counted, file, await properties.known(connection, application_id))
    identifier, size, number = uuid7(), 0, 0
    while piece := await asyncio.to_thread(file.read, PART):
        await imports.keep_part(connection, identifier, number, piece)
        size, number = size + len(piece), number + 1
    await connection.execute(
        "INSERT INTO contact_uploads (id, application_id, name, actor, bytes, lines) VALUES (%s, %s, %s, %s, %s, %s)",
        [identifier, application_id, name[:200] or "import.csv", actor, size, lines],
    )
    return await get(connection, identifier)


async def waiting(connection: Connection, application_id: UUID) -> list[Upload]:
    """Those of an application, newest first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_uploads WHERE application_id = %s ORDER BY id DESC", [application_id]
    )
    return [_upload(row) for row in await cursor.fetchall()]


async def get(connection: Connection, identifier: UUID) -> Upload:
    """One of whichever application. Raises Refused when there is none."""
    return await _one(connection, f"SELECT {_COLUMNS} FROM contact_uploads WHERE id = %s", identifier)


async def opened(connection: Connection, found: Upload) -> IO[bytes]:
    """Its file, on this machine until it is closed."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # the caller's to close
    async for piece in imports.parts(connection, found.id):
        await asyncio.to_thread(file.write, piece)
    file.seek(0)
    return file


async def begin(connection: Connection, found: Upload, terms: Terms) -> Import:
    """An import is made of it, for whichever process works on imports. Raises Refused: somebody began it meanwhile, or
    others wait."""
    await imports.refuse_more(connection, found.application_id)
    await _taken(connection, found.id)
    made = await imports.begin(connection, found.application_id, found.name, terms.actor, stored(terms))
    await imports.take_parts(connection, found.id, made.id)
    return made


async def discard(connection: Connection, identifier: UUID) -> None:
    """It is thrown away. Raises Refused when there is none."""
    await _taken(connection, identifier)
    await imports.drop_parts(connection, [identifier])


async def forget(connection: Connection) -> None:
    """Retention: what nobody began."""
    cursor = await connection.execute(
        f"DELETE FROM contact_uploads WHERE created_at < now() - interval '{KEPT}' RETURNING id"
    )
    await imports.drop_parts(connection, [row[0] for row in await cursor.fetchall()])


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone."""
    cursor = await connection.execute(
        "DELETE FROM contact_uploads WHERE application_id = %s RETURNING id", [application_id]
    )
    await imports.drop_parts(connection, [row[0] for row in await cursor.fetchall()])


async def _taken(connection: Connection, identifier: UUID) -> Upload:
    return await _one(connection, f"DELETE FROM contact_uploads WHERE id = %s RETURNING {_COLUMNS}", identifier)


async def _one(connection: Connection, statement: str, identifier: UUID) -> Upload:
    row = await (await connection.execute(statement, [identifier])).fetchone()
    if row is None:
        raise _gone()
    return _upload(row)


def _gone() -> Refused:
    return not_found(
        "there is no such list to begin",
        "It was begun, thrown away, or waited for more than a day: the list of imports says what was begun.",
    )


def _upload(row: Sequence[Any]) -> Upload:
    return Upload(*row)
