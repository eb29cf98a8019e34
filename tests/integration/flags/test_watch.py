"""The switches of a process: as the table has them within two seconds, and as they were while PostgreSQL is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from flags import asking, service, watch
from flags.declared import AUTOMATIONS, TRACKING
from flags.service import Change
from flags.watch import FlagWatch
from store.database import Connection, Database, DatabaseUnavailableError
from tests.integration.messages.emails import APPLICATION, execute

MAIL = UUID("019ac0de-0000-7000-8000-0000000000aa")


class Away(Database):
    """A database that can be away."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self.away = False
        self.asked = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailableError("it was killed")
        async with self._real.connection() as connection:
            yield connection


@pytest.fixture
async def away(database: Database) -> AsyncIterator[Away]:
    asking.hold({}, None)
    yield Away(database)
    asking.hold({}, None)


async def _until(condition: Callable[[], bool]) -> float:
    """The seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - started


async def _switch(database: Database, name: str, change: Change) -> None:
    async with database.transaction() as connection:
        await service.switch(connection, name, change, "ann")


async def test_a_switch_is_in_force_within_two_seconds_of_its_commit(away: Away, database: Database) -> None:
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'acme')", [APPLICATION])
    watched = FlagWatch(away)
    await watched.start()
    assert asking.as_of() is not None, "it has read before it goes on"
    assert TRACKING.on(APPLICATION, MAIL)

    await _switch(database, "tracking", Change(0, reason="ticket 7"))
    assert await _until(lambda: not TRACKING.on(APPLICATION, MAIL)) < service.IN_FORCE_SECONDS
    assert watch.IN_FORCE.labels("tracking")._value.get() == 0
    assert watch.IN_FORCE.labels("automations")._value.get() == 100
    await _switch(database, "tracking", Change(100, APPLICATION))
    assert await _until(lambda: TRACKING.on(APPLICATION, MAIL)) < service.IN_FORCE_SECONDS
    assert not TRACKING.on(MAIL, MAIL)
    await _switch(database, "tracking", Change(None))
    assert await _until(lambda: TRACKING.on(MAIL, MAIL)) < service.IN_FORCE_SECONDS
    await watched.stop()


async def test_while_postgresql_is_away_the_last_switch_holds(away: Away, database: Database) -> None:
    await _switch(database, "automations", Change(0))
    watched = FlagWatch(away, 0.01)
    await watched.start()
    assert not AUTOMATIONS.on(APPLICATION)

    away.away = True
    known, asked = asking.as_of(), away.asked
    await _until(lambda: away.asked > asked + 3)
    stopped_at = asking.as_of()
    assert known is not None
    assert stopped_at is not None
    assert not AUTOMATIONS.on(APPLICATION)
    await _switch(database, "automations", Change(None))
    await _until(lambda: away.asked > asked + 6)
    assert (AUTOMATIONS.on(APPLICATION), asking.as_of()) == (False, stopped_at)

    away.away = False
    await _until(lambda: AUTOMATIONS.on(APPLICATION))
    assert (datetime.now(UTC) - (asking.as_of() or datetime.min.replace(tzinfo=UTC))).total_seconds() < 5
    await watched.stop()
    assert AUTOMATIONS.on(APPLICATION)


async def test_a_start_without_postgresql_goes_by_what_is_declared(
    away: Away, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_START_SECONDS", 0.05)
    await _switch(database, "tracking", Change(0))
    away.away = True
    watched = FlagWatch(away, 0.01)
    await watched.start()
    assert (TRACKING.on(APPLICATION, MAIL), asking.as_of()) == (True, None)

    away.away = False
    await _until(lambda: not TRACKING.on(APPLICATION, MAIL))
    await watched.stop()
    assert not TRACKING.on(APPLICATION, MAIL), "it holds on to the end"
