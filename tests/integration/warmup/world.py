"""A database with IPs that can warm up, and a clock that a test sets: the statements only know PostgreSQL's `now()`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from core.ids import uuid7
from core.queues import Lane
from store.database import Connection, Database
from warmup import repository
from warmup.ledger import Ledger, Wanted
from warmup.plan import Plan, Transactional, parse

IP, OTHER_IP = "203.0.113.7", "203.0.113.8"
MARKETING, TRANSACTIONAL = Lane.MARKETING, Lane.TRANSACTIONAL


def own_clock(database_url: str, at: datetime) -> None:
    """Let `now()` of all later connections be what `set_clock` says: a function in a schema before pg_catalog."""
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE test_clock (at timestamptz NOT NULL)")
        connection.execute("INSERT INTO test_clock VALUES (%s)", [at])
        connection.execute("CREATE SCHEMA pretended")
        connection.execute(
            "CREATE FUNCTION pretended.now() RETURNS timestamptz LANGUAGE sql STABLE"
            " AS 'SELECT at FROM public.test_clock'"
        )
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = pretended, pg_catalog, public").format(sql.Identifier(name))
        )


def own_clock_no_more(database_url: str) -> None:
    """What `own_clock` made, gone: the next test may have the database."""
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(database_url, autocommit=True, options="-c lock_timeout=2s") as connection:
        connection.execute("DROP SCHEMA pretended CASCADE")
        connection.execute("DROP TABLE test_clock")
        connection.execute(sql.SQL("ALTER DATABASE {} RESET search_path").format(sql.Identifier(name)))


async def set_clock(database: Database, at: datetime) -> None:
    await run(database, "UPDATE test_clock SET at = %s", at)


async def run(database: Database, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, if it gives any."""
    async with database.connection() as connection:
        cursor = await connection.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []


async def add_ips(connection: Connection, *ips: str) -> None:
    for ip in ips:
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name) VALUES (%s, %s, %s, 'out.example.com')",
            [uuid7(), ip, ip],
        )


async def warm_up(
    database: Database, plan: Plan, *ips: str, transactional: Transactional = Transactional.SHARE
) -> None:
    """Create the IPs and start their warm-ups."""
    async with database.transaction() as connection:
        await add_ips(connection, *ips)
        for ip in ips:
            await repository.start(connection, ip, plan, transactional=transactional)


def plan_of(stages: Sequence[int] = (240, 480, 960), **fields: Any) -> Plan:
    return parse({"name": "test", "stages": list(stages), "weights": {"gmail": 0.5, "*": 0.5}, **fields})


def unforgetting(database: Database) -> Ledger:
    """A ledger that asks the database each time."""
    return Ledger(database, remember_seconds=0.0)


def mails(provider: str, n: int, lane: Lane = MARKETING, ip: str = IP) -> Wanted:
    return Wanted(ip, provider, n, lane)


async def granted(database: Database) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(ip, track, day) → (granted, cap)."""
    rows = await run(database, "SELECT ip, track, day, granted, cap FROM warmup_days")
    return {(ip, track, str(day)): (n, cap) for ip, track, day, n, cap in rows}
