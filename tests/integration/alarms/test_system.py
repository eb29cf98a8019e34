"""How the installation stands, on tables of this version and of others."""

import pytest

from alarms.system import system
from core.ids import uuid7
from core.queues import Lane
from core.settings import Settings
from store import heartbeats, revisions
from store.database import Database
from tests.integration.messages.emails import execute

OLD = "UPDATE alembic_version SET version_num = '0044'"


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    """Of a process that looks."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        database_url=database_url,
        redis_url=redis_url,
    )


@pytest.mark.parametrize(
    ("change", "lanes"),
    [
        ("DROP TABLE heartbeats", list(Lane)),
        ("ALTER TABLE heartbeats DROP COLUMN left_at", list(Lane)),
        ("DROP TABLE delivery_queue", []),
    ],
)
async def test_old_tables_are_said_and_what_they_tell_is_told(
    database: Database, settings: Settings, change: str, lanes: list[Lane]
) -> None:
    await execute(database, change)
    await execute(database, OLD)

    found = await system(database, settings)

    assert (found.processes, [one.lane for one in found.queues]) == ([], lanes)
    assert all(one.version and not one.trouble for one in found.servers)
    assert found.sentence == (
        f"Not everything runs: the tables are at 0044, this version needs {revisions.newest()}: `postlane migrate`."
    )


async def test_newer_tables_are_said_and_are_no_trouble(database: Database, settings: Settings) -> None:
    await execute(database, "UPDATE alembic_version SET version_num = '9999'")
    async with database.connection() as connection:
        await heartbeats.beat(
            connection,
            {"id": uuid7(), "name": "api", "host": "a", "pid": 1, "version": "0.0.9", "trouble": ""},
        )

    found = await system(database, settings)

    assert (found.outdated, found.troubles) == (False, [])
    assert found.sentence == (
        "1 process runs, and every server answers. The tables are at 9999, and this version knows"
        f" {revisions.newest()}: a newer version has migrated them. This one works on beside it; upgrade it next."
    )


async def test_a_database_without_any_tables_is_said(database: Database, settings: Settings) -> None:
    await execute(database, "DROP TABLE alembic_version")

    found = await system(database, settings)

    assert found.troubles[0].startswith("the tables are at none, this version needs")
