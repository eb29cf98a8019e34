"""The scheduler process: builds its collaborators, leads when it may, stops on SIGTERM."""

import asyncio
import signal

import uvloop

from audience.contact_retention import ContactDays
from core import metrics
from core.clock import SystemClock
from core.logs import get_logger
from core.publish import HintPublisher
from core.settings import Settings
from core.tasks import end
from flags.watch import FlagWatch
from mta.from_settings import rules_in_force
from sandbox import mailbox
from store.database import Database
from store.heartbeats import Heartbeat
from store.partitions import retention
from workers.periodic import Scheduler, lead

_log = get_logger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    database = Database(settings.database_url, size=5, name="postlane-scheduler")
    await database.open()
    flags = FlagWatch(database)
    await flags.start()
    hints = HintPublisher(settings.redis_url)
    hints.start()
    kept = retention(settings.content_days, settings.event_days)
    captured = mailbox.Bounds(settings.sandbox_days, settings.sandbox_megabytes * 1024 * 1024)
    inbound_bytes = settings.inbound_megabytes * 1024 * 1024
    people = ContactDays(settings.unconfirmed_days, settings.contact_history_days)
    rules = rules_in_force(settings)
    scheduler = Scheduler(
        database, hints, SystemClock(), kept, rules, captured, inbound_bytes, people, settings.request_log_days
    )
    leading = asyncio.create_task(lead(scheduler), name="lead")

    def trouble() -> str:
        return "the scheduler has stopped" if leading.done() else ""

    heartbeat = Heartbeat(database, "scheduler", trouble)
    await heartbeat.start()
    server = metrics.serve(settings.metrics_host, settings.metrics_port, trouble)
    _log.info("scheduler_ready", metrics_port=server.server_address[1])
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({leading, stop}, return_when=asyncio.FIRST_COMPLETED)
    if leading.done():
        _log.critical("scheduler_failed", exc_info=leading.exception())
    await end([leading, stop])
    hints.stop()
    await heartbeat.stop()
    await flags.stop()
    await database.close()
