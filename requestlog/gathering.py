"""Requests on their way into the log: held in memory beside the requests, written a second later, in one transaction.

Nobody waits for it. Of each application so many successes and failures a second are kept; the rest is counted, and the
last one that was kept stands for them. While the database is away what fits is held, and what does not is dropped and
counted (`postlane_request_log_dropped_total`). Bodies are looked into when they are written, not before.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from prometheus_client import Counter

from core.logs import get_logger
from core.tasks import end
from requestlog import redaction, repository
from requestlog.repository import Logged, LoggedDetail
from store.database import Database, DatabaseUnavailableError

_log = get_logger(__name__)

FAILURES: Final = 50
"""A second and application that are kept. More is a program gone wild, whose next failure says what the last did."""
HELD: Final = 1000
HELD_BYTES: Final = 8 * 1024 * 1024
"""Of bodies, until they are written."""
GATHER_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 2.0
_LONGEST_AGENT: Final = 300

DROPPED: Final = Counter("postlane_request_log_dropped_total", "Requests that the log had no room for")


Kind = tuple[bool, int]
"""Failed or not, and the application, as a number: hashing a UUID costs more than all else that every request pays."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that was answered and is to be kept."""

    id: UUID
    at: datetime
    application_id: UUID
    key_id: UUID
    test: bool
    method: str
    path: str
    status: int
    milliseconds: float
    user_agent: str
    request: bytes | int
    """Its body, or how long that was where nobody holds it."""
    response: bytes | int

    @property
    def failed(self) -> bool:
        """Answered with an error."""
        return self.status >= 400

    @property
    def kind(self) -> Kind:
        """What it is counted as."""
        return self.failed, self.application_id.int

    @property
    def held(self) -> int:
        """Bytes of memory its bodies take."""
        return sum(len(body) for body in (self.request, self.response) if isinstance(body, bytes))


@dataclass(frozen=True, slots=True)
class Rates:
    """How many a second of each application are kept."""

    successes: int
    failures: int = FAILURES


class Gatherer:
    """One per process that serves the API; its methods but `flush` belong to the loop of the requests."""

    def __init__(self, database: Database, rates: Rates, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._most = {False: rates.successes, True: rates.failures}
        self._monotonic = monotonic
        self._second = 0
        self._counts: dict[bool, dict[int, int]] = {False: {}, True: {}}
        """Failed or not → by application, how many in this second."""
        self._over: dict[Kind, int] = {}
        """Those that were only counted, until one that is written stands for them."""
        self._waiting: list[Passed] = []
        self._bytes = 0
        self._unsure = False
        """Whether what waits may be written already: a commit that is cut off says nothing."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wants(self, application_id: UUID, *, failed: bool) -> bool:
        """Whether this one is kept; counted it is in any case. Called for every request: it costs next to nothing."""
        second = int(self._monotonic())
        if second != self._second:
            self._next_second(second)
        counts, key = self._counts[failed], application_id.int
        count = counts[key] = counts.get(key, 0) + 1
        return count <= self._most[failed]

    def put(self, passed: Passed) -> None:
        """Keep it, if there is room."""
        if len(self._waiting) >= HELD or self._bytes + passed.held > HELD_BYTES:
            DROPPED.inc()
            return
        self._waiting.append(passed)
        self._bytes += passed.held
        self._wake.set()

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_on(), name="request-log")

    async def stop(self) -> None:
        """Write what is left, and end."""
        if self._task is not None:
            await end([self._task])
        try:
            await self.flush()
        except DatabaseUnavailableError as error:
            _log.warning("request_log_lost", requests=len(self._waiting), error=str(error))

    async def flush(self) -> None:
        """Write what waits. Raises DatabaseUnavailableError, and holds it then."""
        taken = self._waiting[:]
        if not taken:
            return
        over = self._taken_over({one.kind for one in taken})
        try:
            await self._write(list(_rows(taken, over)))
        except BaseException:
            self._unsure = True
            self._over = {kind: self._over.get(kind, 0) + over.get(kind, 0) for kind in {*self._over, *over}}
            raise
        self._unsure = False
        del self._waiting[: len(taken)]
        self._bytes = sum(one.held for one in self._waiting)

    async def _write(self, rows: Sequence[LoggedDetail]) -> None:
        try:
            async with self._database.transaction() as connection:
                await repository.write(connection, rows, again=self._unsure)
        except psycopg.errors.UniqueViolation:  # the commit that was cut off has come through meanwhile
            async with self._database.transaction() as connection:
                await repository.write(connection, rows, again=True)

    def _next_second(self, second: int) -> None:
        self._add_over()
        self._second = second
        self._counts = {False: {}, True: {}}

    def _add_over(self) -> None:
        """What this second has had too much of, up to now."""
        for failed, counts in self._counts.items():
            for application, count in counts.items():
                if count > self._most[failed]:
                    kind = failed, application
                    self._over[kind] = self._over.get(kind, 0) + count - self._most[failed]
                    counts[application] = self._most[failed]

    def _taken_over(self, kinds: Collection[Kind]) -> dict[Kind, int]:
        self._add_over()
        return {kind: self._over.pop(kind) for kind in kinds if kind in self._over}

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            try:
                await self.flush()
            except DatabaseUnavailableError as error:
                _log.warning("request_log_waits", requests=len(self._waiting), error=str(error))
                await asyncio.sleep(AWAY_SECONDS)
                self._wake.set()
            except Exception as error:
                # A bug that one request brings to light must not end the log of all others.
                _log.error("request_log_failed", requests=len(self._waiting), exc_info=error)
                DROPPED.inc(len(self._waiting))
                self._waiting.clear()
                self._bytes = 0


def _rows(taken: Sequence[Passed], over: Mapping[Kind, int]) -> Iterator[LoggedDetail]:
    """As they are written; the last of each kind stands for those that were only counted."""
    last = {one.kind: number for number, one in enumerate(taken)}
    for number, one in enumerate(taken):
        yield _row(one, 1 + (over.get(one.kind, 0) if last[one.kind] == number else 0))


def _row(one: Passed, stands_for: int) -> LoggedDetail:
    summary = Logged(
        one.id, one.at, one.application_id, one.key_id, one.test, one.method, redaction.path_of(one.path), one.status,
        round(one.milliseconds, 2), one.user_agent[:_LONGEST_AGENT].replace("\0", ""),
        redaction.name_in(one.response) if one.failed else "", stands_for,
    )  # fmt: skip
    return LoggedDetail(summary, redaction.kept_of(one.request), redaction.kept_of(one.response, answer=True))
