"""The worker process of the Celery queue `background`: what is not sending. Bounce reports and DNS checks for now.

Built like `workers/app`: a pool of threads, one event loop, tasks as hints. On its start and every minute it also works
through received mail that has no task: Redis lost it, or the report had come before the outcome it speaks about.
"""

import asyncio
import contextlib
from http.server import ThreadingHTTPServer
from typing import Final
from uuid import UUID

from celery import Celery

from accounts.verify import fresh_resolver, verify_domain
from core import metrics
from core.clock import SystemClock
from core.errors import UnavailableError
from core.logs import get_logger
from core.publish import celery_app
from core.queues import BACKGROUND, TASK_BOUNCE, TASK_VERIFY_DOMAIN
from core.secrets import InstanceSecret
from core.settings import Settings
from core.tasks import end
from mta.from_settings import rules_in_force
from outcomes.inbound import waiting_inbound
from store.database import Database
from workers.app import START_SECONDS, STOP_SECONDS, TASK_SECONDS, LoopThread, worker_arguments
from workers.feedback import FeedbackTools, work_through

_log = get_logger(__name__)

CONCURRENCY: Final = 8
"""Tasks under way: each waits for the database or DNS most of its time."""
SWEEP_SECONDS: Final = 60.0
SWEEP_BATCH: Final = 500
SWEEP_PAUSE: Final = 2.0
"""Before a sweep goes on after the database was away."""


async def sweep(tools: FeedbackTools) -> int:
    """Work through what waits, oldest first, at most `SWEEP_BATCH`; returns how many mails got their result."""
    async with tools.database.connection() as connection:
        waiting = await waiting_inbound(connection, SWEEP_BATCH)
    done = 0
    for identifier in waiting:
        try:
            done += await work_through(identifier, tools) is not None
        except UnavailableError:
            raise
        except Exception as error:
            # A bug that one mail brings to light must not hold up the others; the mail waits, and is looked at again.
            _log.error("report_failed", inbound=str(identifier), exc_info=error)
    return done


class BackgroundWorker:
    """One process of the background queue."""

    def __init__(self, settings: Settings, index: int = 0) -> None:
        self._settings = settings
        self._name = f"{BACKGROUND}-{index}"
        self._secret = InstanceSecret.from_text(settings.secret.get_secret_value())
        self._loop: LoopThread | None = None
        self._tools: FeedbackTools | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._metrics: ThreadingHTTPServer | None = None
        self.celery = self._celery()

    def run(self) -> None:
        """Serve the queue until SIGTERM."""
        self._loop = LoopThread()
        self._loop.run(self._open(), START_SECONDS)
        self._metrics = metrics.serve(self._settings.metrics_host, self._settings.metrics_port, self._healthy)
        _log.info("worker_ready", queue=BACKGROUND, metrics_port=self._metrics.server_address[1])
        try:
            self.celery.worker_main(worker_arguments(BACKGROUND, CONCURRENCY, self._name))
        finally:
            self._stop()

    def _celery(self) -> Celery:
        app = celery_app(self._settings.redis_url)

        def bounce(identifier: str) -> None:
            self.bounce(UUID(identifier))

        def verify(domain_id: str) -> None:
            self.verify(UUID(domain_id))

        app.task(name=TASK_BOUNCE)(bounce)
        app.task(name=TASK_VERIFY_DOMAIN)(verify)
        return app

    def bounce(self, identifier: UUID) -> None:
        """Work through one received mail. When the database is away it waits for the sweep."""
        assert self._loop is not None and self._tools is not None
        try:
            self._loop.run(work_through(identifier, self._tools), TASK_SECONDS)
        except UnavailableError as error:
            _log.warning("report_waits", inbound=str(identifier), error=str(error))

    def verify(self, domain_id: UUID) -> None:
        """Check the DNS records of one domain."""
        assert self._loop is not None
        try:
            self._loop.run(self._verify(domain_id), TASK_SECONDS)
        except UnavailableError as error:
            _log.warning("domain_not_verified", domain=str(domain_id), error=str(error))

    async def _verify(self, domain_id: UUID) -> None:
        assert self._tools is not None
        lookup = fresh_resolver(self._settings)
        await verify_domain(self._tools.database, lookup, self._settings.hostname, domain_id)

    async def _open(self) -> None:
        database = Database(self._settings.database_url, self._settings.database_pool_size, f"postlane-{self._name}")
        await database.open()
        self._tools = FeedbackTools(database, self._secret, rules_in_force(self._settings), SystemClock())
        self._sweeping = asyncio.create_task(self._sweep_for_ever(self._tools), name="sweep")

    async def _sweep_for_ever(self, tools: FeedbackTools) -> None:
        while True:
            try:
                done = await sweep(tools)
            except UnavailableError as error:
                _log.warning("sweep_waits_for_database", error=str(error))
                await asyncio.sleep(SWEEP_PAUSE)
                continue
            if done:
                _log.info("swept", mails=done)
            if done < SWEEP_BATCH:
                await asyncio.sleep(SWEEP_SECONDS)

    def _healthy(self) -> str:
        if self._sweeping is None:
            return "starting"
        return "the sweep has stopped" if self._sweeping.done() else ""

    def _stop(self) -> None:
        assert self._loop is not None
        with contextlib.suppress(TimeoutError):
            self._loop.run(self._close(), STOP_SECONDS)
        self._loop.stop()

    async def _close(self) -> None:
        if self._sweeping is not None:
            await end([self._sweeping])
        if self._tools is not None:
            await self._tools.database.close()


def run(settings: Settings, index: int = 0) -> None:
    """Serve the background queue until SIGTERM. Raises ConfigurationError for a wrong secret."""
    BackgroundWorker(settings, index).run()
