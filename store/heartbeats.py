"""Signs of life: one row for each running process, written by the process itself. Owns the table `heartbeats`.

A process beats on its own event loop, so one whose loop hangs goes silent too. One that ends takes its row away. One
that was killed stays to be seen until its successor on that host is there, or for `KEPT`. Times are the database's.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

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
 ORDER BY name, host, started_at
"""
_FORGET: Final = """
DELETE FROM heartbeats h WHERE seen_at < now() - %(kept)s OR (seen_at < now() - %(silent)s AND EXISTS (
  SELECT FROM heartbeats n WHERE n.name = h.name AND n.host = h.host AND n.started_at > h.seen_at))
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
                await connection.execute("DELETE FROM heartbeats WHERE id = %s", [self._facts["id"]])

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
    """Retention: those that have a successor, and those that nobody misses any more."""
    await connection.execute(_FORGET, {"silent": SILENT, "kept": KEPT})
