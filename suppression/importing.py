"""Brings a list in, a batch a transaction, and remembers in the same transaction how far it got.

So an import that was killed goes on where it stopped when the same file is imported again, and one that is told twice
adds nothing twice. Progress can be read by everybody from `suppression_imports`. Built for ten million lines: while
PostgreSQL works on one batch the next is read.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from core.ids import uuid7
from core.refusal import Refused, invalid
from store.database import Connection, Database
from suppression.adding import merge
from suppression.entries import Addition
from suppression.reading import Fault, Item, ListReader

BATCH: Final = 20_000
"""Lines of one transaction: about a second, and as much is read again after a kill."""

SHOWN_FAULTS: Final = 100
"""Lines that are named when they are wrong; the rest is counted."""

_BEGIN: Final = """
INSERT INTO suppression_imports AS i (id, fingerprint, name, actor) VALUES (%s, %s, %s, %s)
ON CONFLICT (fingerprint) WHERE finished_at IS NULL DO UPDATE SET updated_at = now(), actor = excluded.actor
RETURNING i.id, i.line, i.added, i.known, i.passed, i.wrong
"""

# An import that overtook another one of the same file says how far it is itself: all before its line is stored.
_REACHED: Final = """
UPDATE suppression_imports SET line = %s, added = %s, known = %s, passed = %s, wrong = %s, updated_at = now(),
       finished_at = CASE WHEN %s THEN now() END
 WHERE id = %s
"""


@dataclass(slots=True)
class Progress:
    """How far an import is; the counts are of the whole list, with what was done before a kill."""

    line: int = 0
    added: int = 0
    known: int = 0
    passed: int = 0
    """Right, and not taken: they get mail elsewhere, or their time is over."""
    wrong: int = 0
    resumed_at: int = 0
    """The line it went on behind; 0: it began at the beginning."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """Entries of the list that stand now."""
        return self.added + self.known


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it is remembered."""

    name: str
    actor: str
    line: int
    added: int
    known: int
    passed: int
    wrong: int
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None


async def run(
    database: Database, reader: ListReader, name: str, fingerprint: str, tell: Callable[[Progress], None]
) -> Progress:
    """Import the whole list. `fingerprint` says that it is the same list with the same terms; "" cannot be resumed.

    Raises Refused when nothing of it was taken.
    """
    identifier, progress = await _begin(database, name, fingerprint or str(uuid7()), reader)
    reader.behind = progress.resumed_at
    items = iter(reader)
    batch = await asyncio.to_thread(_next_batch, items, reader)
    while batch.items:
        store = asyncio.create_task(_store(database, identifier, batch, progress))
        try:
            following = await asyncio.to_thread(_next_batch, items, reader)
        finally:
            await store
        tell(progress)
        batch = following
    await _finish(database, identifier, progress, reader)
    if not progress.taken:
        raise _nothing_taken(name, reader, progress)
    return progress


async def imports(connection: Connection, limit: int = 50) -> list[Import]:
    """The newest imports, under way or done."""
    cursor = await connection.execute(
        "SELECT name, actor, line, added, known, passed, wrong, started_at, updated_at, finished_at"
        " FROM suppression_imports ORDER BY started_at DESC LIMIT %s",
        [limit],
    )
    return [Import(*row) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class _Batch:
    items: list[Item]
    line: int


def _next_batch(items: Iterator[Item], reader: ListReader) -> _Batch:
    return _Batch(list(islice(items, BATCH)), reader.line)


async def _begin(database: Database, name: str, fingerprint: str, reader: ListReader) -> tuple[UUID, Progress]:
    async with database.transaction() as connection:
        values = [uuid7(), fingerprint, name, reader.terms.actor]
        row = await (await connection.execute(_BEGIN, values)).fetchone()
    assert row is not None
    identifier, line, added, known, passed, wrong = row
    return identifier, Progress(line, added, known, passed, wrong, resumed_at=line)


async def _store(database: Database, identifier: UUID, batch: _Batch, progress: Progress) -> None:
    additions = [item for item in batch.items if isinstance(item, Addition)]
    faults = [item for item in batch.items if isinstance(item, Fault)]
    async with database.transaction() as connection:
        # A batch that is lost with the machine is lost together with the line it reached.
        await connection.execute("SET LOCAL synchronous_commit = off")
        fresh = await merge(connection, additions)
        progress.added += fresh
        progress.known += len(additions) - fresh
        progress.wrong += len(faults)
        progress.passed += len(batch.items) - len(additions) - len(faults)
        progress.line = batch.line
        await _reached(connection, identifier, progress, done=False)
    progress.faults += faults[: SHOWN_FAULTS - len(progress.faults)]


async def _finish(database: Database, identifier: UUID, progress: Progress, reader: ListReader) -> None:
    async with database.transaction() as connection:
        progress.line = max(progress.line, reader.line)
        await _reached(connection, identifier, progress, done=True)


async def _reached(connection: Connection, identifier: UUID, p: Progress, *, done: bool) -> None:
    await connection.execute(_REACHED, [p.line, p.added, p.known, p.passed, p.wrong, done, identifier])


def _nothing_taken(name: str, reader: ListReader, progress: Progress) -> Refused:
    if progress.passed and not progress.wrong:
        told = f"the {progress.passed:,} people in it get mail where it comes from, or their entries are over"
        return invalid(name, told, "nothing_imported")
    seen = f"no address was found: {progress.line:,} lines, {reader.seen}"
    first = f"; line {progress.faults[0].line}: {progress.faults[0].reason}" if progress.faults else ""
    return invalid(name, seen + first, "nothing_imported")
