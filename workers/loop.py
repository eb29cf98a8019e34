"""What every Celery worker process shares: one asyncio loop in a thread, metrics, its start and its end.

Celery runs with `-P threads`, so its tasks are plain functions; what they start lives on the loop across tasks.
"""

import asyncio
import concurrent.futures
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop
from celery import signals

from core import metrics
from core.errors import UnavailableError
from core.logs import get_logger
from core.publish import celery_app
from core.settings import Settings
from store.database import Database
from store.heartbeats import Heartbeat

_log = get_logger(__name__)
_T = TypeVar("_T")

TASK_SECONDS = 120.0
"""No task lasts longer: others want its place. A mail server may take ten minutes to answer the final dot (RFC 5321
4.5.3.2.6); such mails stay on the loop, under their claims, without a task."""

START_SECONDS = 60.0
STOP_SECONDS = 6.0
"""For finishing batches and committing outcomes; `postlane up` gives a process 8 s."""


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


class QueueWorker(ABC):
    """One process that serves one Celery queue until SIGTERM."""

    def __init__(self, settings: Settings, queue: str, index: int, concurrency: int) -> None:
        """`concurrency`: tasks under way at a time."""
        self.settings = settings
        self.queue = queue
        self.name = f"{queue}-{index}"
        self.celery = celery_app(settings.redis_url)
        self._concurrency = concurrency
        self._loop: LoopThread | None = None
        self._heartbeat: Heartbeat | None = None

    @property
    def loop(self) -> LoopThread:
        """The loop of this process, once it runs."""
        assert self._loop is not None
        return self._loop

    def run(self) -> None:
        """Serve the queue. Raises ConfigurationError or UnavailableError when it cannot start."""
        self._loop = LoopThread()
        self._loop.run(self._begin(), START_SECONDS)
        server = metrics.serve(self.settings.metrics_host, self.settings.metrics_port, self.trouble)
        _log.info("worker_ready", queue=self.queue, metrics_port=server.server_address[1])
        signals.worker_shutting_down.connect(self._shutting_down, weak=False)
        try:
            self.celery.worker_main(_arguments(self.queue, self._concurrency, self.name))
        finally:
            self._stop(self._loop)

    async def _begin(self) -> None:
        await self.open()
        self._heartbeat = Heartbeat(self.database, f"worker-{self.name}", self.trouble)
        await self._heartbeat.start()

    async def _end(self) -> None:
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        await self.close()

    @property
    @abstractmethod
    def database(self) -> Database:
        """What it works on, once it is open."""

    @abstractmethod
    async def open(self) -> None:
        """Make what tasks work with. Runs on the loop."""

    @abstractmethod
    async def close(self) -> None:
        """Finish and let go of it, within `STOP_SECONDS`. Runs on the loop."""

    @abstractmethod
    def trouble(self) -> str:
        """What is wrong, for `/healthz`; "" when nothing is."""

    def drain(self) -> None:  # noqa: B027  # most workers have nothing to do
        """SIGTERM came: no further tasks are taken."""

    def stopped(self) -> None:  # noqa: B027  # most workers have nothing to do
        """The loop has made its last turn."""

    def _shutting_down(self, **_: object) -> None:
        self.drain()

    def _stop(self, loop: LoopThread) -> None:
        try:
            loop.run(self._end(), STOP_SECONDS)
        except (TimeoutError, UnavailableError) as error:
            # What could not be finished is in the journal, or under a claim that runs out.
            _log.warning("stopped_unfinished", error=str(error) or type(error).__name__)
        loop.stop()
        self.stopped()


def _arguments(queue: str, concurrency: int, name: str) -> list[str]:
    return [
        "worker", "--pool=threads", f"--concurrency={concurrency}", f"--queues={queue}", f"--hostname={name}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING",
    ]  # fmt: skip
