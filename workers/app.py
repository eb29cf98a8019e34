"""The worker process of a lane, on its Celery side: its task and its life.

One process serves one lane. A task hands its hint to the loop, where the sessions to mail servers live, and waits; the
pool's size bounds the batches under way.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.broker import keepalive
from core.errors import UnavailableError
from core.logs import get_logger
from core.memory import give_back_free
from core.niceness import step_back
from core.publish import HintPublisher, forget_markers, marker
from core.queues import LEAVING, TASK_DELIVER, Lane
from core.settings import Settings
from outcomes.journal import Journal
from store.database import Database
from workers import watch, wiring
from workers.batch import Collaborators
from workers.loop import TASK_SECONDS, QueueWorker
from workers.pipeline import deliver_due
from workers.stall import LOOKS, StallWatch

_log = get_logger(__name__)

DRAIN_SECONDS = 3.0
"""After SIGTERM tasks wait this long for mails under way. What is cut off then is repeated late: docs/flow.md, "At
least once"."""

STALL_SECONDS = 60.0
"""Hints wait in Redis and none was taken for so long: the consumer has gone silent. The supervisor starts us again."""

MARKERS_SECONDS = 0.2
"""A claim waits no longer for its markers to go, and with it those of other tasks: a Valkey that says nothing is given
up after two seconds. They go all the same; what came in between is found by the due scan."""

ROUNDS = 5
"""Batches one task sends for the same hint before it goes to the end of the queue, so that others get their turn."""


