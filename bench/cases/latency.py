"""How long a transactional mail takes from the API's answer to the receiving server's 250: alone, and beside a
marketing backlog that is being sent as fast as it goes.

Client and sink are in this process, so both moments are read from one clock. The load is open: mails are posted at
their time, whether or not earlier ones have arrived.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import load, mail, rows
from bench.cases.throughput import full_shape
from bench.figures import percentile
from bench.options import LATENCY_RATE, SINGLE_CLIENTS
from bench.session import Session, expect
from bench.sink import TimedSink
from bench.verify import verified_by
from bench.world import TIMED_HOST, Running

IDLE_KEYS = ("tx_idle_p50_ms", "tx_idle_p99_ms")
LOADED_KEYS = ("tx_loaded_p50_ms", "tx_loaded_p99_ms")

_WARM_UP_MAILS = 60
_ARRIVAL_SECONDS = 30.0
_FULL_SPEED_SECONDS = 4.0
"""Time the marketing lane gets to open its connections before the first mail is timed."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """One run, milliseconds."""

    after_answer: list[float]
    """From the API's answer to the 250; below zero when the mail was faster than the answer."""
    after_request: list[float]


async def measure_idle(session: Session) -> None:
    """With nothing else to do."""
    world = session.world
    database = world.databases.copy("bench_latency")
    with world.stack(database, lambda port: full_shape(session, port)) as running:
        await _measure(session, running, IDLE_KEYS, "idle", dict)
    world.databases.drop(database.name)


async def measure_loaded(session: Session) -> None:
    """Beside a long queue of marketing mail that is due."""
    options, world = session.options, session.world
    depth = min(options.loaded_backlog, options.backlog)
    database = session.deep or session.deep_database(depth)
    with database.connect() as connection:
        before = rows.queued(connection)
    with world.stack(database, lambda port: full_shape(session, port)) as running:
        session.say("letting the marketing lane come to full speed")
        await asyncio.sleep(_FULL_SPEED_SECONDS)
        counted, begun = world.sink.count(), time.monotonic()

        def marketing() -> dict[str, object]:
            rate = (world.sink.count() - counted) / (time.monotonic() - begun)
            return {"marketing_per_s_meanwhile": round(rate), "marketing_due_at_start": before}

        await _measure(session, running, LOADED_KEYS, "beside the backlog", marketing)
        with database.connect() as connection:
            left = rows.queued(connection)
        expect(left > 0, "the marketing backlog ran empty before the last transactional mail was sent")


async def _measure(
    session: Session, running: Running, keys: tuple[str, str], name: str, extra: Callable[[], dict[str, object]]
) -> None:
    options = session.options
    sink = TimedSink()
    await sink.start(TIMED_HOST, session.world.smtp_port)
    try:
        await _warm_up(session, running, sink)
        runs = []
        for turn in range(options.runs):
            session.say(f"transactional mail {name}: run {turn + 1} of {options.runs}")
            mails = int(LATENCY_RATE * options.latency_seconds)
            runs.append(await _run(session, running, sink, (f"{keys[0]}{turn}", mails)))
    finally:
        await sink.stop()
    expect(sink.repeats == 0, f"{sink.repeats} mails came twice")
    mails_each = len(runs[0].after_answer)
    settings = {
        "mails_per_run": mails_each,
        "mails_per_s": LATENCY_RATE,
        "recipient_domains": options.domains,
        "p50_ms_from_request": [round(percentile(run.after_request, 0.5), 2) for run in runs],
        "p99_ms_from_request": [round(percentile(run.after_request, 0.99), 2) for run in runs],
        "max_ms": [round(max(run.after_answer), 1) for run in runs],
        **extra(),
    }
    for key, share in zip(keys, (0.5, 0.99), strict=True):
        session.add(key, [percentile(run.after_answer, share) for run in runs], **settings)


async def _warm_up(session: Session, running: Running, sink: TimedSink) -> None:
    """The first mails open connections; one of them is looked at: its signature and its size."""
    session.say("transactional mail: warming up")
    sink.keep = True
    await _run(session, running, sink, ("warm-up", _WARM_UP_MAILS))
    sink.keep = False
    tenant = session.world.databases.tenant
    expect(
        verified_by(sink.mails[0], tenant.dkim_name, tenant.dkim_record),
        "the mail that left Postlane carries no valid DKIM signature",
    )
    sink.mails.clear()


async def _run(session: Session, running: Running, sink: TimedSink, named: tuple[str, int]) -> Latencies:
    name, mails = named
    bodies = mail.MailBodies("transactional")
    people = [mail.recipient(number, mail.TIMED_ZONE, session.options.domains, name) for number in range(mails)]
    posts = [(to, bodies.one(number, to).encode()) for number, to in enumerate(people)]
    async with load.clients(running.api_url, session.world.databases.tenant.token, SINGLE_CLIENTS) as connections:
        answers = await load.post_paced(connections, posts, LATENCY_RATE, running.check)
    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while any(to not in sink.arrivals for to in people):
        running.check()
        missing = sum(to not in sink.arrivals for to in people)
        expect(time.monotonic() < deadline, f"{missing} of {mails} transactional mails did not arrive in 30 s")
        await asyncio.sleep(0.05)
    return Latencies(
        [(sink.arrivals[to] - answers[to].answered) * 1000 for to in people],
        [(sink.arrivals[to] - answers[to].asked) * 1000 for to in people],
    )
