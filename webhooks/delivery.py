"""Sending what the outbox holds: every endpoint by itself, events of one key in their order, results in batches.

A process looks for endpoints with something due (`look`, several times a second) and serves each in a task of its own
until nothing is due there. The first request of every turn goes alone: an endpoint that hangs holds one connection.
Endpoints that have failed, or answer slowly, draw on a budget of their own, so that any number of them slow nobody
else; and of either budget an owner has a part only.

At least once: what was answered and not yet written down when the process died is sent again, under the same id.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, count
from typing import Final
from uuid import UUID

from prometheus_client import Counter
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core import own_metrics
from core.clock import Clock
from core.errors import ConfigurationError
from core.logs import get_logger
from core.metrics import DELIVERY_BUCKETS
from core.secrets import InstanceSecret
from core.tasks import end
from store.database import Connection, Database, DatabaseUnavailableError
from store.statement_metrics import add
from store.statements import Timing
from webhooks import endpoints, queue, signing, traced
from webhooks.budgets import Budget
from webhooks.health import GONE, Answer, Health, after, next_try, said
from webhooks.presence import Presence
from webhooks.queue import Due, Served, Tried
from webhooks.sending import Sender
from webhooks.targets import parse

_log = get_logger(__name__)

SERVED: Final = 500
"""Endpoints a process serves at a time: a task each, most of them waiting for an answer."""
BATCH: Final = 200, 1000
"""Rows of one endpoint between two commits, at least and at most: a turn costs as much as fifty of them do."""
HELD: Final = 100_000
"""Rows in memory, of all endpoints together: where many are served, each has smaller batches."""
TURN_SECONDS: Final = 1.0
"""No further ones are begun after this: what is not written down yet is sent again after a kill."""
AT_ONCE: Final = 20
"""Requests to one endpoint under way."""
HEALTHY_REQUESTS: Final = 200, 50
DOUBTFUL_REQUESTS: Final = 100, 20
"""Requests of a process under way, in all and of one owner: to endpoints whose last answer was good and quick, and to
all others."""
SLOW_MILLISECONDS: Final = 2000
DOUBT_SECONDS: Final = 60.0
"""Whoever took longer over an answer is among those others for so long, however good it was."""
GATHER_SECONDS: Final = 0.25
"""Before more is asked for where little was waiting: while mail is being sent, news comes in all the time, and a few
events cost nearly as much to fetch and to settle as many."""
_RENEW_SECONDS: Final = queue.LEASE.total_seconds() / 3
_AWAY_SECONDS: Final = 1.0
"""Before an endpoint is gone on with after the database was away, or two transactions had been in each other's way."""

ATTEMPTS = Counter("postlane_webhook_attempts_total", "Requests to webhook endpoints, by result", ["result"])
_TAKEN = ATTEMPTS.labels("taken")
SECONDS = Timing(DELIVERY_BUCKETS)
"""Of each request."""


