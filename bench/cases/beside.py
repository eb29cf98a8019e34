"""Bounce reports that come at a set pace while the sender is at its fullest: does either wait for the other?

Reports of mail that was delivered before arrive 200 a second, as after a mailing to an old list, while marketing mail
goes out as fast as it can. The figure is how many a second are read, placed, judged and recorded, from the first MAIL
to the last result: below the pace they pile up.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench import rows
from bench.cases import reports
from bench.cases.throughput import WARM_UP, deliver, full_shape
from bench.databases import BenchDatabase
from bench.session import Session, expect
from bench.world import Running
from cli.running.free_ports import take

KEYS = ("dsn_beside_sending",)

PACE: Final = 200
"""Reports a second."""
_STEP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Pass:
    """What was seen."""

    reports_per_s: float
    behind_seconds: float
    """From the last report taken to the last one worked through."""
    delivered_per_s: tuple[float, ...]
    """Of the mails sent meanwhile, a figure for each part."""


async def measure(session: Session) -> None:
    """The figure of this module."""
    world, options = session.world, session.options
    database = world.databases.copy("bench_beside")
    count = round(PACE * options.beside_seconds)
    mails = [(path, reports.report(path)) for path in reports.delivered(session, database, count)]
    port = take(1)[0]
    with world.stack(database, lambda api: replace(full_shape(session, api), inbound_port=port)) as running:
        session.say(f"reports beside sending: {count:,} reports at {PACE} a second")
        await deliver(session, running, WARM_UP, "beside-warm-up")
        found = await _both(session, running, port, mails)
    _check(database, count)
    session.add(
        KEYS[0], [found.reports_per_s], reports=count, offered_per_s=PACE, seconds=options.beside_seconds,
        behind_seconds=round(found.behind_seconds, 2),
        delivered_per_s_meanwhile=[round(rate) for rate in found.delivered_per_s],
        note="every process of `postlane up`; marketing mail posted and sent as fast as it goes all the while",
    )  # fmt: skip
    world.databases.drop(database.name)


async def _both(session: Session, running: Running, port: int, mails: Sequence[tuple[str, bytes]]) -> _Pass:
    begun = time.monotonic()
    coming = asyncio.create_task(_paced(port, mails))
    rates: list[float] = []
    try:
        while not coming.done() or not rates:
            part = await deliver(session, running, session.options.beside_messages, f"beside{len(rates)}", ended=False)
            rates.append(part.per_second)
        taken = await coming
        await reports.worked_through(running, running.database, len(mails))
    finally:
        coming.cancel()
    ended = time.monotonic()
    return _Pass(len(mails) / (ended - begun), ended - taken, tuple(rates))


async def _paced(port: int, mails: Sequence[tuple[str, bytes]]) -> float:
    """Hand in the reports at their pace; when the last one was taken."""
    begun, step = time.monotonic(), round(PACE * _STEP_SECONDS)
    async with asyncio.TaskGroup() as sending:
        for start in range(0, len(mails), step):
            await asyncio.sleep(begun + start / PACE - time.monotonic())
            sending.create_task(reports.send(port, mails[start : start + step]))
    return time.monotonic()


def _check(database: BenchDatabase, count: int) -> None:
    reports.check(database, count)
    with database.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE state = 'bounced'), count(*) FILTER (WHERE state <> 'delivered')"
            "  FROM messages"
        ).fetchone()
        expect(row == (count, count), f"bounced and not delivered are {row}, not {count}", rows.outcomes(connection))
