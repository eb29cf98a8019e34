"""The commands that are Postlane's processes: api, console, public, worker, scheduler, inbound, migrate.

Each reads its settings, sets up logging and hands over; heavy imports happen inside, so that `--help` stays quick.
"""

import contextlib
import gc
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from cli import context
from core import logs, tracing
from core.misnamed import misnamed
from core.queues import BACKGROUND, Lane
from core.settings import Settings, given
from store import revisions


class WorkerQueue(StrEnum):
    """What a worker process can serve."""

    TRANSACTIONAL = Lane.TRANSACTIONAL.value
    MARKETING = Lane.MARKETING.value
    BACKGROUND = BACKGROUND


def _ready(service: str) -> Settings:
    settings = context.settings()
    logs.configure(settings.log_level, settings.log_mask_addresses, service)
    for one in misnamed(name for names in given() for name in names):
        logs.get_logger(__name__).warning("setting_unknown", name=one.name, meant=one.meant)
    if newer := revisions.check(settings.database_url):
        logs.get_logger(__name__).warning("tables_newer", what=newer)
    tracing.start(settings, service)
    return settings


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Around the imports of a process: all that they make stays to its end, so no collection needs to look at it, now
    (a tenth of the start's processor time) or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def api() -> None:
    """Serve the HTTP API, its documentation and /metrics."""
    settings = _ready("api")
    with _loading():
        from api.serve import run

    run(settings)


def console() -> None:
    """Serve the web console."""
    settings = _ready("console")
    with _loading():
        from console.serve import run

    run(settings)


def public() -> None:
    """Serve the pages that recipients see: unsubscribing, preferences, links in mail."""
    settings = _ready("public")
    with _loading():
        from pages.serve import run

    run(settings)


def worker(
    queue: Annotated[WorkerQueue, typer.Argument(help="The one queue this process serves.")],
    index: Annotated[int, typer.Option(help="Number of this process among those of its queue on this machine.")] = 0,
) -> None:
    """Deliver the mail of one lane, or do the background work. Run one process per core and lane."""
    settings = _ready(f"worker-{queue.value}-{index}")
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
    settings = _ready("scheduler")
    with _loading():
        from workers.scheduler import run

    run(settings)


def inbound() -> None:
    """Listen for SMTP submission and for bounces."""
    settings = _ready("inbound")
    with _loading():
        from workers.inbound import run

    run(settings)


def migrate() -> None:
    """Bring the database to the newest schema. Safe to run again, and from several machines at once."""
    settings = context.settings()
    from store.ready import make_ready

    revision = make_ready(settings.database_url)
    typer.echo(f"database is at revision {revision}")
