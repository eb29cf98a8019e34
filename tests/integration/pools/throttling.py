"""Books of throttles for tests, and looks into what they wrote."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pools import throttle_repository as repository
from pools.health import Condition, Evidence, Policy
from pools.throttle import ThrottleBook
from pools.throttle_repository import Key, ThrottleChange
from store.database import Database

IP = "203.0.113.5"
OTHER = "203.0.113.6"
DOMAIN = "acme.example"
SITE = "gmail"
AT_SITE = Key("ip", IP, SITE)
CEILING = 20.0
NEVER = 3600.0
"""Seconds between full readings in tests where notifications alone have to do."""

POLICY = Policy(shortest_rest=timedelta(0), step_seconds=0.0, probe_seconds=1.0)


def ceiling(_site: str) -> float:
    return CEILING


def book(database: Database, by: str = "worker-1", reread: float = NEVER, policy: Policy = POLICY) -> ThrottleBook:
    return ThrottleBook(database, policy, ceiling, by, reread)


def now() -> datetime:
    return datetime.now(UTC)


def evidence(
    klass: str = "rate_limited", wait: float | None = 60.0, reply: str = "421 slow down", observed: float = 8.0
) -> Evidence:
    return Evidence("too-fast", klass, reply, None if wait is None else timedelta(seconds=wait), observed)


async def until(true: Callable[[], bool], seconds: float = 2.0) -> float:
    """Wait for something; returns the seconds it took. Fails when it does not come."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come"
        await asyncio.sleep(0.002)
    return time.monotonic() - began


async def written(one: ThrottleBook) -> None:
    await until(lambda: one.depth() == 0, 5.0)


async def history(
    database: Database, subject: str = IP, kind: repository.Kind = "ip", site: str | None = SITE
) -> list[ThrottleChange]:
    """Oldest first."""
    async with database.connection() as connection:
        return (await repository.changes(connection, kind, subject, site, 100))[::-1]


async def moves(database: Database, subject: str = IP, kind: repository.Kind = "ip") -> list[tuple[str, str]]:
    return [(change.was, change.became) for change in await history(database, subject, kind, None)]


async def stored(database: Database, key: Key = AT_SITE) -> Condition | None:
    async with database.connection() as connection:
        return (await repository.read(connection, [key])).get(key)
