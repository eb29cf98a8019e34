"""Hears of changes of the table `throttles` that other processes make, within milliseconds.

Listens to PostgreSQL's notifications on a connection of its own, and has what they name read again; a notification
that came while nobody listened is made good by reading everything every `REREAD_SECONDS`, and whenever listening
begins anew. Owns no state but what is still to be read; what is read goes to the function that was handed over.
PostgreSQL's absence ends nothing: it is tried again, at first soon, then more slowly.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from core.logs import get_logger
from core.tasks import end
from pools.throttle_repository import CHANNEL, Key, parse_key
from store.database import LOST, Connection, Database, DatabaseUnavailableError

_log = get_logger(__name__)

REREAD_SECONDS: Final = 10.0
"""A change is known to everybody after this time at the latest, whatever was lost."""

CHECK_SECONDS: Final = 30.0
"""A connection that says nothing for so long is asked whether it is still there: a firewall may have forgotten it."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

Reread = Callable[[Collection[Key] | None], Awaitable[None]]
"""Reads these keys, or everything (None), from the store. May raise DatabaseUnavailableError."""


class ThrottleWatch:
    """Two tasks: one listens, one reads what has changed."""

    def __init__(self, database: Database, reread: Reread, reread_seconds: float = REREAD_SECONDS) -> None:
        self._database = database
        self._reread = reread
        self._reread_seconds = reread_seconds
        self._stale: set[Key] = set()
        self._everything = False
        self._some = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._listen_forever(), name="throttles-listen"),
            asyncio.create_task(self._read_forever(), name="throttles-read"),
        ]

    async def stop(self) -> None:
        await end(self._tasks)

    def alive(self) -> bool:
        """Neither task has ended."""
        return not any(task.done() for task in self._tasks)

    async def _listen_forever(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = asyncio.get_running_loop().time()
            try:
                async with self._database.connection() as connection:
                    await self._listen(connection)
            except DatabaseUnavailableError as error:
                _log.warning("throttles_not_heard", error=str(error))
            except Exception as error:
                # Whatever it is: without this task every change by others would be known ten seconds late, for ever.
                _log.error("throttles_not_heard", exc_info=error)
            if asyncio.get_running_loop().time() - began > CHECK_SECONDS:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _listen(self, connection: Connection) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        try:
            self._note(None)  # what was said before we listened
            while True:
                async for notification in connection.notifies(timeout=0):
                    self._note(parse_key(notification.payload))
                if not await _heard(connection, CHECK_SECONDS):
                    await connection.execute("SELECT 1")
        finally:
            # It goes back to the pool, where nobody wants to hear anything.
            with contextlib.suppress(*LOST):
                await connection.execute(f"UNLISTEN {CHANNEL}")

    def _note(self, key: Key | None) -> None:
        """This is to be read; None: everything is."""
        if key is None:
            self._everything = True
        else:
            self._stale.add(key)
        self._some.set()

    async def _read_forever(self) -> None:
        loop = asyncio.get_running_loop()
        last_all = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(last_all + self._reread_seconds):
                    await self._some.wait()
            self._some.clear()
            everything = self._everything or loop.time() - last_all >= self._reread_seconds
            keys, self._stale, self._everything = self._stale, set(), False
            if everything:
                last_all = loop.time()
            try:
                await self._reread(None if everything else keys)
            except DatabaseUnavailableError:
                # Said already by whoever listens, and the next reading of everything makes good for it.
                continue
            except Exception as error:
                # Without this task nothing that others change would be known here.
                _log.error("throttles_not_read", exc_info=error)


async def _heard(connection: Connection, seconds: float) -> bool:
    """Whether something can be read within so long. While psycopg waits itself, it looks ten times a second."""
    loop, some, socket = asyncio.get_running_loop(), asyncio.Event(), connection.fileno()
    loop.add_reader(socket, some.set)
    try:
        async with asyncio.timeout(seconds):
            return await some.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)
