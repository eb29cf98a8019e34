"""The commands that are Postlane's processes: api, console, public, worker, scheduler, inbound, migrate.

Each reads its settings, sets up logging and hands over; heavy imports happen inside, so that `--help` stays quick.
"""

import contextlib
import gc
import os
import signal
import threading
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

import typer

from cli import context
from core import logs, tracing
from core.errors import ConfigurationError, UnavailableError
from core.memory import collect_rarely
from core.misnamed import misnamed
from core.queues import BACKGROUND, Lane
from core.settings import Settings, given
from store import revisions


class WorkerQueue(StrEnum):
    """What a worker process can serve."""

    TRANSACTIONAL = Lane.TRANSACTIONAL.value
    MARKETING = Lane.MARKETING.value
    BACKGROUND = BACKGROUND


_AGAIN_SECONDS: Final = 0.5
"""Until PostgreSQL is asked again which tables it has: sooner than a pool of connections tries again."""


@contextlib.contextmanager
def _process(service: str) -> Iterator[Settings]:
    """Around all that a process does. Raises ConfigurationError for tables that are too old, at the start or when
    PostgreSQL, away then, comes back with them."""
    settings = context.settings()
    logs.configure(settings.log_level, settings.log_mask_addresses, service)
    for one in misnamed(name for names in given() for name in names):
        logs.get_logger(__name__).warning("setting_unknown", name=one.name, meant=one.meant)
    asking = _Asking(settings.database_url)
    if not asking.answered():
        signal.signal(signal.SIGTERM, _end)  # until the process has a way of its own to end
        asking.start()
    tracing.start(settings, service)
    try:
        yield settings
    finally:
        if asking.refused is not None:
            raise asking.refused


def _end(*_: object) -> None:
    raise SystemExit(1)


class _Asking(threading.Thread):
    """Asks which tables there are until somebody says, and ends this process when they are too old for it. A thread of
    the first process: others, that it starts to serve beside it, end with it."""

    def __init__(self, database_url: str) -> None:
        super().__init__(name="tables", daemon=True)
        self._url = database_url
        self.refused: ConfigurationError | None = None

    def answered(self) -> bool:
        """Whether PostgreSQL has said. Raises ConfigurationError for tables that are too old."""
        try:
            newer = revisions.check(self._url)
        except UnavailableError:
            return False
        if newer:
            logs.get_logger(__name__).warning("tables_newer", what=newer)
        return True

    def run(self) -> None:
        """Until it is said."""
        try:
            while not self.answered():
                threading.Event().wait(_AGAIN_SECONDS)
        except ConfigurationError as error:
            self.refused = error
            logs.get_logger(__name__).critical("tables_older", what=str(error))
            os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Around the imports of a process: all that they make stays to its end, so no collection needs to look at it, now
    (a tenth of the start's processor time) or later."""
    gc.disable()
    try:
        yield
    finally:
        collect_rarely()
        gc.enable()


def api() -> None:
    """Serve the HTTP API, its documentation and /metrics."""
    with _process("api") as settings:
        with _loading():
            from api.serve import run

        run(settings)


def console() -> None:
    """Serve the web console."""
    with _process("console") as settings:
        with _loading():
            from console.serve import run

        run(settings)


def public() -> None:
    """Serve the pages that recipients see: unsubscribing, preferences, links in mail."""
    with _process("public") as settings:
        with _loading():
            from pages.serve import run

        run(settings)


def worker(
    queue: Annotated[WorkerQueue, typer.Argument(help="The one queue this process serves.")],
    index: Annotated[int, typer.Option(help="Number of this process among those of its queue on this machine.")] = 0,
) -> None:
    """Deliver the mail of one lane, or do the background work. Run one process per core and lane."""
    with _process(f"worker-{queue.value}-{index}") as settings:
        if queue is WorkerQueue.BACKGROUND:
            with _loading():
                from workers.background import BackgroundWorker

            BackgroundWorker(settings, index).run()
        else:
            with _loading():
                from workers.app import LaneWorker

            LaneWorker(settings, Lane(queue.value), index).run()


def scheduler() -> None:
    """Hint due mail, keep partitions, count the queue. Run one; a second one waits as a spare."""
    with _process("scheduler") as settings:
        with _loading():
            from workers.scheduler import run

        run(settings)


def inbound() -> None:
    """Listen for SMTP submission and for bounces."""
    with _process("inbound") as settings:
        with _loading():
            from workers.inbound import run

        run(settings)


def migrate() -> None:
    """Bring the database to the newest schema. Safe to run again, and from several machines at once."""
    settings = context.settings()
    from store.ready import make_ready

    revision = make_ready(settings.database_url)
    typer.echo(f"database is at revision {revision}")
