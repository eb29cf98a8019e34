"""What limits cost: throughput with provider limits and a warming IP in force, against throughput without either.

Two whole stacks run side by side, each with its own database and Redis database, and take turns: while one delivers,
the other is idle. One has the shipped limits (every recipient domain is a site of its own, so each mail needs tokens
of one of `domains` x IPs buckets, none of which runs out) and an IP that warms up; the other has an own providers file
that sets all rates to "no limit", and no warm-up. All else is the same, limits of connections included.

The warming IP gets a new allowance before each run, about its equal share of the run's mail. It is offered twice that
share while it has allowance left, so the ledger is asked by every batch of the first half, runs out, and says no after.
"""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import redis

from bench.cases.throughput import WARM_UP, Pass, deliver, full_shape
from bench.databases import POOL_IPS, BenchDatabase, pool_addresses
from bench.session import Session, expect
from bench.world import Own, Running
from core.queues import Lane
from store.database import Connection, Database
from warmup import repository as warmups
from warmup.ledger import REFRESH_SECONDS
from warmup.plan import REST, parse
from warmup.shares import SLICES

KEYS = ("limits_ratio",)

NO_RATES = "[default]\nmessages_per_second = 0\nmessages_per_hour = 0\n"
"""An operator's providers file: the default row holds for every provider without a figure of its own, and no shipped
row that mail of the benchmark goes to has one."""

KNOWN_SECONDS = REFRESH_SECONDS + 1
HOURS = 24
USED_AT_LEAST = 0.9
"""Share of its allowance that the warming IP has to carry, or the plan was not in force."""


@dataclass(slots=True)
class _Side:
    """One of the two stacks."""

    running: Running
    redis_url: str
    passes: list[Pass] = field(default_factory=list)


async def measure(session: Session) -> None:
    """The figure of this module."""
    world, options = session.world, session.options
    warming = pool_addresses(Lane.MARKETING)[0]
    carried: list[int] = []
    with ExitStack() as stack:
        free = _start(session, stack, "bench_free", Own({"POSTLANE_PROVIDERS_FILE": str(_file(session))}))
        limited = _start(session, stack, "bench_limited", Own(redis_database=1))
        allowance = options.limits_messages // POOL_IPS
        for turn in range(options.limits_runs):
            for side in (free, limited) if turn % 2 else (limited, free):
                name = "with limits" if side is limited else "without limits"
                session.say(f"pair {turn + 1} of {options.limits_runs}: {options.limits_messages:,} mails {name}")
                # While the other side ran, this one's DNS answers and connections have run out.
                await deliver(session, side.running, WARM_UP, f"warm-up{turn}")
                if side is limited:
                    await _allow(side.running.database, warming, allowance)
                await asyncio.sleep(KNOWN_SECONDS)
                before = _carried(side.running.database, warming)
                side.passes.append(await deliver(session, side.running, options.limits_messages, f"run{turn}"))
                if side is limited:
                    carried.append(_carried(side.running.database, warming) - before)
        buckets = _check(free, limited, carried, allowance)
    session.add(
        "limits_ratio", [y.per_second / x.per_second for x, y in zip(free.passes, limited.passes, strict=True)],
        with_limits_per_s=[one.per_second for one in limited.passes],
        without_limits_per_s=[one.per_second for one in free.passes], messages=options.limits_messages,
        sites=options.domains, rate_buckets=buckets, warming_ip_allowance=allowance, warming_ip_mails=carried,
        cpu_microseconds_per_message={"with": limited.passes[-1].cpu, "without": free.passes[-1].cpu},
        all_cpu_microseconds={"with": _all_cpu(limited), "without": _all_cpu(free)},
        with_limits="shipped providers.toml (100/s from an IP to a site), one of three IPs warms up",
        without_limits=f"own providers file: {NO_RATES!r}, no warm-up",
        note="both stacks run all the time, one delivers; every recipient domain is a site of its own",
    )  # fmt: skip
    for side in (free, limited):
        world.databases.drop(side.running.database.name)


def cap_for(allowance: int, at: datetime, granted: int, base: int) -> int:
    """The daily cap of a plan over all 24 hours, with `hour_limit` 1, that leaves just about `allowance` mails open at
    this moment (aware UTC): an hour's share opens in twelve slices. `base`: what was granted before this hour."""
    share = -(-SLICES * (granted - base + allowance) // (at.minute * SLICES // 60 + 1))
    return base + share * (HOURS - at.hour)


async def _allow(database: BenchDatabase, ip: str, allowance: int) -> None:
    """Let the IP warm up anew by a plan that allows so much more now. Workers know after `KNOWN_SECONDS`."""
    opened = Database(database.url, size=1, name="bench")
    await opened.open()
    try:
        async with opened.transaction() as connection:
            at, granted, base = await _used(connection, ip)
            cap = cap_for(allowance, at, granted, base)
            if granted:
                await warmups.complete(connection, ip, reason="the next run begins", by="bench")
            plan = parse({"name": "bench", "stages": [cap], "weights": {REST: 1.0}, "hour_limit": 1.0})
            await warmups.start(connection, ip, plan, by="bench")
    finally:
        await opened.close()


async def _used(connection: Connection, ip: str) -> tuple[datetime, int, int]:
    """The database's time, what the IP was granted today, and what of it before this hour."""
    cursor = await connection.execute(
        "SELECT now(), coalesce(granted, 0), coalesce(CASE WHEN hour = extract(hour FROM now() AT TIME ZONE 'UTC')"
        " THEN hour_base ELSE granted END, 0) FROM (SELECT) AS one LEFT JOIN warmup_days"
        " ON ip = %s AND track = %s AND day = (now() AT TIME ZONE 'UTC')::date",
        [ip, REST],
    )
    row = await cursor.fetchone()
    assert row is not None
    at: datetime = row[0]
    return at.astimezone(UTC), int(row[1]), int(row[2])


def _all_cpu(side: _Side) -> list[int]:
    """Processor time of a message over all processes, one value a run: what a busy machine hardly changes."""
    return [round(sum(one.cpu.values())) for one in side.passes]


def _start(session: Session, stack: ExitStack, name: str, own: Own) -> _Side:
    database = session.world.databases.copy(name)
    running = stack.enter_context(session.world.stack(database, lambda port: full_shape(session, port), own))
    return _Side(running, session.world.redis_url(own))


def _file(session: Session) -> Path:
    file = session.options.folder.resolve() / "no-rates.toml"
    file.write_text(NO_RATES, "ascii")
    return file


def _carried(database: BenchDatabase, ip: str) -> int:
    """Mails delivered through this IP so far."""
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE kind = 'delivered' AND ip = %s", [ip]).fetchone()
    return int(str(row[0])) if row else 0


def _check(free: _Side, limited: _Side, carried: list[int], allowance: int) -> int:
    """Each side had what it is named after; the number of rate buckets in use."""
    expect(_buckets(free) == 0, "mail without limits asked for tokens all the same")
    found = _buckets(limited)
    expect(found > 0, "mail with limits asked for no tokens")
    least = allowance * USED_AT_LEAST
    expect(min(carried) >= least, f"the warming IP carried {carried} mails, its allowance was {allowance:,} a run")
    return found


def _buckets(side: _Side) -> int:
    with redis.Redis.from_url(side.redis_url) as client:
        return sum(1 for _ in client.scan_iter(match="postlane:rate:*", count=1000))
