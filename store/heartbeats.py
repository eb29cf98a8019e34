"""Signs of life: one row for each running process, written by the process itself. Owns the table `heartbeats`.

A process beats on its own event loop, so one whose loop hangs goes silent too. One that ends says so. One that goes
silent stays to be seen until another one has taken its place, or for `KEPT`.

Who takes whose place: each process that starts succeeds one of its name that had ended by then, on its host rather than
on another one (containers have a new host each time), and of several the one that ended last. So one that hangs is not
taken for replaced when the one beside it restarts. Times are the database's.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import store.statement_metrics  # noqa: F401  # a process that beats is one that is scraped
from core.errors import UnavailableError
from core.ids import uuid7
from core.logs import get_logger
from core.settings import worker_name
from core.tasks import end, heed_cancellation
from core.version import version
from store.database import Connection, Database

_log = get_logger(__name__)

BEAT_SECONDS: Final = 5.0
SILENT: Final = timedelta(seconds=20)
"""Nothing heard for so long, and something is wrong: three beats may be lost."""
KEPT: Final = timedelta(days=1)
_PARTING_SECONDS: Final = 1.0
_LONGEST: Final = 300

# Lost with the machine it says nothing any more, so nobody waits for the disk.
_BEAT: Final = """
WITH unsynced AS (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO heartbeats AS h (id, name, host, pid, version, trouble)
SELECT %(id)s, %(name)s, %(host)s, %(pid)s, %(version)s, %(trouble)s FROM unsynced
    ON CONFLICT (id) DO UPDATE SET seen_at = now(), trouble = excluded.trouble
"""
_LIST: Final = """
SELECT name, host, pid, version, started_at, seen_at, seen_at < now() - %(silent)s, trouble FROM heartbeats
 WHERE left_at IS NULL ORDER BY name, host, started_at
"""
_LEAVE: Final = "UPDATE heartbeats SET left_at = now() WHERE id = %s"
_OLD: Final = "DELETE FROM heartbeats WHERE seen_at < now() - %(kept)s"
# Who has just started waits: the one that it succeeds may not be silent for long enough yet.
_LIVES: Final = """
SELECT id, name, host, started_at, CASE WHEN left_at IS NOT NULL OR seen_at < now() - %(silent)s
                                        THEN coalesce(left_at, seen_at) END,
       succeeds IS NULL AND started_at < now() - %(silent)s
  FROM heartbeats
"""
# It may have been heard of since.
_SUCCEED: Final = """
WITH gone AS (DELETE FROM heartbeats WHERE id = %(ended)s AND (left_at IS NOT NULL OR seen_at < now() - %(silent)s)
              RETURNING id)
UPDATE heartbeats h SET succeeds = gone.id FROM gone WHERE h.id = %(successor)s
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as it was last heard of."""

    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    silent: bool
    """It should have been heard since: killed, hanging, or cut off from the database."""
    trouble: str
    """What it says is wrong with it, "" for nothing."""


@dataclass(frozen=True, slots=True)
class Life:
    """One process, from when to when it was."""

    id: UUID
    name: str
    host: str
    started_at: datetime
    ended_at: datetime | None
    """When it left, or was heard of last; None: it is there."""
    free: bool
    """It may still take somebody's place."""


class Heartbeat:
    """That of this process. `stop` it before the database is closed."""

    def __init__(self, database: Database, name: str, trouble: Callable[[], str] = lambda: "") -> None:
        self._database = database
        self._trouble = trouble
        self._facts = {"id": uuid7(), "name": name, "host": worker_name(), "pid": os.getpid(), "version": version()}
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = False

    async def start(self) -> None:
        """From now on, whether the database is there or not."""
        self._tasks = [asyncio.create_task(self._go_on(), name="heartbeat")]

    async def stop(self) -> None:
        """It ends as it should: nobody has to miss it."""
        await end(self._tasks)
        if not self._heard:
            return
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(_PARTING_SECONDS), self._database.connection() as connection:
                await connection.execute(_LEAVE, [self._facts["id"]])

    async def _go_on(self) -> None:
        while True:
            try:
                async with self._database.connection() as connection:
                    await beat(connection, self._facts | {"trouble": self._trouble()[:_LONGEST]})
                self._heard = True
            except UnavailableError:
                pass  # silence says so
            except Exception as error:  # a sign of life is not worth a process
                _log.warning("heartbeat_failed", error=str(error))
            heed_cancellation()
            await asyncio.sleep(BEAT_SECONDS)


async def beat(connection: Connection, facts: dict[str, object]) -> None:
    """Say that a process is there."""
    await connection.execute(_BEAT, facts)


async def processes(connection: Connection) -> list[Process]:
    """All that are there, and those that are missed, by name."""
    cursor = await connection.execute(_LIST, {"silent": SILENT})
    return [Process(*row) for row in await cursor.fetchall()]


async def forget(connection: Connection) -> None:
    """Retention: those whose place is taken, and those that nobody misses any more."""
    await connection.execute(_OLD, {"kept": KEPT})
    rows = await (await connection.execute(_LIVES, {"silent": SILENT})).fetchall()
    for ended, successor in successors(Life(*row) for row in rows):
        names = {"ended": ended, "successor": successor, "silent": SILENT}
        await connection.execute(_SUCCEED, names)


def successors(lives: Iterable[Life]) -> list[tuple[UUID, UUID]]:
    """(who ended, who took their place). Pure."""
    known = list(lives)
    possible = [
        (one.host != other.host, other.started_at - one.ended_at, one.id, other.id)
        for one in known
        for other in known
        if one.ended_at is not None and other.free and other.name == one.name and one.ended_at < other.started_at
    ]
    found: dict[UUID, UUID] = {}
    for _, _, ended, successor in sorted(possible):
        if ended not in found and successor not in found.values():
            found[ended] = successor
    return list(found.items())
