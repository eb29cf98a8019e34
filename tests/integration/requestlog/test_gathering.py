"""Requests on their way into the log: how many are kept, what stands for the rest, what happens without a database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from core.paging import Window
from requestlog import gathering, repository
from requestlog.gathering import DROPPED, Gatherer, Rates
from requestlog.repository import Logged, LoggedDetail, Wanted
from store.database import Connection, Database, DatabaseUnavailableError
from tests.integration.requestlog.requests import asked

SHOP, OTHER = UUID(int=1), UUID(int=2)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def kept(database: Database, wanted: Wanted = Wanted()) -> list[Logged]:  # noqa: B008  # frozen
    async with database.connection() as connection:
        return list((await repository.page(connection, wanted, Window())).entries)


def ask(gatherer: Gatherer, count: int, status: int = 200, application: UUID = SHOP) -> None:
    for _ in range(count):
        if gatherer.wants(application, failed=status >= 400):
            gatherer.put(asked(application, status=status))


async def test_those_that_are_kept_stand_for_those_that_are_not(database: Database) -> None:
    clock = Clock()
    gatherer = Gatherer(database, Rates(2, 3), clock)

    ask(gatherer, 7)
    ask(gatherer, 5, status=422)
    ask(gatherer, 1, application=OTHER)
    await gatherer.flush()
    ask(gatherer, 4)  # the same second: these are only counted
    clock.now += 1
    ask(gatherer, 1)
    await gatherer.flush()

    rows = await kept(database)
    assert sorted((one.application_id.int, one.status, one.stands_for) for one in rows) == [
        (1, 200, 1), (1, 200, 5), (1, 200, 6), (1, 422, 1), (1, 422, 1), (1, 422, 3), (2, 200, 1),
    ]  # fmt: skip
    async with database.connection() as connection:
        assert await repository.figures(connection, (SHOP,), datetime.now(UTC)) == repository.Figures(17, 5)
        assert await repository.figures(connection, (), datetime.now(UTC)) == repository.Figures(18, 5)


async def test_what_a_request_was_is_found_again(database: Database) -> None:
    gatherer = Gatherer(database, Rates(10))
    gatherer.put(asked(SHOP, status=422, request=b'{"to":"anna@example.com","stream":"marketing"}'))
    gatherer.put(asked(SHOP))
    await gatherer.flush()

    (failed,) = await kept(database, Wanted((SHOP,), status="failed", method="POST", path="/em"))
    assert (failed.error, failed.user_agent, failed.milliseconds) == ("validation_error", "curl/8", 12.5)
    assert await kept(database, Wanted(status="5xx")) == []
    assert await kept(database, Wanted((OTHER,))) == []
    assert await kept(database, Wanted((SHOP, OTHER), test=True)) == []
    assert len(await kept(database, Wanted((SHOP, OTHER), until=datetime.now(UTC) + timedelta(hours=1)))) == 2
    async with database.connection() as connection:
        found = await repository.find(connection, Wanted((SHOP,)), failed.id)
        assert await repository.find(connection, Wanted((OTHER,)), failed.id) is None
        assert [one.id for one in await repository.between(connection, Wanted(), failed.id, failed.id, 2)] == [
            failed.id
        ]
    assert found == LoggedDetail(
        failed,
        '{"to":"(16 characters)","stream":"marketing"}',
        '{"statusCode":422,"name":"validation_error","message":"<script>no"}',
    )


async def test_figures_of_a_busy_hour_say_since_when_they_are(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "COUNTED", 2)
    gatherer = Gatherer(database, Rates(10))
    rows = [asked(SHOP, at=datetime.now(UTC) - timedelta(minutes=n)) for n in (30, 20, 10)]
    for one in rows:
        gatherer.put(one)
    await gatherer.flush()
    async with database.connection() as connection:
        found = await repository.figures(connection, (SHOP,), datetime.now(UTC))
    assert found == repository.Figures(2, 0, rows[1].at)


async def test_without_a_database_what_fits_is_held_and_the_rest_is_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "HELD", 3)
    gone = _Gone(database)
    gatherer = Gatherer(gone, Rates(2), Clock())  # type: ignore[arg-type]  # a twin of it
    before = DROPPED._value.get()
    for _ in range(5):
        gatherer.wants(SHOP, failed=False)
        gatherer.put(asked(SHOP))
    with pytest.raises(DatabaseUnavailableError):
        await gatherer.flush()
    assert DROPPED._value.get() - before == 2

    gone.away = False
    await gatherer.flush()
    assert sorted(one.stands_for for one in await kept(database)) == [1, 1, 4]
    assert gatherer._bytes == 0


async def test_bodies_that_wait_take_no_more_memory_than_they_may(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "HELD_BYTES", 2000)
    gatherer = Gatherer(database, Rates(10))
    for _ in range(5):
        gatherer.put(asked(SHOP, request=b"x" * 900, response=b""))
    await gatherer.flush()
    assert len(await kept(database)) == 2


async def test_it_writes_by_itself_and_what_is_left_at_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "GATHER_SECONDS", 30.0)
    gatherer = Gatherer(database, Rates(10))
    await gatherer.start()
    gatherer.put(asked(SHOP))
    await gatherer.stop()
    assert len(await kept(database)) == 1


@pytest.mark.parametrize("cut_off", [DatabaseUnavailableError("gone"), asyncio.CancelledError()])
async def test_a_commit_that_was_cut_off_leaves_no_request_twice(database: Database, cut_off: BaseException) -> None:
    gatherer = Gatherer(twin := _Gone(database), Rates(2), Clock())  # type: ignore[arg-type]  # a twin of it
    ask(gatherer, 3)
    twin.away, twin.cut_off = False, cut_off
    with pytest.raises(type(cut_off)):
        await gatherer.flush()
    assert len(await kept(database)) == 2, "it was written, and nobody knows"
    gatherer.put(asked(SHOP))
    twin.cut_off = None
    await gatherer.stop()
    assert sorted(one.stands_for for one in await kept(database)) == [1, 1, 2]


async def test_old_requests_are_forgotten(database: Database) -> None:
    gatherer = Gatherer(database, Rates(10))
    gatherer.put(asked(SHOP))
    await gatherer.flush()
    now = datetime.now(UTC)

    await repository.forget(database, now, 7)
    assert len(await kept(database)) == 1
    await repository.forget(database, now + timedelta(days=7, minutes=1), 7)
    assert await kept(database) == []


class _Gone:
    """A database that is away until it is back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = True
        self.cut_off: BaseException | None = None
        """What comes of a commit that was done."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        if self.away:
            raise DatabaseUnavailableError("it does not answer")
        async with self._database.transaction() as connection:
            yield connection
        if self.cut_off is not None:
            raise self.cut_off
