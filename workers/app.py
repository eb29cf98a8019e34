"""The Celery side of a worker process: its app, its tasks, its life.

One process serves one queue, with `-P threads` and one asyncio loop in a thread of its own: sessions to mail servers
live there across tasks. A task hands its hint to the loop and waits; the pool's size bounds the batches under way.
"""

import asyncio
import concurrent.futures
import os
import threading
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
from workers.pipeline import Collaborators, deliver_due

_log = get_logger(__name__)
_T = TypeVar("_T")

TASK_SECONDS = 120.0
"""No task may last longer: Redis would hand it out again after the visibility time-out of 600 s."""

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
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1)


class LaneWorker:
    """One process of the transactional or marketing lane."""

    def __init__(self, settings: Settings, lane: Lane, index: int = 0) -> None:
        self._settings = settings
        self._lane = lane
        self._name = f"{lane.value}-{index}"
        self._draining = False
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
        self._metrics = metrics.serve(self._settings.metrics_host, self._settings.metrics_port, self._healthy)
        _log.info("worker_ready", lane=self._lane.value, metrics_port=self._metrics.server_address[1])
        signals.worker_shutting_down.connect(self._drain, weak=False)
        self.celery.worker_main(_worker_arguments(self._lane.value, self._settings.worker_concurrency, self._name))
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
        for _ in range(ROUNDS):
            if self._draining:
                return
            try:
                destinations = self._loop.run(deliver_due(lane, destinations, self._collaborators), TASK_SECONDS)
            except UnavailableError as error:
                _log.warning("batch_not_claimed", lane=lane.value, error=str(error))
                return
            if not destinations:
                return
        self._hints.hint(lane, destinations)

    def _clear_markers(self, lane: Lane, destinations: Sequence[str]) -> None:
        try:
            self._redis.delete(*(marker(lane, destination) for destination in destinations))
        except redis.RedisError as error:
            _log.warning("markers_not_cleared", lane=lane.value, error=str(error))

    def _healthy(self) -> str:
        return self._collaborators.recorder.trouble() if self._collaborators else "starting"

    def _drain(self, **_: object) -> None:
        self._draining = True
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


def _worker_arguments(queue: str, concurrency: int, name: str) -> list[str]:
    return [
        "worker", "--pool=threads", f"--concurrency={concurrency}", f"--queues={queue}", f"--hostname={name}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING",
    ]  # fmt: skip
