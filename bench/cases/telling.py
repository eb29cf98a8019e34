"""What webhooks and tracking cost the mail: throughput with both, against throughput without either; and what they cost
where nobody wants them.

One stack delivers in turn with an endpoint that is told of everything and mail whose opens and clicks are tracked, and
with the endpoint switched off and plain mail. The mail is the same but for that, ten links in each. What was told is
waited for before the other side's turn, and every mail must have been told of as sent and as delivered.

Switched off, telling is one question for each commit of outcomes and tracking one look at a mail: both are timed by
themselves, and set against all the time a message takes.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from bench import mail
from bench.cases.throughput import WARM_UP, Pass, deliver, full_shape
from bench.cases.webhooks import all_taken
from bench.databases import BenchDatabase
from bench.receiver import receiver
from bench.session import Session, expect
from bench.world import Own, Running
from core.secrets import InstanceSecret
from store.database import Database
from webhooks import endpoints, outbox
from webhooks.endpoints import Change

KEYS = ("told_tracked_ratio", "untold_cost")

LINKS: Final = 10
_SETTINGS: Final = {"POSTLANE_WEBHOOK_NETWORKS": '["127.0.0.0/8"]', "POSTLANE_PUBLIC_URL": "http://127.0.0.1"}
_QUESTIONS: Final = 300


@dataclass(slots=True)
class _Sides:
    """The passes of both."""

    told: list[Pass] = field(default_factory=list)
    untold: list[Pass] = field(default_factory=list)


async def measure(session: Session) -> None:
    """Both figures, on a database of their own."""
    world, database = session.world, session.world.databases.copy("bench_telling")
    pool = Database(database.url, size=2, name="postlane-bench")
    await pool.open()
    try:
        with (
            receiver(world) as (url, pid),
            world.stack(database, lambda port: full_shape(session, port), Own(_SETTINGS)) as running,
        ):
            endpoint = await _endpoint(session, pool, url)
            sides = await _take_turns(session, running, pool, endpoint, pid)
            question = await _question(session, pool)
    finally:
        await pool.close()
    _add(session, sides, question, _commits(database))
    world.databases.drop(database.name)


async def _take_turns(session: Session, running: Running, pool: Database, endpoint: UUID, pid: int) -> _Sides:
    sides, options = _Sides(), session.options
    plain, tracked = (mail.MailBodies("marketing", links=LINKS, tracked=on) for on in (False, True))
    told = 0
    for turn in range(options.told_runs):
        # PostgreSQL makes one for each gigabyte of its log, which would be in the middle of one side or the other.
        session.world.databases.checkpoint()
        for on in (True, False) if turn % 2 else (False, True):
            # The benchmark's DNS records are kept for half a minute: without this, the side that happens to come later
            # would ask for all of them.
            await _switch(session, pool, endpoint, False)
            await deliver(session, running, WARM_UP, f"warm-up{on}{turn}", plain)
            session.say(f"telling: pair {turn + 1} of {options.told_runs}, {'told and tracked' if on else 'neither'}")
            await _switch(session, pool, endpoint, on)
            bodies, beside = tracked if on else plain, {"receiver": pid}
            one = await deliver(session, running, options.told_messages, f"{on}{turn}", bodies, beside=beside)
            (sides.told if on else sides.untold).append(one)
            told += 2 * options.told_messages if on else 0
            await all_taken(running.database, told)
    with running.database.connect() as connection:
        rows = connection.execute("SELECT type, count(*), count(ahead) FROM webhook_events GROUP BY type").fetchall()
    expect(rows == [("email.delivered", told // 2, told // 2)], f"what was told is wrong: {rows}")
    return sides


def _add(session: Session, sides: _Sides, question: float, commits: tuple[int, int]) -> None:
    cpu = {name: [round(sum(one.cpu.values())) for one in found] for name, found in _named(sides)}
    session.add(
        "told_tracked_ratio",
        [on.per_second / off.per_second for on, off in zip(sides.told, sides.untold, strict=True)],
        messages=session.options.told_messages, links=LINKS, events_per_message=2,
        per_second={name: [one.per_second for one in found] for name, found in _named(sides)},
        all_cpu_microseconds=cpu,
        cpu_microseconds_per_message={name: found[-1].cpu for name, found in _named(sides)},
        note="one stack in turn; one endpoint, told of every event by http; up to the last 250",
    )  # fmt: skip
    message = 1e6 / statistics.median(one.per_second for one in sides.untold)
    outcomes, transactions = commits
    session.add(
        "untold_cost", [question * transactions / outcomes / message], question_microseconds=round(question, 1),
        outcomes_per_commit=round(outcomes / transactions, 1), message_microseconds=round(message, 1),
        note="who listens is asked once for each commit of outcomes; a mail that is not tracked costs one comparison",
    )  # fmt: skip


def _named(sides: _Sides) -> tuple[tuple[str, list[Pass]], ...]:
    return ("told", sides.told), ("untold", sides.untold)


async def _endpoint(session: Session, pool: Database, url: str) -> UUID:
    secret, application = InstanceSecret.from_text(session.world.secret), session.world.databases.tenant.application
    async with pool.transaction() as connection:
        made, _ = await endpoints.create(connection, secret, application, url, None)
    await _switch(session, pool, made.id, False)
    return made.id


async def _switch(session: Session, pool: Database, endpoint: UUID, on: bool) -> None:
    application = session.world.databases.tenant.application
    async with pool.transaction() as connection:
        await endpoints.change(connection, application, endpoint, Change(status="enabled" if on else "disabled"))


async def _question(session: Session, pool: Database) -> float:
    """Microseconds, in the middle of many."""
    times = []
    owners = [session.world.databases.tenant.application]
    async with pool.connection() as connection:
        for _ in range(_QUESTIONS):
            began = time.perf_counter()
            await outbox.wanted(connection, owners)
            times.append((time.perf_counter() - began) * 1e6)
            await asyncio.sleep(0)
    return statistics.median(times)


def _commits(database: BenchDatabase) -> tuple[int, int]:
    """Outcomes, and the transactions they were written in."""
    with database.connect() as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT xmin::text) FROM events").fetchone()
    assert row is not None
    return int(str(row[0])), int(str(row[1]))
