"""Uploaded lists of contacts: taken from the database to a file of this process, and imported. Of one application one
after the other, of several side by side: a small list waits for no large one of somebody else.

A worker that was killed left the import as far as its last slice; whoever comes next goes on behind it.
"""

import asyncio
import tempfile
from collections.abc import Collection
from typing import Final
from uuid import UUID

from audience import properties
from audience.checks import MailRecords
from audience.importing import asking, imports, slices
from audience.importing.imports import Import
from audience.importing.merging import terms_of
from audience.importing.slices import Domains, Progress, Work
from core.errors import UnavailableError
from core.list_files import TORN, decoded
from core.logs import get_logger
from core.refusal import Refused
from store.database import Database

_log = get_logger(__name__)

_IN_MEMORY: Final = 8 * 1024 * 1024
AT_ONCE: Final = 3
"""Applications whose lists are worked on by one process at most: each takes a connection for its time."""
LOOK_AGAIN: Final = 2.0
"""Seconds after which uploads are looked for that came meanwhile."""


async def bring_in(database: Database, records: MailRecords, at_once: int = AT_ONCE) -> int:
    """Work on every upload that nobody else works on; how many were done."""
    done, seen = 0, set[UUID]()
    running: dict[UUID, asyncio.Task[bool]] = {}
    try:
        while True:
            for found in await _fresh(database, seen, at_once - len(running), running):
                seen.add(found.id)  # also those that another process works on: they are looked at once
                running[found.application_id] = asyncio.create_task(_alone(database, records, found))
            if not running:
                return done
            await asyncio.wait(running.values(), timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
            for application_id in [one for one, task in running.items() if task.done()]:
                done += running.pop(application_id).result()
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _fresh(database: Database, seen: Collection[UUID], room: int, running: Collection[UUID]) -> list[Import]:
    """Uploads whose turn it is."""
    async with database.connection() as connection:
        waiting = await imports.uploaded(connection)
    return [one for one in waiting if one.id not in seen and one.application_id not in running][:room]


async def _alone(database: Database, records: MailRecords, found: Import) -> bool:
    """A bug that one list brings to light ends that import, and says so; those of others go on."""
    try:
        return await _one(database, records, found)
    except UnavailableError:
        raise
    except Exception as error:  # whatever it is, those behind it are not to blame
        _log.error("import_failed", id=str(found.id), exc_info=error)
        return await _failed(database, found, f"internal error: {type(error).__name__}: {error}")


async def _one(database: Database, records: MailRecords, found: Import) -> bool:
    terms = terms_of(found.application_id, found.terms)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        try:
            async with database.connection() as connection:
                async for part in imports.parts(connection, found.id):
                    file.write(part)
                file.seek(0)
                known = await properties.known(connection, found.application_id)
            with await asyncio.to_thread(
                decoded, file, asking.MOST_UNPACKED
            ) as text:  # the table of a large archive takes a while
                reader = asking.reader(text, known, terms.columns)
                done = await slices.run(database, Work(found.id, terms, reader, Domains(records)), _quietly)
        except (Refused, *TORN) as error:
            return await _could_not(database, found, error)
    _log.info("contacts_imported", id=str(found.id), created=done.created, failed=done.failed)
    return True


async def _could_not(database: Database, found: Import, error: Exception) -> bool:
    """Nothing but the file is at fault; another process that works on it is none."""
    if isinstance(error, Refused) and error.kind == "conflict":
        return False
    return await _failed(database, found, f"the file cannot be read: {error}")


async def _failed(database: Database, found: Import, why: str) -> bool:
    async with database.transaction() as connection:
        await imports.ended(connection, found.id, why.replace("\0", "")[:500])
    return True


def _quietly(_: Progress) -> None:
    """How far it is stands in the database."""
