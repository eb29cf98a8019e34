"""Brings a list in, a batch a transaction, and remembers in the same transaction how far it got.

So an import that was killed goes on where it stopped when the same file is imported again, and one that is told twice
adds nothing twice. Progress can be read by everybody from `suppression_imports`. Built for ten million lines: while
PostgreSQL works on one batch (`suppression/merging`) the next is read. Needs the one connection it takes for all of it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from core.ids import uuid7
from core.refusal import Refused, invalid
from store.database import Connection, Database
from suppression.entries import Addition
from suppression.merging import merge, packed
from suppression.reading import Fault, Item, ListReader

BATCH: Final = 20_000
"""Lines of the first transaction; the next ones have as many as take about `TURN_SECONDS`."""
LEAST, MOST = 10_000, 200_000
"""Lines of a transaction at least and at most: the more, the better the list's index is used. Into a list of ten
million a line cost PostgreSQL 100 µs in turns of 7,000 lines and 68 µs in turns of 200,000 (CPU, busy machine)."""
TURN_SECONDS: Final = 5.0
"""Whoever adds one of the same addresses meanwhile waits so long; as much is read again after a kill."""

_FEW: Final = 3
"""So many lines that are wrong are a list with mistakes in it; more, and no list was given."""
SHOWN_FAULTS: Final = 100
"""Lines that are named when they are wrong; the rest is counted."""

_BEGIN: Final = """
INSERT INTO suppression_imports AS i (id, fingerprint, name, actor) VALUES (%s, %s, %s, %s)
ON CONFLICT (fingerprint) WHERE finished_at IS NULL DO UPDATE SET updated_at = now(), actor = excluded.actor
RETURNING i.id, i.line, i.added, i.known, i.passed, i.wrong
"""

# An import that overtook another one of the same file says how far it is itself: all before its line is stored. One
# that is behind says nothing, least of all that the list is not finished yet.
_REACHED: Final = """
UPDATE suppression_imports SET line = %s, added = %s, known = %s, passed = %s, wrong = %s, updated_at = now(),
       finished_at = CASE WHEN %s THEN now() END
 WHERE id = %s AND finished_at IS NULL AND line <= %s
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
    async with database.connection() as connection:
        identifier, progress = await _begin(connection, name, fingerprint or str(uuid7()), reader)
        reader.behind = progress.resumed_at
        items, size = iter(reader), BATCH
        batch = await asyncio.to_thread(_next_batch, items, reader, size)
        while batch.read:
            store = asyncio.create_task(_store(connection, identifier, batch, progress))
            try:
                following = await asyncio.to_thread(_next_batch, items, reader, size)
            finally:
                seconds = await store
            tell(progress)
            size, batch = next_size(batch.read, seconds), following
        await _finish(connection, identifier, progress, reader)
    if not progress.taken:
        raise _nothing_taken(name, reader, progress)
    return progress


def next_size(lines: int, seconds: float) -> int:
    """Lines of the next transaction when these took so long. Pure."""
    wanted = lines * TURN_SECONDS / max(seconds, 0.001)
    return int(min(max(wanted, LEAST), 2 * max(lines, LEAST), MOST))


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
    """What was read for one transaction."""

    read: int
    """Items; 0: the list has ended."""
    entries: int
    text: bytes
    different: int
    """Entries in the text: a list may name somebody twice."""
    faults: list[Fault]
    line: int
    """The last line it reaches."""


def _next_batch(items: Iterator[Item], reader: ListReader, size: int) -> _Batch:
    read = list(islice(items, size))
    additions = [item for item in read if isinstance(item, Addition)]
    faults = [item for item in read if isinstance(item, Fault)]
    return _Batch(len(read), len(additions), *packed(additions), faults, reader.line)


async def _begin(connection: Connection, name: str, fingerprint: str, reader: ListReader) -> tuple[UUID, Progress]:
    values = [uuid7(), fingerprint, name, reader.terms.actor]
    row = await (await connection.execute(_BEGIN, values)).fetchone()
    assert row is not None
    identifier, line, added, known, passed, wrong = row
    return identifier, Progress(line, added, known, passed, wrong, resumed_at=line)


async def _store(connection: Connection, identifier: UUID, batch: _Batch, progress: Progress) -> float:
    """Seconds it took."""
    begun = time.monotonic()
    async with connection.transaction():
        # A batch that is lost with the machine is lost together with the line it reached.
        await connection.execute("SET LOCAL synchronous_commit = off")
        fresh = await merge(connection, batch.text, batch.different) if batch.entries else 0
        progress.added += fresh
        progress.known += batch.entries - fresh
        progress.wrong += len(batch.faults)
        progress.passed += batch.read - batch.entries - len(batch.faults)
        progress.line = batch.line
        await _reached(connection, identifier, progress, done=False)
    progress.faults += batch.faults[: SHOWN_FAULTS - len(progress.faults)]
    return time.monotonic() - begun


async def _finish(connection: Connection, identifier: UUID, progress: Progress, reader: ListReader) -> None:
    progress.line = max(progress.line, reader.line)
    await _reached(connection, identifier, progress, done=True)


async def _reached(connection: Connection, identifier: UUID, p: Progress, *, done: bool) -> None:
    await connection.execute(_REACHED, [p.line, p.added, p.known, p.passed, p.wrong, done, identifier, p.line])


def _nothing_taken(name: str, reader: ListReader, progress: Progress) -> Refused:
    if progress.passed and not progress.wrong:
        told = f"the {progress.passed:,} people in it get mail where it comes from, or their entries are over"
        return invalid(name, told, "nothing_imported")
    if not progress.wrong:
        return invalid(name, f"no address was found: {progress.line:,} lines, {reader.seen}", "nothing_imported")
    told = f"no address was found in its {progress.line:,} lines, read as {reader.seen}"
    first = f"; line {progress.faults[0].line}: {progress.faults[0].reason}" if progress.wrong <= _FEW else ""
    return invalid(name, told + first, "nothing_imported")
