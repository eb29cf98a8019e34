"""What a worker knows of pools: soon, and without holding a connection while it looks for its IPs."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from mta.model import EgressIp
from pools import administration, ips
from pools.repository import PoolBook, ensure_pool
from store.database import Database

SECRET = InstanceSecret(bytes(32))
IPS = tuple(EgressIp(f"127.0.1.{n}", f"127.0.1.{n}", f"m{n}.example.com") for n in range(1, 7))


@pytest.fixture
async def narrow(database: Database, database_url: str) -> AsyncIterator[Database]:
    """A pool of six IPs, and a database with two connections."""
    async with database.transaction() as connection:
        await ensure_pool(connection, "main", Lane.TRANSACTIONAL, IPS)
    opened = Database(database_url, 2, "narrow")
    await opened.open()
    yield opened
    await opened.close()


async def test_dead_proxies_take_no_connection_from_others_and_are_tried_side_by_side(narrow: Database) -> None:
    tries: list[str] = []

    async def silent(ip: EgressIp) -> str:
        tries.append(ip.address)
        await asyncio.sleep(0.5)
        return "the proxy is silent"

    book = PoolBook(narrow, SECRET, silent)
    batches = [asyncio.create_task(book.pool_for(Lane.TRANSACTIONAL, None)) for _ in range(16)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    for _ in range(4):
        async with narrow.connection() as one, narrow.connection() as other:
            await one.execute("SELECT 1")
            await other.execute("SELECT 1")
    assert time.monotonic() - began < 0.3, "both connections are free while the proxies are tried"

    pools = await asyncio.gather(*batches)
    assert sorted(tries) == [ip.address for ip in IPS], "each once, whoever asks"
    assert {member.why for member in pools[0].members} == {"the proxy is silent"}
    assert not any(member.active for member in pools[0].members)


async def test_a_known_ip_keeps_no_batch_waiting_while_it_is_looked_at_again(
    narrow: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pools.repository._KEEP_SECONDS", 0.05)
    monkeypatch.setattr("pools.repository._REACH_SECONDS", 0.05)
    slow = False

    async def reachable(ip: EgressIp) -> str:
        if slow:
            await asyncio.sleep(30)
        return ""

    book = PoolBook(narrow, SECRET, reachable)
    await book.pool_for(Lane.TRANSACTIONAL, None)
    slow = True
    await asyncio.sleep(0.06)
    async with asyncio.timeout(1):
        pool = await book.pool_for(Lane.TRANSACTIONAL, None)
    assert len(pool.members) == len(IPS)


async def test_a_change_is_seen_within_its_seconds_and_a_pause_keeps_its_reason(
    narrow: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pools.repository._KEEP_SECONDS", 0.05)
    monkeypatch.setattr("pools.repository._RENEW_SECONDS", 0.05)

    async def lost(ip: EgressIp) -> str:
        return "" if ip.address.endswith("1") else "gone"

    book = PoolBook(narrow, SECRET, lost)
    await book.pool_for(Lane.TRANSACTIONAL, None)
    async with narrow.transaction() as connection:
        await ips.pause_ip(connection, "127.0.1.2", "new PTR", "ann")
        await administration.detach(connection, "main", "127.0.1.6")
    await asyncio.sleep(0.11)
    pool = await book.pool_for(Lane.TRANSACTIONAL, None)

    assert [(member.ip.address[-1], member.why) for member in pool.members] == [
        ("1", ""), ("2", "paused: new PTR"), ("3", "gone"), ("4", "gone"), ("5", "gone"),
    ]  # fmt: skip


async def test_a_pool_that_mail_names_is_looked_for_before_its_mail_goes_another_way(narrow: Database) -> None:
    """A reserved pool is made, and a moment later its first mail is there."""
    book = PoolBook(narrow, SECRET)
    assert (await book.pool_for(Lane.TRANSACTIONAL, None)).name == "main"
    async with narrow.transaction() as connection:
        await ensure_pool(connection, "asking", Lane.TRANSACTIONAL, IPS[:1])
        row = await (await connection.execute("SELECT id FROM pools WHERE name = 'asking'")).fetchone()
    assert row is not None
    assert (await book.pool_for(Lane.TRANSACTIONAL, row[0])).name == "asking"

    gone = uuid7()
    assert (await book.pool_for(Lane.TRANSACTIONAL, gone)).name == "main"
    known = book._latest
    assert (await book.pool_for(Lane.TRANSACTIONAL, gone)).name == "main"
    assert book._latest is known, "it is looked for once, not for each of its mails"