class LaneWorker(QueueWorker):
    """One process of the transactional or marketing lane."""

    def __init__(self, settings: Settings, lane: Lane, index: int = 0) -> None:
        super().__init__(settings, lane.value, index, settings.worker_concurrency)
        self._lane = lane
        self._draining_since: float | None = None
        self._busy = 0
        self._counting = threading.Lock()
        self._last_task = time.monotonic()
        self._redis = redis.Redis.from_url(
            settings.redis_url, socket_timeout=2, socket_connect_timeout=1, **keepalive(settings.redis_url)
        )
        self._hasty = redis.Redis.from_url(
            settings.redis_url, socket_timeout=MARKERS_SECONDS, socket_connect_timeout=MARKERS_SECONDS,
            retry=Retry(NoBackoff(), 0), **keepalive(settings.redis_url),
        )  # fmt: skip
        self._hints = HintPublisher(settings.redis_url)
        self._collaborators: Collaborators | None = None
        self._journal: Journal | None = None
        self._register()

    def run(self) -> None:
        """Serve the lane until SIGTERM. Raises ConfigurationError or UnavailableError when it cannot start."""
        if self._lane is Lane.MARKETING:
            step_back(self.settings.marketing_nice)
        super().run()

    @property
    def database(self) -> Database:
        """That of the pipeline."""
        assert self._collaborators is not None
        return self._collaborators.database

    async def open(self) -> None:
        """Wire the pipeline, publish its figures, watch the consumer."""
        self._collaborators, self._journal = await wiring.build(self.settings, self.name)
        await asyncio.to_thread(self._forget_markers)
        self._hints.start()
        watch.IN_FLIGHT.set_function(self._collaborators.claims.held)
        watch.UNCOMMITTED.set_function(self._collaborators.recorder.depth)
        watch.SESSIONS.set_function(self._sessions)
        threading.Thread(target=self._watch_consumer, name="watch", daemon=True).start()

    async def close(self) -> None:
        """Finish the batches and commit their outcomes."""
        if self._collaborators is not None and self._journal is not None:
            await wiring.close(self._collaborators, self._journal)
        self._hints.stop()

    def trouble(self) -> str:
        """What is wrong with the recorder."""
        return self._collaborators.recorder.trouble() if self._collaborators else "starting"

    def drain(self) -> None:
        """Start no further mail."""
        self._draining_since = time.monotonic()
        if self._collaborators:
            for permit in list(self._collaborators.permits):
                permit.stop()

    def stopped(self) -> None:
        """What a server answered in the last turn is kept too."""
        if self._collaborators:
            self._collaborators.recorder.write_down()

    def _register(self) -> None:
        @self.celery.task(name=TASK_DELIVER, bind=True)  # type: ignore[untyped-decorator]  # Celery ships no types
        def deliver(task: Any, lane: str, destinations: list[str]) -> None:
            self.deliver(Lane(lane), destinations, task.request.get(LEAVING) or ())

    def deliver(self, lane: Lane, destinations: Sequence[str], leaving: Sequence[str] = ()) -> None:
        """Work on one hint: batches until nothing is left or others should have their turn. Its markers go when its
        first claim comes: as long as it waits for that, it is the hint for what comes meanwhile. Where nothing is
        under way it will not wait, and they go from here, which takes no switch of threads. In an order of its own: a
        claim begins with the first, and slow servers among these keep nobody behind for long. The servers of those
        that are `leaving` are looked for meanwhile: of test mail no name server hears."""
        marked: Sequence[str] = destinations
        destinations = random.sample(destinations, len(destinations))
        c = self._collaborators
        assert c is not None
        deadline = time.monotonic() + TASK_SECONDS

        async def claims() -> None:
            nonlocal marked, leaving
            if leaving:
                c.resolver.ahead(leaving, await c.pools.families())
                leaving = ()
            if marked:
                gone, marked = marked, ()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MARKERS_SECONDS):
                        await asyncio.to_thread(self._clear_markers, lane, gone)

        with self._counting:
            self._busy += 1
        try:
            if c.idle and self._clear_hastily(lane, marked):
                marked = ()
            for _ in range(ROUNDS):
                if self._draining_since is not None or time.monotonic() >= deadline:
                    return
                batch = self.loop.start(deliver_due(lane, destinations, c, claims))
                destinations = self._await(batch, deadline)
                if not destinations:
                    return
        finally:
            if marked:  # it ends without a claim
                self._clear_markers(lane, marked)
            with self._counting:
                self._busy -= 1
            self._last_task = time.monotonic()
        self._hints.hint(lane, destinations)

    def _await(self, batch: concurrent.futures.Future[list[str]], deadline: float) -> list[str]:
        """Destinations with more mail, [] when unknown. Never cancels: a mail may be between dot and reply."""
        while True:
            try:
                return batch.result(0.5)
            except concurrent.futures.TimeoutError:
                since = self._draining_since
                drained = since is not None and time.monotonic() - since > DRAIN_SECONDS
                if drained or time.monotonic() >= deadline:
                    _log.info("batch_outlives_task", lane=self._lane.value)
                    return []
            except UnavailableError as error:
                _log.warning("batch_not_claimed", lane=self._lane.value, error=str(error))
                return []

    def _watch_consumer(self) -> None:
        """A consumer that lost its broker connection for good would sit there for ever (celery#9054 and others)."""
        watch, trimmed = StallWatch(), self._last_task
        while self._draining_since is None:
            time.sleep(STALL_SECONDS / LOOKS)
            if not self._busy and trimmed != self._last_task:
                trimmed = self._last_task
                give_back_free()
            if watch.stalled(self._last_task, busy=self._busy > 0, waiting=self._hints_wait()):
                _log.critical("consumer_stalled", lane=self._lane.value, seconds=STALL_SECONDS)
                os._exit(70)

    def _hints_wait(self) -> bool:
        try:
            return bool(self._redis.llen(self._lane.value))
        except redis.RedisError:
            return False

    def _forget_markers(self) -> None:
        """What a killed predecessor had taken and not begun would wait until the markers end; so the due scan finds it
        within a second."""
        try:
            forget_markers(self._redis, self._lane)
        except redis.RedisError as error:
            _log.warning("markers_not_cleared", lane=self._lane.value, error=str(error))

    def _clear_hastily(self, lane: Lane, destinations: Sequence[str]) -> bool:
        """Whether they are gone. A Valkey that says nothing for a moment is no trouble yet."""
        try:
            self._hasty.delete(*(marker(lane, destination) for destination in destinations))
        except redis.RedisError:
            return False
        return True

    def _clear_markers(self, lane: Lane, destinations: Sequence[str]) -> None:
        try:
            self._redis.delete(*(marker(lane, destination) for destination in destinations))
        except redis.RedisError as error:
            _log.warning("markers_not_cleared", lane=lane.value, error=str(error))

    def _sessions(self) -> int:
        return self._collaborators.courier.stats().open if self._collaborators else 0
