"""Takes hits from whoever answers links, and writes them into the database in batches, some seconds later.

The wait is on purpose: a machine shows itself by what it does next (`outcomes/machines`), so each segment is judged
together with those before and after it. While PostgreSQL is away hits gather on the disk; nobody who follows a link
notices. What cannot be written when the process ends is written by the next one.
"""

import asyncio
import time
from collections import deque
from typing import Final

import psycopg
from prometheus_client import Counter, Gauge

from core.logs import get_logger
from core.rate_windows import RateWindow
from core.tasks import end
from messages.link_tokens import Kind
from outcomes import engagement
from outcomes.hits import Hit, HitSpool, Segment, read
from outcomes.machines import MachineBook, load_machines
from store.database import Database, DatabaseUnavailableError

_log = get_logger(__name__)

TURN_SECONDS: Final = 1.0
HOLD_SECONDS: Final = 3.0
"""A closed segment is judged so much later."""
AROUND: Final = 3
"""Segments before and after that are looked at with it."""
AWAY_SECONDS: Final = 1.0
LAST_SECONDS: Final = 3.0
"""At the end of the process. What is not written by then stays on the disk."""
ADOPT_SECONDS: Final = 60.0

MESSAGE_A_MINUTE: Final = 60
"""Hits of one message that are kept. A person who reads a mail again and again makes a tenth of it."""
CLIENT_A_MINUTE: Final = 6000
"""Hits of one client: the picture proxies of large providers ask for very many readers."""

WAITING: Final = Gauge("postlane_hit_segments", "Files of opens and clicks that are not in the database yet")
HITS: Final = Counter("postlane_hits_total", "Opens and clicks that came in, by what became of them", ["kind", "fate"])

_FATES: Final = {
    (kind, fate): HITS.labels(kind.name.lower(), fate) for kind in Kind for fate in ("kept", "lost", "flood")
}

_REFUSED = (psycopg.DataError, psycopg.IntegrityError, ValueError, TypeError)
"""What PostgreSQL or its driver say to a value, not to the statement."""


class EngagementWriter:
    """One per process that answers links."""

    def __init__(self, database: Database, spool: HitSpool, book: MachineBook | None = None) -> None:
        self._database = database
        self._spool = spool
        self._book = book or load_machines()
        self._messages = RateWindow(MESSAGE_A_MINUTE, 60.0)
        self._clients = RateWindow(CLIENT_A_MINUTE, 60.0)
        self._before: deque[list[Hit]] = deque(maxlen=AROUND)
        self._settled: list[Segment] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._told_at = float("-inf")

    def put(self, hit: Hit, client: str) -> None:
        """Keep a hit, unless it is one of a flood. Never fails and never waits: the link works in any case. `client` is
        whom the address of the hit belongs to."""
        if not (self._messages.count(hit.ref) and self._clients.count(client)):
            _FATES[hit.kind, "flood"].inc()
            return
        try:
            kept = self._spool.append(hit)
        except OSError as error:
            kept = False
            self._tell(str(error))
        _FATES[hit.kind, "kept" if kept else "lost"].inc()

    async def start(self) -> None:
        """Begin to write, with what was left behind."""
        self._tasks = [asyncio.create_task(self._run(), name="engagement")]

    async def stop(self) -> None:
        """Write what is there, within `LAST_SECONDS`."""
        await end(self._tasks)
        self._spool.turn()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._write_all(waiting=0.0)
        except (TimeoutError, DatabaseUnavailableError):
            _log.warning("hits_left_for_later", segments=len(self._spool.closed()))
        except Exception as error:  # whatever it is, they are on the disk, and the rest of the process has to end too
            _log.error("hits_left_for_later", segments=len(self._spool.closed()), exc_info=error)
        self._spool.close()

    async def _run(self) -> None:
        adopt_at = time.monotonic() + ADOPT_SECONDS
        while True:
            self._spool.turn(TURN_SECONDS)
            WAITING.set(len(self._spool.closed()))
            if time.monotonic() >= adopt_at:
                self._spool.adopt()
                adopt_at = time.monotonic() + ADOPT_SECONDS
            try:
                await self._write_all(HOLD_SECONDS)
            except DatabaseUnavailableError as error:
                _log.warning("hits_wait_for_database", segments=len(self._spool.closed()), error=str(error))
                await asyncio.sleep(AWAY_SECONDS)
            except Exception as error:  # a bug in one segment may not end the writing of all others for good
                _log.error("hits_not_written", exc_info=error)
                await asyncio.sleep(AWAY_SECONDS)
            await asyncio.sleep(TURN_SECONDS / 4)

    async def _write_all(self, waiting: float) -> None:
        """Segments that have been closed for so many seconds, oldest first."""
        while closed := self._spool.closed():
            if time.monotonic() - closed[0].closed_at < waiting:
                return
            await self._write(closed[0], [hit for later in closed[1 : 1 + AROUND] for hit in self._read(later) or ()])

    async def _write(self, segment: Segment, later: list[Hit]) -> None:
        hits = self._read(segment)
        if hits is None:
            return
        around = [hit for earlier in self._before for hit in earlier] + later
        try:
            await self._commit(segment, hits, around)
        except _REFUSED as error:
            await self._commit_apart(segment, hits, error)
        self._before.append(hits)
        self._spool.done(segment)
        self._settled.append(segment)

    def _read(self, segment: Segment) -> list[Hit] | None:
        """None, and it is none of ours any more, when its file is not there: whoever has that writes it, and finds it
        written if we said so."""
        try:
            return read(segment)
        except FileNotFoundError:
            _log.warning("hits_gone", segment=str(segment.id))
            self._spool.done(segment)
            return None

    async def _commit(self, segment: Segment, hits: list[Hit], around: list[Hit]) -> None:
        async with self._database.transaction() as connection:
            written = await engagement.record(connection, segment.id, hits, around, self._book)
            if self._settled:
                await engagement.settled(connection, [done.id for done in self._settled])
        self._settled.clear()
        if written is not None:
            HITS.labels("", "people").inc(written.people)
            HITS.labels("", "machines").inc(written.machines)
            HITS.labels("", "passed_over").inc(written.passed_over)

    async def _commit_apart(self, segment: Segment, hits: list[Hit], error: Exception) -> None:
        """One of them cannot be stored: without it the others can."""
        _log.error("hit_refused", segment=str(segment.id), hits=len(hits), error=str(error))
        clean = [hit for hit in hits if hit.link.isprintable() and hit.agent.isprintable() and "\x00" not in hit.ip]
        if len(clean) < len(hits):
            await self._commit(segment, clean, [])

    def _tell(self, error: str) -> None:
        """Once a minute: there may be thousands a second."""
        if time.monotonic() - self._told_at > 60.0:
            self._told_at = time.monotonic()
            _log.error("hits_cannot_be_kept", error=error)
