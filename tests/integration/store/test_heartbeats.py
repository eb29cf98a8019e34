"""Signs of life: who is there, who is missed, and what is forgotten."""

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.ids import uuid7
from core.version import version
from store import heartbeats
from store.database import Database
from store.heartbeats import Heartbeat, Life, Process, successors
from tests.integration.messages.emails import execute

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


async def _processes(database: Database) -> list[Process]:
    async with database.connection() as connection:
        return await heartbeats.processes(connection)


async def _until_heard(database: Database, names: list[str]) -> list[Process]:
    async with asyncio.timeout(10):
        while [one.name for one in await _processes(database)] != names:
            await asyncio.sleep(0.01)
    return await _processes(database)


async def _heard(database: Database, name: str, host: str, *, seen: int, started: int, left: int | None = None) -> None:
    """A process, as it was heard of so many seconds ago."""
    await execute(
        database,
        "INSERT INTO heartbeats (id, name, host, pid, version, seen_at, started_at, left_at) VALUES (gen_random_uuid(),"
        " %s, %s, 1, '1', now() - make_interval(secs => %s), now() - make_interval(secs => %s),"
        " now() - make_interval(secs => %s))",
        [name, host, seen, started, left],
    )


async def test_a_process_is_there_until_it_ends(database: Database) -> None:
    first, second = Heartbeat(database, "scheduler"), Heartbeat(database, "api", lambda: "the journal is full" * 100)
    await first.start()
    await second.start()
    api, scheduler = await _until_heard(database, ["api", "scheduler"])
    assert (scheduler.pid, scheduler.version, scheduler.silent, scheduler.trouble) == (
        os.getpid(),
        version(),
        False,
        "",
    )
    assert api.trouble == ("the journal is full" * 100)[:300]

    await first.stop()
    assert [one.name for one in await _processes(database)] == ["api"]
    await second.stop()
    assert await _processes(database) == []


async def test_who_was_killed_is_missed_until_a_successor_is_there(database: Database) -> None:
    for name, host, age, started in (
        ("api", "a", 30, 100), ("api", "b", 30, 100), ("api", "a", 1, 25), ("worker", "a", 15, 60),
        ("old", "a", 90_000, 90_001),
    ):  # fmt: skip
        await _heard(database, name, host, seen=age, started=started)
    before = {(one.name, one.host, one.silent) for one in await _processes(database)}
    assert ("api", "b", True) in before
    assert ("worker", "a", False) in before

    async with database.transaction() as connection:
        await heartbeats.forget(connection)

    assert [(one.name, one.host, one.silent) for one in await _processes(database)] == [
        ("api", "a", False), ("api", "b", True), ("worker", "a", False),
    ]  # fmt: skip


async def test_one_that_hangs_is_not_forgotten_when_another_restarts(database: Database) -> None:
    await _heard(database, "api", "a", seen=100, started=1000)  # hangs
    await _heard(database, "api", "a", seen=50, started=1000, left=50)
    await _heard(database, "api", "a", seen=1, started=49)

    for _ in range(2):  # who has taken a place takes no second one
        async with database.transaction() as connection:
            await heartbeats.forget(connection)
    assert [(one.host, one.silent) for one in await _processes(database)] == [("a", True), ("a", False)]

    await _heard(database, "api", "a", seen=1, started=10)
    async with database.transaction() as connection:
        await heartbeats.forget(connection)
    assert sum(one.silent for one in await _processes(database)) == 1, "whom it succeeds may not be silent yet"
    await execute(database, "UPDATE heartbeats SET started_at = now() - interval '21 s' WHERE succeeds IS NULL")
    async with database.transaction() as connection:
        await heartbeats.forget(connection)
    assert [one.silent for one in await _processes(database)] == [False, False]


async def test_a_container_takes_the_place_of_the_one_before_under_another_name(database: Database) -> None:
    await _heard(database, "public", "3f2a9c", seen=40, started=1000)
    await _heard(database, "console", "77aa01", seen=40, started=1000)
    await _heard(database, "public", "b01dd3", seen=1, started=35)
    async with database.transaction() as connection:
        await heartbeats.forget(connection)
    assert [(one.name, one.host, one.silent) for one in await _processes(database)] == [
        ("console", "77aa01", True), ("public", "b01dd3", False),
    ]  # fmt: skip


def test_of_several_that_ended_the_one_on_the_same_host_comes_first_then_the_last_one() -> None:
    def life(host: str, ended: int | None, started: int, *, free: bool = True) -> Life:
        ended_at = NOW - timedelta(seconds=ended) if ended is not None else None
        return Life(uuid7(), "api", host, NOW - timedelta(seconds=started), ended_at, free)

    hangs, near, far = life("a", 600, 900), life("a", 60, 900), life("b", 50, 900)
    new, other, late = life("a", None, 45), life("c", None, 40), life("a", None, 700)
    assert set(successors([hangs, near, far, new, other, late])) == {(near.id, new.id), (far.id, other.id)}
    assert successors([hangs, late, replace(new, free=False)]) == []
    assert successors([hangs, replace(new, name="worker")]) == []


async def test_a_process_whose_database_is_away_goes_on(database_url: str) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", 2)
    await away.open()
    one = Heartbeat(away, "api")
    await one.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(3):
        await one.stop()
    assert not one._heard
    await away.close()
