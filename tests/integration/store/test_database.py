"""Connections: UTC, autocommit unless asked, and a reason when PostgreSQL does not answer."""

import asyncio
import contextlib
import os
import signal
from datetime import UTC

import psycopg
import pytest

from core.errors import UnavailableError
from store import database as module
from store.database import Connection, Database, DatabaseConflictError, DatabaseUnavailableError
from store.statements import COMMIT, CONNECTION, Timing, timing
from tests.integration.messages.emails import execute, rows
from tests.servers import with_database


async def test_single_statements_commit_by_themselves(database: Database, database_url: str) -> None:
    await execute(database, "INSERT INTO applications (id, name) VALUES (gen_random_uuid(), 'a')")
    with psycopg.connect(database_url) as other:
        assert other.execute("SELECT count(*) FROM applications").fetchone() == (1,)


async def test_transaction_is_all_or_nothing(database: Database) -> None:
    async def interrupted() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO applications (id, name) VALUES (gen_random_uuid(), 'a')")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        await interrupted()
    assert await rows(database, "SELECT count(*) FROM applications") == [(0,)]


async def test_times_are_in_utc_whatever_the_server_says(database: Database, database_url: str) -> None:
    """Also those of the hour counters, in zones that are off by half an hour."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    await execute(database, f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    fresh = Database(database_url, size=2, name="fresh")
    await fresh.open()
    ((now, hour),) = await rows(fresh, "SELECT now(), date_trunc('hour', now())")
    await fresh.close()

    assert now.utcoffset() == UTC.utcoffset(None)
    assert hour.minute == 0


async def test_away_server_is_named_with_its_reason() -> None:
    away = Database("postgresql://somebody@127.0.0.1:1/nowhere", name="away")
    away._pool.timeout = 0.5
    await away.open()
    with pytest.raises(DatabaseUnavailableError, match=r"port 1 failed: Connection refused"):
        await rows(away, "SELECT 1")
    await away.close()


async def test_missing_database_is_named(database_url: str) -> None:
    missing = Database(with_database(database_url, "not_there"), name="missing")
    missing._pool.timeout = 0.5
    await missing.open()
    with pytest.raises(DatabaseUnavailableError, match='database "not_there" does not exist'):
        await rows(missing, "SELECT 1")
    await missing.close()


async def test_error_of_a_statement_is_not_taken_for_an_away_server(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        await rows(database, "SELECT * FROM not_there")
    assert await rows(database, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("code", ["40P01", "40001"])
async def test_a_conflict_of_transactions_is_told_from_a_server_that_is_away(database: Database, code: str) -> None:
    with pytest.raises(DatabaseConflictError):
        await execute(database, f"DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '{code}'; END $$")


async def test_lost_connections_are_replaced(database: Database) -> None:
    await execute(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()",
    )
    for _ in range(5):
        assert await rows(database, "SELECT 1") == [(1,)]


async def test_a_connection_whose_server_says_nothing_is_replaced(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.3)
    pool = Database(database_url, size=1)
    await pool.open()
    ((frozen,),) = await rows(pool, "SELECT pg_backend_pid()")
    os.kill(frozen, signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseUnavailableError):
                await rows(pool, "SELECT 1")
            while True:
                with contextlib.suppress(DatabaseUnavailableError):
                    ((fresh,),) = await rows(pool, "SELECT pg_backend_pid()")
                    break
    finally:
        os.kill(frozen, signal.SIGCONT)
        await pool.close()
    assert fresh != frozen


def test_trying_again_can_help() -> None:
    assert issubclass(DatabaseUnavailableError, UnavailableError)
    assert DatabaseUnavailableError.retryable


def _noted(family: Timing) -> int:
    return sum(family.counts)


async def test_statements_are_timed_by_whoever_runs_them(database: Database) -> None:
    """Whichever way they go to psycopg. This module is no folder of ours, so its statements are others."""
    other, ping = timing("other"), timing("ping")
    before = [_noted(one) for one in (other, COMMIT, CONNECTION, ping)]
    seconds = other.seconds
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_sleep(0.03)")
        await asyncio.create_task(_asked(connection))
        async with connection.cursor() as cursor:
            await cursor.execute("CREATE TEMP TABLE t (n int) ON COMMIT DROP")
            await cursor.executemany("INSERT INTO t VALUES (%s)", [[1], [2]])
            async with cursor.copy("COPY t FROM STDIN") as copy:
                await copy.write_row([3])
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with connection.transaction():
                await connection.execute("SELECT FROM nowhere")
    after = [_noted(one) for one in (other, COMMIT, CONNECTION, ping)]

    assert [b - a for a, b in zip(before, after, strict=True)] == [6, 1, 1, 1]
    assert 0.03 <= other.seconds - seconds < 5


async def _asked(connection: Connection) -> None:
    await connection.execute("SELECT 1")
