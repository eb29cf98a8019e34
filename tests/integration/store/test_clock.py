"""The database's clock: shown without asking, whatever the machine says."""

from datetime import UTC, datetime, timedelta

from store.clock import DatabaseClock
from store.database import Database
from tests.chaos.lane import opened, pretend


async def test_time_is_the_databases(database_url: str) -> None:
    pretend(database_url, "now", "pg_catalog.now() + interval '1 hour'")
    async with opened(database_url) as database:
        clock = DatabaseClock(database)
        await clock.start()
        shown = clock.now()
        await clock.stop()
    assert abs(shown - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=5)
    assert shown.tzinfo is not None


async def test_before_the_first_answer_the_machine_must_do() -> None:
    clock = DatabaseClock(Database("postgresql://nobody@127.0.0.1:1/none"))
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
