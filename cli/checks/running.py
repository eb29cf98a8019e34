"""What the database tells of the installation that runs: processes by their signs of life, default pools, flags."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import psycopg

from cli.checks.findings import Finding, Level
from core.queues import BACKGROUND, Lane
from core.settings import Settings
from flags import service as flags
from pools.ip_status import ago
from store import heartbeats
from store.database import Connection
from store.heartbeats import Process

_NEEDED: Final = ("api", "scheduler", *(f"worker-{lane.value}" for lane in Lane), f"worker-{BACKGROUND}")
"""Without one of these something waits."""
_DEFAULTS: Final = """
SELECT p.lane, p.name, count(*) FILTER (WHERE i.active AND m.weight > 0)
  FROM pools p LEFT JOIN pool_ips m ON m.pool_id = p.id LEFT JOIN egress_ips i ON i.id = m.egress_ip_id
 WHERE p.is_default GROUP BY p.lane, p.name
"""
_AWAY: Final = "start the server, or correct POSTLANE_DATABASE_URL"


async def running(settings: Settings) -> list[Finding]:
    """All of it. Without PostgreSQL only what follows from that."""
    if not settings.database_url:
        return []  # the database check has said so already
    try:
        async with await psycopg.AsyncConnection.connect(settings.database_url, connect_timeout=3) as connection:
            return [finding async for finding in _told(connection)]
    except psycopg.OperationalError:
        what = "cannot be read: each process goes by what it read last, and one that starts now by what is declared"
        return [Finding("flags", Level.WARNING, what, _AWAY)]
    except psycopg.Error:
        return []  # no schema, or an older one: said by the check of the schema


async def _told(connection: Connection) -> AsyncIterator[Finding]:
    for finding in _processes(await heartbeats.processes(connection)):
        yield finding
    rows = await (await connection.execute(_DEFAULTS)).fetchall()
    defaults = {Lane(lane): (str(name), int(usable)) for lane, name, usable in rows}
    for lane in Lane:
        yield _default_pool(lane, defaults.get(lane))
    yield _flags(await flags.states(connection))


def _processes(found: list[Process]) -> list[Finding]:
    """Who is silent, who says that something is wrong with it, who is missing."""
    if not found:
        do = "`postlane up`, or the services of docs/operations.md; those of older versions do not say that they run"
        return [Finding("processes", Level.WARNING, "none has been heard of", do)]
    bad = [_silent(one) for one in found if one.silent]
    bad += [
        Finding(f"process {one.name}", Level.FAILED, f"on {one.host}: {one.trouble}", "its log says more")
        for one in found
        if one.trouble and not one.silent
    ]
    alive = {one.name for one in found if not one.silent}
    missing = [name for name in _NEEDED if not any(one == name or one.startswith(f"{name}-") for one in alive)]
    if missing:
        do = "start what is missing: docs/operations.md says what waits for each"
        bad.append(Finding("processes", Level.FAILED, f"no {' and no '.join(missing)} runs", do))
    hosts = len({one.host for one in found})
    return bad or [Finding("processes", Level.OK, f"{len(found)} run{f' on {hosts} hosts' if hosts > 1 else ''}")]


def _silent(one: Process) -> Finding:
    told = f"on {one.host}, process {one.pid}: silent for {ago(one.seen_at, datetime.now(UTC))}"
    do = "it was killed, hangs, or does not reach PostgreSQL: look at its log, and start it again"
    return Finding(f"process {one.name}", Level.FAILED, told, do)


def _default_pool(lane: Lane, found: tuple[str, int] | None) -> Finding:
    check = f"pool {lane.value}"
    if found is None:
        do = f"`postlane pools create NAME --lane {lane.value} --default`, then `postlane pools attach NAME IP`"
        return Finding(check, Level.FAILED, "there is no default pool: mail that names no pool waits", do)
    name, usable = found
    if not usable:
        do = f"`postlane pools attach {name} IP`, or `postlane ips resume IP`"
        return Finding(check, Level.FAILED, f"{name} has no active IP: its mail waits", do)
    return Finding(check, Level.OK, f"{name}, {usable} active {'IP' if usable == 1 else 'IPs'}")


def _flags(found: list[flags.State]) -> Finding:
    switched = [one for one in found if not one.as_declared]
    told = "; ".join(f"{one.flag.name} {one.told_with_own}" for one in switched) or f"all {len(found)} as declared"
    as_of = f"as of {datetime.now(UTC):%H:%M:%S} UTC: {told}"
    do = "`postlane flags list` says who switched them, and what for" if switched else ""
    return Finding("flags", Level.WARNING if switched else Level.OK, as_of, do)
