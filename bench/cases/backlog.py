"""Does a long queue slow sending? Throughput with millions of mails queued against throughput with ten thousand.

Both sides run the same way, in turn: the queue is kept at its depth by a feeder that adds mail as fast as it leaves,
and what leaves is counted at the sink over a window. So both pay the same for being fed.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from bench import mail, rows
from bench.cases.throughput import full_shape
from bench.databases import BenchDatabase
from bench.session import Session, expect
from bench.world import Running
from core.publish import HintPublisher
from core.queues import Lane

KEYS = ("backlog_ratio",)

_SETTLE_SECONDS = 4.0
_FEED = 1_000
"""Mails added at a time, and hinted, as a batch by the API would be."""
_FEED_AT_MOST = 5_000
_LOOK_SECONDS = 0.05


async def measure(session: Session) -> None:
    """The figure of this module."""
    options, world = session.options, session.world
    deep = session.deep_database(options.backlog)
    shallow = world.databases.copy("bench_shallow")
    with shallow.connect() as connection:
        rows.add_mail(connection, shallow.rows, (1, options.shallow), "shallow", queued=True)
        rows.settle(connection)
    rates: dict[str, list[float]] = {"shallow": [], "deep": []}
    for turn in range(options.runs):
        for name, database, depth in (("shallow", shallow, options.shallow), ("deep", deep, options.backlog)):
            session.say(f"{depth:,} mails queued: run {turn + 1} of {options.runs}")
            rates[name].append(await _rate(session, database, depth, f"{name}{turn}"))
    session.add(
        "backlog_ratio", [d / s for d, s in zip(rates["deep"], rates["shallow"], strict=True)],
        deep_per_s=rates["deep"], shallow_per_s=rates["shallow"], deep_messages=options.backlog,
        shallow_messages=options.shallow, window_seconds=options.window_seconds,
        marketing_workers=options.marketing_workers,
        note="delivery only: mail is put into the tables by SQL, in bodies shared as those of a campaign are",
    )  # fmt: skip
    world.databases.drop(shallow.name)


async def _rate(session: Session, database: BenchDatabase, depth: int, run: str) -> float:
    """Mails a second leaving a queue that is kept at `depth`."""
    sink, window = session.world.sink, session.options.window_seconds
    with database.connect() as connection:
        missing = depth - rows.queued(connection)
        if missing > 0:
            rows.add_mail(connection, database.rows, (1, missing), f"{run}-before", queued=True)
    with session.world.stack(database, lambda port: full_shape(session, port)) as running:
        async with _fed(session, running, run):
            await asyncio.sleep(_SETTLE_SECONDS)
            counted, begun = sink.count(), time.monotonic()
            await asyncio.sleep(window)
            rate = (sink.count() - counted) / (time.monotonic() - begun)
            running.check()
    expect(rate > 0, "nothing was sent from the queue")
    return rate


@contextlib.asynccontextmanager
async def _fed(session: Session, running: Running, run: str) -> AsyncIterator[None]:
    """Mail is added as fast as the sink takes it, while the block runs; hints go out as the API gives them."""
    hints = HintPublisher(session.world.servers.redis_url)
    hints.start()
    enough = asyncio.Event()
    task = asyncio.create_task(_feed(session, running, run, (hints, enough)))
    try:
        yield
    finally:
        enough.set()  # and not cancelled: an insert is under way in a thread
        try:
            await task
        finally:
            hints.stop()


async def _feed(session: Session, running: Running, run: str, how: tuple[HintPublisher, asyncio.Event]) -> None:
    hints, enough = how
    sink, domains = session.world.sink, session.options.domains
    everywhere = [mail.domain(number, mail.BULK_ZONE, domains) for number in range(domains)]
    start, added = sink.count(), 0
    with running.database.connect() as connection:
        while not enough.is_set():
            owed = min(sink.count() - start - added, _FEED_AT_MOST)
            if owed < _FEED:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            numbers = (added + 1, added + owed)
            await asyncio.to_thread(rows.add_mail, connection, running.database.rows, numbers, run, True)
            hints.hint(Lane.MARKETING, everywhere)
            added += owed
