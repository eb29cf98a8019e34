"""How long routes took to answer, over all processes and restarts. Owns the table `route_times`.

Each process that serves counts for itself (`Times`) and adds what is new to the table every ten seconds
(`TimesWriter`): by the hour, and to a row that is never forgotten, of which the scheduler makes metrics. A process that
is killed takes ten seconds with it. While the database is away the counts wait, and stand in the hour in which it is
back.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple

from core.errors import UnavailableError
from core.logs import get_logger
from core.metrics import STEP_BUCKETS
from core.objectives import BUDGET_DAYS, Objective
from core.tasks import end, heed_cancellation
from store.database import Connection, Database
from store.durations import within

_log = get_logger(__name__)

BOUNDS: Final = tuple(float(bound) for bound in STEP_BUCKETS)
"""Seconds; a last bucket takes what is longer."""
WRITE_SECONDS: Final = 10.0
KEPT: Final = timedelta(days=BUDGET_DAYS + 1)
_EVER: Final = "epoch"
"""In place of an hour: the sum since the beginning. A counter may not fall when old hours are forgotten."""
_PARTING_SECONDS: Final = 1.0

# Rows come in the order of the key: two processes that add to the same ones may not wait for each other in a circle.
# Ten seconds of counts are not worth a wait for the disk.
_ADD: Final = f"""
WITH unsynced AS (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO route_times AS t (hour, face, method, route, kind, failed, missed, seconds, counts)
SELECT h.hour, u.face, u.method, u.route, u.kind, u.failed, u.missed, u.seconds, u.counts::bigint[]
  FROM unsynced, unnest(%(face)s::text[], %(method)s::text[], %(route)s::text[], %(kind)s::text[], %(failed)s::bigint[],
         %(missed)s::bigint[], %(seconds)s::float8[], %(counts)s::text[])
         AS u(face, method, route, kind, failed, missed, seconds, counts),
       (VALUES (date_trunc('hour', now())), ('{_EVER}')) AS h(hour)
 ORDER BY h.hour, u.face, u.method, u.route
    ON CONFLICT (hour, face, method, route) DO UPDATE SET kind = excluded.kind, failed = t.failed + excluded.failed,
       missed = t.missed + excluded.missed, seconds = t.seconds + excluded.seconds,
       counts = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY n)
                   FROM unnest(t.counts, excluded.counts) WITH ORDINALITY AS p(a, b, n))
"""
_COLUMNS: Final = "face, method, route, kind, failed, missed, seconds, counts"
_SINCE: Final = f"SELECT {_COLUMNS} FROM route_times WHERE hour > now() - %s AND hour > '{_EVER}'"
_EVERY: Final = f"SELECT {_COLUMNS} FROM route_times WHERE hour = '{_EVER}' ORDER BY face, route, method"
_SPENT: Final = f"""
SELECT kind, sum((SELECT sum(n) FROM unnest(counts) AS n))::bigint, sum(missed)::bigint FROM route_times
 WHERE hour > now() - %s AND hour > '{_EVER}' GROUP BY kind
"""
_FORGET: Final = f"DELETE FROM route_times WHERE hour < now() - %s AND hour > '{_EVER}'"


class Route(NamedTuple):
    """One way in."""

    face: str
    """The application that serves it: api, public."""
    method: str
    route: str
    """The path as it is documented."""
    kind: str
    """The class of its objective."""


@dataclass(slots=True)
class Counts:
    """How long one route took, and how often that was too long or went wrong."""

    longest: float
    """Seconds: that of its objective."""
    failed: int = 0
    missed: int = 0
    """Failed, or took longer than it may."""
    seconds: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def note(self, seconds: float, *, failed: bool) -> None:
        """One answer. Called for every request: it costs a third of a microsecond."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        if failed:
            self.failed += 1
        if failed or seconds > self.longest:
            self.missed += 1

    def add(self, failed: int, missed: int, seconds: float, counts: Iterable[int]) -> None:
        """What was counted elsewhere."""
        self.failed += failed
        self.missed += missed
        self.seconds += seconds
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=False)]

    @property
    def answers(self) -> int:
        """All of them."""
        return sum(self.counts)


