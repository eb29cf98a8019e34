"""The statements of the delivery never read a table from end to end, whatever the planner believes of its size.

Workers prepare their statements on an empty queue and keep the plans; then a campaign fills it within a second, long
before statistics are gathered. Rows read by sequential scans are what PostgreSQL itself counts.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from alarms import evidence
from core.ids import uuid7
from messages import claim, due, moves
from store import arrays
from store.database import Database
from store.probing import probing
from tests.integration.messages.emails import execute, make_partitions, rows

QUEUED = 20_000
TABLES = ("delivery_queue", "messages", "emails", "contents", "suppressions", "choices")
WORKER = uuid7()


async def fill(database: Database) -> list[UUID]:
    """Mail of 500 destinations; the ids of 200 of it."""
    async with database.transaction() as connection:
        await connection.execute(
            "CREATE TEMPORARY TABLE ids ON COMMIT DROP AS SELECT n, (lpad(to_hex((extract(epoch FROM now()) * 1000)"
            "::bigint), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid AS id"
            f" FROM generate_series(1, {QUEUED}) n"
        )
        for statement in (
            "INSERT INTO emails SELECT id, id, id, 'marketing', NULL, id, now(), 's', 's', '{}', '{}', '{}', '{}',"
            " '[]', 'm', NULL, NULL FROM ids",
            "INSERT INTO contents SELECT id, NULL, 'x', '[]', NULL, 0, 1 FROM ids",
            "INSERT INTO messages SELECT id, 0, 'a', 'a' || n, 'to', 'queued', 0, now() FROM ids",
            "INSERT INTO delivery_queue SELECT id, 0, 'marketing', 'd' || mod(n, 500), 'a', 'a' || n, now() FROM ids",
            "INSERT INTO choices SELECT 'a' || n, id, id, 'opt_out' FROM ids",
            "INSERT INTO suppressions SELECT id, 's' || id, 'all', 'manual', 'api' FROM ids",
            "INSERT INTO suppressions SELECT gen_random_uuid(), 'sha256:' || id, 'all', 'manual', 'api' FROM ids",
        ):
            await connection.execute(statement)
    return [row[0] for row in await rows(database, "SELECT email_id FROM delivery_queue LIMIT 200")]


async def ask_all(connection: psycopg.AsyncConnection[tuple[object, ...]], emails: list[UUID]) -> None:
    """Every statement of the hot path once, in a way that changes nothing."""
    now, count = datetime.now(UTC), len(emails)
    keys = {"emails": emails, "positions": [9] * count, "worker": WORKER}
    told = {
        **keys,
        **arrays.first_and_last(emails),
        "states": ["delivered"] * count,
        "attempts": [1] * count,
        "times": [now] * count,
    }
    later = {**told, "due": [now] * count, "ips": [""] * count, "workers": [WORKER] * count}
    names = [f"none{number}" for number in range(50)]
    taken = {
        "lane": "marketing",
        "destinations": names,
        "each": 4,
        "most": 200,
        "lease": timedelta(seconds=60),
        "worker": WORKER,
        "aside": timedelta(hours=1),
    }
    for statement, values in (
        (claim._CLAIM, taken),
        (claim._LOAD, {"ids": emails, "inline": 65536}),
        (claim._STILL_MINE, {**keys, "positions": [0] * count}),
        (claim._RENEW, {**keys, "lease": timedelta(seconds=60)}),
        (claim._GIVE_BACK, {**keys, "due": now}),
        (moves._END, told),
        (moves._DEFER, later),
        (due.DUE_DESTINATIONS, {"lane": "marketing"}),
    ):
        await connection.execute(statement, values)


async def sequential(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> dict[str, int]:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    cursor = await connection.execute(
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname LIKE ANY(%s)",
        [[f"{name}%" for name in TABLES]],
    )
    return {str(name): int(str(count)) for name, count in await cursor.fetchall()}


async def drain(database: Database, kept: int) -> None:
    """Leave so many rows of each table, and statistics that know of it; no autovacuum will soon know better."""
    for table in TABLES:
        await execute(database, f"DELETE FROM {table} WHERE ctid NOT IN (SELECT ctid FROM {table} LIMIT {kept})")
    for (name,) in await rows(database, "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid > 16384"):
        await execute(database, f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
    ends = time.monotonic() + 30
    while True:  # vacuum waits for whoever may still see the rows, in any database of the server
        await execute(database, "VACUUM ANALYZE")
        if (await rows(database, "SELECT relpages FROM pg_class WHERE relname = 'delivery_queue'"))[0][0] < 30:
            return
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


@pytest.fixture
async def workers(database_url: str) -> AsyncIterator[Database]:
    """The pool of connections of a lane worker."""
    found = Database(database_url, size=1, name="postlane-test", probing=True)
    await found.open()
    yield found
    await found.close()


@pytest.mark.parametrize("mode", ["auto", "force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("kept", [0, 7, 1000])
async def test_plans_made_on_an_empty_queue_serve_a_full_one(
    database: Database, workers: Database, mode: str, kept: int
) -> None:
    await make_partitions(database)
    await fill(database)
    await drain(database, kept)
    async with workers.connection() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        for _ in range(8):
            await ask_all(connection, [uuid7() for _ in range(200)])
        emails = await fill(database)
        before = await sequential(connection)
        for _ in range(3):
            await ask_all(connection, emails)
        after = await sequential(connection)

    read = {name: after[name] - before[name] for name in after if after[name] - before[name] > QUEUED // 10}
    assert read == {}


@pytest.mark.parametrize("ask", [due.DUE_DESTINATIONS, evidence.OVERDUE], ids=["due", "overdue"])
async def test_walks_over_destinations_probe_whatever_the_queue_was_before(database: Database, ask: str) -> None:
    await make_partitions(database)
    await fill(database)
    await drain(database, 7)
    read = []
    async with database.connection() as connection:
        for number in range(9):
            if number == 8:
                await fill(database)
            before = (await sequential(connection))["delivery_queue"]
            async with probing(connection):
                await connection.execute(ask, {"lane": "marketing"})
            read.append((await sequential(connection))["delivery_queue"] - before)
        cursor = await connection.execute("SELECT current_setting('enable_seqscan'), current_setting('jit')")
        after = await cursor.fetchone()

    assert read[-1] < QUEUED // 10
    assert after == ("on", (await rows(database, "SELECT reset_val FROM pg_settings WHERE name = 'jit'"))[0][0])


async def test_whether_the_list_holds_hashes_is_asked_of_its_index(database: Database) -> None:
    """With a third of it hashed the planner took the table to be the shorter way, past millions of plain entries."""
    await fill(database)
    await execute(database, "VACUUM ANALYZE suppressions")
    keys = {"emails": [uuid7()], "positions": [0], "worker": WORKER}
    async with database.connection() as connection:
        cursor = await connection.execute(f"EXPLAIN {claim._STILL_MINE}", keys)
        plan = "\n".join(str(line) for (line,) in await cursor.fetchall())

    assert "Index Only Scan using suppressions_address_scope_key on suppressions f" in plan
    assert "Seq Scan on suppressions" not in plan


def looked_at(plan: dict[str, Any]) -> int:
    """Rows that a plan and its parts gave or passed over."""
    rows = sum(plan.get(name, 0) for name in ("Actual Rows", "Rows Removed by Join Filter", "Rows Removed by Filter"))
    return int(rows * plan["Actual Loops"]) + sum(map(looked_at, plan.get("Plans", ())))


@pytest.mark.parametrize("kept", [0, 1000])
async def test_mail_of_a_batch_is_not_compared_with_each_other(
    database: Database, workers: Database, kept: int
) -> None:
    await make_partitions(database)
    await fill(database)
    await drain(database, kept)
    await fill(database)
    found = await rows(database, "SELECT email_id FROM delivery_queue ORDER BY random() LIMIT 500")
    emails, now = [row[0] for row in found], datetime.now(UTC)
    count = len(emails)
    keys = {"emails": arrays.uuids(emails), "positions": [0] * count, "worker": WORKER}
    told = {
        **keys,
        **arrays.first_and_last(emails),
        "states": ["delivered"] * count,
        "attempts": [1] * count,
        "times": [now] * count,
    }
    later = {**told, "due": [now] * count, "ips": [""] * count, "workers": [WORKER] * count}
    looks = {}
    for name, statement, values in (
        ("end", moves._END, told),
        ("defer", moves._DEFER, later),
        ("still mine", claim._STILL_MINE, keys),
        ("renew", claim._RENEW, {**keys, "lease": timedelta(seconds=60)}),
        ("give back", claim._GIVE_BACK, {**keys, "due": now}),
        ("hold", claim._HOLD, {**keys, "due": [now] * count, "holds": ["x"] * count, "breakers": [""] * count}),
    ):
        async with workers.connection() as connection, connection.transaction(force_rollback=True):
            await connection.execute(
                "UPDATE delivery_queue SET claimed_by = %s, due_at = now() + interval '1 minute'"
                " WHERE email_id = ANY(%s)",
                [WORKER, emails],
            )
            cursor = await connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
            row = await cursor.fetchone()
            assert row is not None
            assert len(set(re.findall(r"'messages_\d+'", str(row[0])))) <= 1, "no partition of another day"
            looks[name] = looked_at(row[0][0]["Plan"])
    assert {name: n for name, n in looks.items() if n > 20 * count} == {}