class _Timed(Collector):
    """`SECONDS`, for Prometheus."""

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape, in its own thread."""
        seconds = HistogramMetricFamily("postlane_webhook_seconds", "Time of a request to an endpoint")
        add(seconds, [], SECONDS)
        yield seconds


own_metrics.register(_Timed())


class Deliverer:
    """One per process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        secret: InstanceSecret,
        sender: Sender,
        gather: float = GATHER_SECONDS,
    ) -> None:
        self._clock = clock
        self._gather = gather
        self._presence = Presence(database)
        self._database = database
        self._secret = secret
        self._sender = sender
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._renewed = time.monotonic()
        self._slow_until: dict[UUID, float] = {}
        self._budgets = {True: Budget(*HEALTHY_REQUESTS), False: Budget(*DOUBTFUL_REQUESTS)}

    async def look(self) -> None:
        """Begin to serve endpoints that have something due. Raises DatabaseUnavailableError."""
        for endpoint in [endpoint for endpoint, task in self._tasks.items() if task.done()]:
            del self._tasks[endpoint]
        if not self._presence.held:
            await self._presence.take()
        if self._tasks and time.monotonic() - self._renewed >= _RENEW_SECONDS:
            await self._renew()
        room = SERVED - len(self._tasks)
        if room > 0:
            async with self._database.connection() as connection:
                found = await queue.take(connection, self._presence.me, room)
            for served in found:
                self._tasks[served.id] = asyncio.create_task(self._serve(served), name=f"webhook {served.id}")

    async def drain(self) -> None:
        """Serve until nothing is due."""
        await self.look()
        while self._tasks:
            await asyncio.wait(self._tasks.values())
            await self.look()

    async def close(self) -> None:
        """Leave off: what has no answer yet is sent again by whoever comes next."""
        await end(list(self._tasks.values()))
        await self._presence.leave()
        await self._sender.close()

    async def _renew(self) -> None:
        self._renewed = time.monotonic()
        if not await self._presence.check():
            await end(list(self._tasks.values()))  # they are anybody's now
            return
        async with self._database.connection() as connection:
            ours = await queue.renew(connection, self._presence.me, self._tasks.keys())
        await end([task for endpoint, task in self._tasks.items() if endpoint not in ours])

    async def _serve(self, served: Served) -> None:
        try:
            while not await self._done(served):
                _log.info("webhook_goes_on", endpoint=str(served.id))
        except ConfigurationError as error:
            _log.error("webhook_not_signed", endpoint=str(served.id), error=str(error))
        except Exception as error:
            # A bug that one endpoint's events bring to light must not stop the others; the lease runs out, and then
            # it is tried again.
            _log.error("webhook_failed", endpoint=str(served.id), exc_info=error)

    async def _done(self, served: Served) -> bool:
        """Serve it; False, after a moment, when the database did not let us."""
        try:
            await self._serve_until_done(served)
        except DatabaseUnavailableError as error:
            _log.warning("webhook_waits_for_database", endpoint=str(served.id), error=str(error))
            await asyncio.sleep(_AWAY_SECONDS)
            return False
        return True

    async def _serve_until_done(self, served: Served) -> None:
        for turn in count():
            most = self._batch() if turn and served.health.failures == 0 else 1
            async with self._database.connection() as connection:
                # Read anew each time: its owner may have changed it meanwhile.
                url = await queue.still(connection, self._presence.me, served.id)
                if url is None:
                    self._slow_until.pop(served.id, None)
                    await queue.release(connection, self._presence.me, served.id)  # who switches it on is heard at once
                    return
                secrets = await endpoints.secrets_of(connection, self._secret, served.id)
                if not turn and await queue.insists(connection, served.id):  # what came while nobody served it
                    await queue.put_behind(connection, served.id)
                batch, more = await queue.due(connection, served.id, most)
            served = replace(served, url=url)
            tried = await self._send(served, batch, secrets)
            following = await self._settle(served, tried)
            if following is None:
                return
            served = following
            if turn and not more and len(self._tasks) < SERVED:  # where others wait for a place, it is let go
                await asyncio.sleep(self._gather)

    def _batch(self) -> int:
        least, most = BATCH
        return max(least, min(most, HELD // max(1, len(self._tasks))))

    async def _send(self, served: Served, batch: Sequence[Due], secrets: Sequence[str]) -> list[Tried]:
        """Send these, those of one key one after the other. Once the endpoint is in trouble, what has not begun is left
        for later and costs no try."""
        turn = _Turn(self._clock, self._sender, self._budget(served), served, secrets)
        lines: dict[str, list[Due]] = {}
        for event in batch:
            lines.setdefault(event.key or event.id, []).append(event)
        waiting = iter(lines.values())
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(lines))):
                group.create_task(turn.work(waiting))
        _TAKEN.inc(turn.taken)
        spent = [one.answer.milliseconds for one in turn.tried]
        for milliseconds in spent:
            SECONDS.note(milliseconds / 1000)
        if max(spent, default=0) > SLOW_MILLISECONDS:
            self._slow_until[served.id] = time.monotonic() + DOUBT_SECONDS
        return turn.tried

    def _budget(self, served: Served) -> Budget:
        quick = self._slow_until.get(served.id, 0.0) <= time.monotonic()
        return self._budgets[served.health.failures == 0 and quick]

    async def _settle(self, served: Served, tried: Sequence[Tried]) -> Served | None:
        """Write down what came of it; the endpoint as it stands now, None when its turn is over."""
        async with self._database.transaction() as connection:
            if not tried:
                await queue.put_behind(connection, served.id)
                await queue.release(connection, self._presence.me, served.id)
                return None
            before = await _so_far(connection, served, tried)
            health = after(before, [one.answer for one in tried], self._clock.now())
            await queue.settle(connection, served, tried)
            if health != served.health:
                await queue.stand(connection, self._presence.me, served, health)
            over = bool(health.rest_until or health.disabled)
            if over:
                await queue.release(connection, self._presence.me, served.id)
        if health.disabled:
            _log.warning("webhook_disabled", endpoint=str(served.id), reason=health.disabled)
        return None if over else replace(served, health=health)


class _Turn:
    """One batch on its way."""

    def __init__(self, clock: Clock, sender: Sender, budget: Budget, served: Served, secrets: Sequence[str]) -> None:
        self.tried: list[Tried] = []
        self.taken = 0
        """How many of them."""
        self._clock = clock
        self._sender = sender
        self._turn = budget.turn(served.owner)
        self._target = parse(served.url)
        self._secrets = secrets
        self._ends = time.monotonic() + TURN_SECONDS
        self._trouble = False

    async def work(self, lines: Iterator[list[Due]]) -> None:
        """Take one line after the other, for as long as the turn lasts."""
        for first in lines:
            async with self._turn:
                for line in chain([first], lines):
                    await self._along(line)
                    if self._trouble or self._is_over:
                        return
                    if self._turn.wanted:  # then those who wait come first
                        break

    async def _along(self, line: list[Due]) -> None:
        """Send these, as long as each is taken; at least the first one, which may have waited for its place."""
        for n, event in enumerate(line):
            if self._trouble or (n and self._is_over) or not await self._one(event):
                return

    @property
    def _is_over(self) -> bool:
        return time.monotonic() > self._ends

    async def _one(self, event: Due) -> bool:
        sent_at = self._clock.now()
        signed = signing.head(self._secrets, event.id, int(sent_at.timestamp()), event.payload)
        answer = await self._sender.post(self._target, signed, event.payload)
        traced.told(event, self._target.host, answer)
        if answer.good:
            self.taken += 1
            self.tried.append(Tried(event, sent_at, answer, None))
            return True
        ATTEMPTS.labels(said(answer) if answer.status else "no answer").inc()
        self._trouble = self._trouble or answer.trouble or answer.status == GONE
        self.tried.append(Tried(event, sent_at, answer, _again(event, sent_at, answer)))
        return False


async def _so_far(connection: Connection, served: Served, tried: Sequence[Tried]) -> Health:
    """How the endpoint stood before these. A time in which nothing was tried is none of failing: two events that are
    refused with a quiet week between them are no week of refusals."""
    goes_on = served.health.failing_since is None or any(one.event.tries for one in tried)
    if goes_on or await queue.insists(connection, served.id):
        return served.health
    return replace(served.health, failing_since=None)


def _again(event: Due, at: datetime, answer: Answer) -> datetime | None:
    if answer.status == GONE:
        return None
    return next_try(event.tries + 1, at, random.random(), answer.retry_after)
