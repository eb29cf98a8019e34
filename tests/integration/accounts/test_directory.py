"""The look-ups of every request: right, remembered for five seconds, and closed when PostgreSQL is away."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from accounts import directory as module
from accounts import repository
from accounts.directory import KEEP_SECONDS, USE_SECONDS, Caller, Directory, SenderDomain
from accounts.repository import ApiKey, Application, KeyRequest
from core.queues import Lane
from store.database import Connection, Database, DatabaseUnavailableError


class Ticks:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched(Database):
    """The real database, with a count of connections taken and a switch that pulls the plug."""

    def __init__(self, url: str) -> None:
        super().__init__(url, size=4, name="postlane-test")
        self.taken = 0
        self.away = False
        self.hold: asyncio.Event | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if self.away:
            raise DatabaseUnavailableError("away")
        self.taken += 1
        if self.hold is not None:
            await self.hold.wait()
        async with super().connection() as connection:
            yield connection


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[Watched]:
    pool = Watched(database_url)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def directory(watched: Watched, ticks: Ticks) -> AsyncIterator[Directory]:
    made = Directory(watched, ticks)
    yield made
    await made.settle()


async def new_key(database: Database, owner: Application) -> tuple[ApiKey, str]:
    async with database.connection() as connection:
        return await repository.create_key(connection, KeyRequest(owner.id, "web"))


async def last_used(database: Database, key: ApiKey) -> object:
    async with database.connection() as connection:
        return (await repository.keys(connection, key.application_id)).entries[0].last_used_at


async def test_a_key_is_recognised_and_another_is_not(
    directory: Directory, database: Database, shop: Application
) -> None:
    key, token = await new_key(database, shop)
    assert await directory.caller(token) == Caller(shop.id, key.id, "full_access", None)
    for wrong in ("", token[:-1], token + "x", token.upper(), "pl_" + "x" * 43, "é\ud800", "x" * 10_000):
        assert await directory.caller(wrong) is None


async def test_domain_and_pool_are_found_by_name(directory: Directory, database: Database, shop: Application) -> None:
    domain_id, pool_id = uuid.uuid4(), uuid.uuid4()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
            " VALUES (%s, %s, 'shop.test', 'bounce.shop.test', 'verified')",
            [domain_id, shop.id],
        )
        await connection.execute("INSERT INTO pools (id, name, lane) VALUES (%s, 'news', 'marketing')", [pool_id])
    assert await directory.sender_domain(shop.id, "shop.test") == SenderDomain(domain_id, "shop.test", "verified")
    assert await directory.sender_domain(shop.id, "mail.shop.test") is None
    assert await directory.sender_domain(uuid.uuid4(), "shop.test") is None
    assert await directory.pool_id("news") == (pool_id, Lane.MARKETING)
    assert await directory.pool_id("News") is None


async def test_answers_are_believed_for_five_seconds_also_wrong_ones(
    directory: Directory, watched: Watched, database: Database, shop: Application, ticks: Ticks
) -> None:
    _, token = await new_key(database, shop)
    assert await directory.caller(token) is not None
    assert await directory.caller("pl_wrong") is None
    await directory.settle()
    taken = watched.taken
    ticks.now += KEEP_SECONDS - 0.01
    assert await directory.caller(token) is not None
    assert await directory.caller("pl_wrong") is None
    assert watched.taken == taken
    ticks.now += 0.02
    assert await directory.caller(token) is not None
    assert await directory.caller("pl_wrong") is None
    assert watched.taken == taken + 2


async def test_a_deleted_key_ends_within_five_seconds_or_at_once_with_forget(
    directory: Directory, database: Database, shop: Application, ticks: Ticks
) -> None:
    key, token = await new_key(database, shop)
    other, second = await new_key(database, shop)
    assert await directory.caller(token) is not None
    assert await directory.caller(second) is not None
    async with database.connection() as connection:
        await repository.delete_key(connection, shop.id, key.id)
    ticks.now += KEEP_SECONDS
    assert await directory.caller(token) is None
    assert await directory.caller(second) is not None
    async with database.connection() as connection:
        await repository.delete_key(connection, shop.id, other.id)
    directory.forget()
    assert await directory.caller(second) is None


async def test_without_postgresql_known_answers_hold_and_expired_ones_raise(
    directory: Directory, watched: Watched, database: Database, shop: Application, ticks: Ticks
) -> None:
    _, token = await new_key(database, shop)
    assert await directory.caller(token) is not None
    await directory.settle()
    watched.away = True
    assert await directory.caller(token) is not None
    with pytest.raises(DatabaseUnavailableError):
        await directory.caller("pl_never_seen")
    ticks.now += KEEP_SECONDS
    with pytest.raises(DatabaseUnavailableError):
        await directory.caller(token)
    watched.away = False
    assert await directory.caller(token) is not None


async def test_a_crowd_asks_once(directory: Directory, watched: Watched, database: Database, shop: Application) -> None:
    _, token = await new_key(database, shop)
    callers = await asyncio.gather(*(directory.caller(token) for _ in range(100)))
    await directory.settle()
    assert len({caller.key_id for caller in callers if caller}) == 1
    assert watched.taken == 2, "one for the question, one for the time of use"


async def test_one_who_leaves_does_not_take_the_answer_from_the_others(
    directory: Directory, watched: Watched, database: Database, shop: Application
) -> None:
    _, token = await new_key(database, shop)
    watched.hold = asyncio.Event()
    first, second = (asyncio.create_task(directory.caller(token)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    watched.hold.set()
    assert await second is not None
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_answer_asked_for_before_forget_is_not_believed_after_it(
    directory: Directory, watched: Watched, database: Database, shop: Application
) -> None:
    key, token = await new_key(database, shop)
    watched.hold = asyncio.Event()
    early = asyncio.create_task(directory.caller(token))
    await asyncio.sleep(0.01)
    directory.forget()
    watched.hold.set()
    assert await early is not None
    async with database.connection() as connection:
        await repository.delete_key(connection, shop.id, key.id)
    assert await directory.caller(token) is None


async def test_the_last_use_is_written_once_a_minute(
    directory: Directory, database: Database, shop: Application, ticks: Ticks
) -> None:
    key, token = await new_key(database, shop)
    assert await last_used(database, key) is None
    await directory.caller(token)
    await directory.settle()
    first = await last_used(database, key)
    assert first is not None
    async with database.connection() as connection:
        await connection.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '50 seconds'")
    ticks.now += USE_SECONDS
    await directory.caller(token)
    await directory.settle()
    assert await last_used(database, key) == first - timedelta(seconds=50), "another process wrote it"  # type: ignore[operator]
    async with database.connection() as connection:
        await connection.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '50 seconds'")
    ticks.now += USE_SECONDS - 1
    await directory.caller(token)
    await directory.settle()
    assert await last_used(database, key) == first - timedelta(seconds=100)  # type: ignore[operator]
    ticks.now += 1
    await directory.caller(token)
    await directory.settle()
    assert await last_used(database, key) > first - timedelta(seconds=1)  # type: ignore[operator]


async def test_a_use_that_cannot_be_written_harms_nobody(
    directory: Directory, watched: Watched, database: Database, shop: Application
) -> None:
    key, token = await new_key(database, shop)
    assert await directory.caller(token) is not None
    watched.away = True
    await directory.settle()
    watched.away = False
    assert await directory.caller(token) is not None
    await directory.settle()
    assert await last_used(database, key) is not None


async def test_wrong_keys_cannot_push_out_right_ones(
    watched: Watched, database: Database, shop: Application, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    directory = Directory(watched, ticks)
    _, token = await new_key(database, shop)
    assert await directory.caller(token) is not None
    for n in range(30):
        assert await directory.caller(f"pl_wrong{n}") is None
    await directory.settle()
    taken = watched.taken
    assert await directory.caller(token) is not None
    assert await directory.caller("pl_wrong29") is None
    assert watched.taken == taken
    assert await directory.caller("pl_wrong0") is None
    assert watched.taken == taken + 1, "the oldest miss was dropped"