class Times:
    """What this process has counted and not written yet. Belongs to the loop of the requests."""

    def __init__(self, face: str) -> None:
        self._face = face
        self._counts: dict[Route, Counts] = {}

    def of(self, method: str, route: str, objective: Objective) -> Counts:
        """Where a route is counted, for as long as the process runs."""
        key = Route(self._face, method, route, objective.name)
        return self._counts.setdefault(key, Counts(objective.seconds))

    def take(self) -> list[tuple[Route, Counts]]:
        """What is new, which counts from zero then."""
        taken = []
        for key, one in self._counts.items():
            if one.answers:
                taken.append((key, Counts(one.longest, one.failed, one.missed, one.seconds, one.counts[:])))
                one.failed = one.missed = 0
                one.seconds = 0.0
                one.counts[:] = [0] * len(one.counts)
        return taken

    def put_back(self, taken: Iterable[tuple[Route, Counts]]) -> None:
        """It was not written."""
        for key, one in taken:
            self._counts[key].add(one.failed, one.missed, one.seconds, one.counts)


class TimesWriter:
    """Writes those of this process. `stop` it before the database is closed."""

    def __init__(self, database: Database, times: Times) -> None:
        self._database = database
        self._times = times
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """From now on, whether the database is there or not."""
        self._tasks = [asyncio.create_task(self._go_on(), name="route-times")]

    async def stop(self) -> None:
        """Write what is left."""
        await end(self._tasks)
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(_PARTING_SECONDS):
                await self.flush()

    async def flush(self) -> None:
        """Write what is new. Raises DatabaseUnavailableError, and keeps it then."""
        taken = self._times.take()
        if not taken:
            return
        try:
            async with self._database.connection() as connection:
                await connection.execute(_ADD, _columns(taken))
        except BaseException:
            self._times.put_back(taken)
            raise

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.flush()
            except UnavailableError:
                pass  # next time
            except Exception as error:  # figures are not worth a process
                _log.warning("route_times_failed", error=str(error))
            heed_cancellation()


def _columns(taken: Sequence[tuple[Route, Counts]]) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [getattr(key, name) for key, _ in taken] for name in Route._fields}
    columns |= {name: [getattr(one, name) for _, one in taken] for name in ("failed", "missed", "seconds")}
    return columns | {"counts": ["{" + ",".join(map(str, one.counts)) + "}" for _, one in taken]}


@dataclass(frozen=True, slots=True)
class Answered:
    """How a route answered."""

    route: Route
    answers: int
    failed: int
    """With 500 or above."""
    missed: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Of a class: how many answers there were in the days of the budget, and how many were no good ones."""

    kind: str
    answers: int
    missed: int


async def answered(connection: Connection, since: timedelta) -> list[Answered]:
    """Every route that was asked for since then, the busiest first."""
    cursor = await connection.execute(_SINCE, [since])
    found = _summed(await cursor.fetchall())
    told = [Answered(key, one.answers, one.failed, one.missed, *percentiles(one.counts)) for key, one in found]
    return sorted(told, key=lambda one: (-one.answers, one.route))


async def ever(connection: Connection) -> list[tuple[Route, Counts]]:
    """Every route, since the beginning."""
    cursor = await connection.execute(_EVERY)
    return _summed(await cursor.fetchall())


async def spent(connection: Connection) -> list[Spent]:
    """Of each class, in the days of its budget."""
    cursor = await connection.execute(_SPENT, [timedelta(days=BUDGET_DAYS)])
    return [Spent(*row) for row in await cursor.fetchall()]


async def forget(connection: Connection) -> None:
    """Retention: hours that no budget looks at."""
    await connection.execute(_FORGET, [KEPT])


def percentiles(counts: Sequence[int]) -> list[float]:
    """Seconds within which 50, 95 and 99 of a hundred answers came, as exactly as the buckets allow."""
    return [within(BOUNDS, counts, share) for share in (0.5, 0.95, 0.99)]


def _summed(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Route, Counts]]:
    found: dict[Route, Counts] = {}
    for face, method, route, kind, failed, missed, seconds, counts in rows:
        found.setdefault(Route(face, method, route, kind), Counts(0.0)).add(failed, missed, seconds, counts)
    return list(found.items())
