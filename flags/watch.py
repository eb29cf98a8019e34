"""Keeps the switches of this process as the table has them: reads it more than once a second.

One statement of a connection that the process has anyway, 0.2 ms; nothing that is lost on the way has to be made good.
While PostgreSQL is away the switches that were read last hold; a process that starts without it goes by what is
declared until it has read them.
"""

import asyncio
import contextlib
import time
from typing import Final

from prometheus_client import Gauge

from core.errors import UnavailableError
from core.logs import get_logger
from core.tasks import end, heed_cancellation
from flags import asking, repository
from flags.asking import Switch
from flags.declared import FLAGS
from store.database import Database

_log = get_logger(__name__)

REREAD_SECONDS: Final = 0.75
"""From one question to the next. Two seconds are promised: on two cores with two other programs on them a process asked
up to 0.6 s late. Seven processes that asked twice a second took 3 us of each mail."""
_ANSWER_SECONDS: Final = 5.0
"""A connection whose other end is gone may say nothing for minutes."""
_START_SECONDS: Final = 1.0
"""How long a start waits for the first reading. It goes on without: the database need not be there yet."""

# Where several processes tell together (`core/metrics`), what was read last.
IN_FORCE: Final = Gauge(
    "postlane_flag_percent", "The share that a flag is on for in this process, by flag, applications apart", ["flag"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
READ_AT: Final = Gauge(
    "postlane_flags_read_timestamp_seconds", "When this process read the switches of flags last",
    multiprocess_mode="mostrecent",
)  # fmt: skip


class FlagWatch:
    """One for each process. Start it before whatever asks, stop it before the database is closed: the switches hold on
    to the end."""

    def __init__(self, database: Database, reread_seconds: float = REREAD_SECONDS) -> None:
        self._database = database
        self._reread_seconds = reread_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._read_once = asyncio.Event()
        self._away = False

    async def start(self) -> None:
        """Read, and go on reading."""
        self._tasks = [asyncio.create_task(self._go_on(), name="flags")]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._read_once.wait()

    async def stop(self) -> None:
        """Read no more."""
        await end(self._tasks)

    async def _go_on(self) -> None:
        while True:
            asked = time.monotonic()
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._read()
            except (UnavailableError, TimeoutError) as error:
                self._missed(str(error) or "no answer")
            except Exception as error:
                # Without this task a switch would hold here no more; and those that hold are not worth a process.
                self._missed(f"{type(error).__name__}: {error}")
            heed_cancellation()
            await asyncio.sleep(max(0.0, asked + self._reread_seconds - time.monotonic()))

    async def _read(self) -> None:
        async with self._database.connection() as connection:
            switches, at = await repository.held(connection)
        asking.hold(switches, at)
        for flag in FLAGS:
            percent = switches.get(flag.name, Switch()).percent
            IN_FORCE.labels(flag.name).set(flag.declared if percent is None else percent)
        READ_AT.set(at.timestamp())
        self._read_once.set()
        if self._away:
            _log.info("flags_read_again")
        self._away = False

    def _missed(self, error: str) -> None:
        """Once, not every time."""
        if not self._away:
            _log.warning("flags_not_read", as_of=str(asking.as_of() or "never: as declared"), error=error)
        self._away = True
