"""Signs of life: who is there, who is missed, and what is forgotten."""

import asyncio
import os

from core.version import version
from store import heartbeats
from store.database import Database
from store.heartbeats import Heartbeat, Process
from tests.integration.messages.emails import execute


async def _processes(database: Database) -> list[Process]:
    async with database.connection() as connection:
        return await heartbeats.processes(connection)


async def _until_heard(database: Database, names: list[str]) -> list[Process]:
    async with asyncio.timeout(10):
        while [one.name for one in await _processes(database)] != names:
            await asyncio.sleep(0.01)
    return await _processes(database)


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
        ("api", "a", 30, 100), ("api", "b", 30, 100), ("api", "a", 1, 10), ("worker", "a", 15, 60),
        ("old", "a", 90_000, 90_001),
    ):  # fmt: skip
        await execute(
            database,
            "INSERT INTO heartbeats (id, name, host, pid, version, seen_at, started_at) VALUES (gen_random_uuid(), %s,"
            " %s, 1, '1', now() - make_interval(secs => %s), now() - make_interval(secs => %s))",
            [name, host, age, started],
        )
    before = {(one.name, one.host, one.silent) for one in await _processes(database)}
    assert ("api", "b", True) in before
    assert ("worker", "a", False) in before

    async with database.transaction() as connection:
        await heartbeats.forget(connection)

    assert [(one.name, one.host, one.silent) for one in await _processes(database)] == [
        ("api", "a", False), ("api", "b", True), ("worker", "a", False),
    ]  # fmt: skip


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
