"""The table of response times: several processes, restarts, a database that was away, what is forgotten."""

from datetime import timedelta

import pytest

from core.objectives import READ, SEND
from store import route_times
from store.database import Database, DatabaseUnavailableError
from store.route_times import Answered, Route, Spent, Times, TimesWriter
from tests.integration.messages.emails import execute

DAY = timedelta(days=1)
SENDING, READING = Route("api", "POST", "/emails", "send"), Route("api", "GET", "/emails/{email_id}", "read")


async def _serve(database: Database, seconds: float, many: int) -> None:
    """A process from its start to its end."""
    times = Times("api")
    writer = TimesWriter(database, times)
    await writer.start()
    for _ in range(many):
        times.of("POST", "/emails", SEND).note(seconds, failed=False)
    times.of("GET", "/emails/{email_id}", READ).note(0.002, failed=True)
    await writer.stop()


async def _answered(database: Database, since: timedelta = DAY) -> dict[Route, Answered]:
    async with database.connection() as connection:
        return {one.route: one for one in await route_times.answered(connection, since)}


async def test_what_several_processes_counted_is_added_up(database: Database) -> None:
    await _serve(database, 0.004, 98)
    await _serve(database, 0.4, 2)  # another one, or the same after a restart
    found = await _answered(database)
    assert list(found) == [SENDING, READING]
    assert found[SENDING] == Answered(SENDING, 100, 0, 2, 0.0038, 0.0049, 0.375)
    assert (found[READING].answers, found[READING].failed, found[READING].missed) == (2, 2, 2)
    async with database.connection() as connection:
        assert sorted(await route_times.spent(connection), key=lambda one: one.kind) == [
            Spent("read", 2, 2), Spent("send", 100, 2),
        ]  # fmt: skip
        ((_, sending), (_, reading)) = await route_times.ever(connection)
    assert (sending.answers, sending.missed, round(sending.seconds, 3)) == (100, 2, 1.192)
    assert reading.failed == 2


async def test_old_hours_are_forgotten_and_the_sum_of_all_is_not(database: Database) -> None:
    await _serve(database, 0.004, 1)
    await execute(database, "UPDATE route_times SET hour = now() - interval '32 days' WHERE hour > 'epoch'")
    await _serve(database, 0.004, 2)
    async with database.transaction() as connection:
        await route_times.forget(connection)
    assert (await _answered(database, timedelta(days=90)))[SENDING].answers == 2
    async with database.connection() as connection:
        assert {key: one.answers for key, one in await route_times.ever(connection)}[SENDING] == 3


async def test_what_could_not_be_written_waits(database: Database) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", 1, "test")
    await away.open()
    times = Times("api")
    times.of("POST", "/emails", SEND).note(0.004, failed=True)
    try:
        with pytest.raises(DatabaseUnavailableError):
            await TimesWriter(away, times).flush()
    finally:
        await away.close()
    await TimesWriter(database, times).flush()
    assert (await _answered(database))[SENDING].failed == 1
