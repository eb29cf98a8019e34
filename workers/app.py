"""The Celery side of a worker process: its app, its tasks, its life.

One process serves one queue, with `-P threads` and one asyncio loop in a thread of its own: sessions to mail servers
live there across tasks. A task hands its hint to the loop and waits; the pool's size bounds the batches under way.
"""

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from http.server import ThreadingHTTPServer
from typing import Any, TypeVar

import redis
import uvloop
from celery import Celery, signals

from core import metrics
from core.errors import UnavailableError
from core.logs import get_logger
from core.publish import HintPublisher, celery_app, marker
from core.queues import TASK_DELIVER, Lane
from core.settings import Settings
from outcomes.journal import Journal
from workers import watch, wiring
from workers.batch import Collaborators
from workers.pipeline import deliver_due

_log = get_logger(__name__)
_T = TypeVar("_T")

TASK_SECONDS = 120.0
"""No task lasts longer: Redis would hand it out again after the visibility time-out of 600 s. A mail server may take
ten minutes to answer the final dot (RFC 5321 4.5.3.2.6); such mails stay on the loop, under their leases, without a
task."""

DRAIN_SECONDS = 3.0
"""After SIGTERM tasks wait this long for mails under way. What is cut off then is repeated late (promise 6)."""

STALL_SECONDS = 60.0
"""Hints wait in Redis and none was taken for so long: the consumer has gone silent. The supervisor starts us again."""

START_SECONDS = 60.0
STOP_SECONDS = 6.0
"""For finishing batches and committing outcomes; `postlane up` gives a process 8 s."""

ROUNDS = 5
"""Batches one task sends for the same hint before it goes to the end of the queue, so that others get their turn."""


class LoopThread:
    """One asyncio loop in a thread: started after Celery's own set-up, stopped after its pool."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T], seconds: float) -> _T:
        """Run on the loop and wait for the result; cancels it and raises TimeoutError after `seconds`."""
        future = self.start(coroutine)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    def start(self, coroutine: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Start on the loop and do not wait."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1)


class LaneWorker:
    """One process of the transactional or marketing lane."""

    def __init__(self, settings: Settings, lane: Lane, index: int = 0) -> None:
        self._settings = settings
        self._lane = lane
        self._name = f"{lane.value}-{index}"
        self._draining_since: float | None = None
        self._busy = 0
        self._counting = threading.Lock()
        self._last_task = time.monotonic()
        self._redis = redis.Redis.from_url(
            settings.redis_url, socket_timeout=2, socket_connect_timeout=1, socket_keepalive=True
        )
        self._hints = HintPublisher(settings.redis_url)
        self._loop: LoopThread | None = None
        self._collaborators: Collaborators | None = None
        self._journal: Journal | None = None
        self._metrics: ThreadingHTTPServer | None = None
        self.celery = self._celery()

    def run(self) -> None:
        """Serve the lane until SIGTERM. Raises ConfigurationError or UnavailableError when it cannot start."""
        if self._lane is Lane.MARKETING:
            os.nice(self._settings.marketing_nice)
        self._loop = LoopThread()
        self._collaborators, self._journal = self._loop.run(wiring.build(self._settings, self._name), START_SECONDS)
        self._hints.start()
        watch.IN_FLIGHT.set_function(self._collaborators.leases.held)
        watch.UNCOMMITTED.set_function(self._collaborators.recorder.depth)
        watch.SESSIONS.set_function(self._sessions)
        self._metrics = metrics.serve(self._settings.metrics_host, self._settings.metrics_port, self._healthy)
        _log.info("worker_ready", lane=self._lane.value, metrics_port=self._metrics.server_address[1])
        threading.Thread(target=self._watch_consumer, name="watch", daemon=True).start()
        signals.worker_shutting_down.connect(self._drain, weak=False)
        try:
            self.celery.worker_main(worker_arguments(self._lane.value, self._settings.worker_concurrency, self._name))
        finally:
            self._stop()

    def _celery(self) -> Celery:
        app = celery_app(self._settings.redis_url)

        @app.task(name=TASK_DELIVER)  # type: ignore[untyped-decorator]  # Celery ships no types
        def deliver(lane: str, destinations: list[str]) -> None:
            self.deliver(Lane(lane), destinations)

        return app

    def deliver(self, lane: Lane, destinations: Sequence[str]) -> None:
        """Work on one hint: markers away, then batches until nothing is left or others should have their turn."""
        self._clear_markers(lane, destinations)
        assert self._loop is not None and self._collaborators is not None
        deadline = time.monotonic() + TASK_SECONDS
        with self._counting:
            self._busy += 1
        try:
            for _ in range(ROUNDS):
                if self._draining_since is not None or time.monotonic() >= deadline:
                    return
                batch = self._loop.start(deliver_due(lane, destinations, self._collaborators))
                destinations = self._await(batch, deadline)
                if not destinations:
                    return
        finally:
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
        while self._draining_since is None:
            time.sleep(STALL_SECONDS / 4)
            idle = time.monotonic() - self._last_task
            if self._busy or idle < STALL_SECONDS or not self._hints_wait():
                continue
            _log.critical("consumer_stalled", lane=self._lane.value, seconds=round(idle))
            os._exit(70)

    def _hints_wait(self) -> bool:
        try:
            return bool(self._redis.llen(self._lane.value))
        except redis.RedisError:
            return False

    def _clear_markers(self, lane: Lane, destinations: Sequence[str]) -> None:
        try:
            self._redis.delete(*(marker(lane, destination) for destination in destinations))
        except redis.RedisError as error:
            _log.warning("markers_not_cleared", lane=lane.value, error=str(error))

    def _sessions(self) -> int:
        return self._collaborators.courier.stats().open if self._collaborators else 0

    def _healthy(self) -> str:
        return self._collaborators.recorder.trouble() if self._collaborators else "starting"

    def _drain(self, **_: object) -> None:
        self._draining_since = time.monotonic()
        if self._collaborators:
            for permit in list(self._collaborators.permits):
                permit.stop()

    def _stop(self) -> None:
        assert self._loop is not None and self._collaborators is not None and self._journal is not None
        try:
            self._loop.run(wiring.close(self._collaborators, self._journal), STOP_SECONDS)
        except (TimeoutError, UnavailableError) as error:
            # The journal and the leases hold what could not be finished.
            _log.warning("stopped_unfinished", error=str(error) or type(error).__name__)
        self._hints.stop()
        self._loop.stop()


def worker_arguments(queue: str, concurrency: int, name: str) -> list[str]:
    return [
        "worker", "--pool=threads", f"--concurrency={concurrency}", f"--queues={queue}", f"--hostname={name}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING",
    ]  # fmt: skip
