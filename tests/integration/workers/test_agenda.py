"""The duties of the background worker are done as soon as there is something to do, and not while there is nothing: by
conditions that are asked about in one statement."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audience.importing import imports
from store.database import Connection, Database
from tests.integration.campaigns.world import SIMULATED, World, world_test
from workers import background
from workers.background import Background
from workers.duties import Agenda, Duty, do_all

pytestmark = pytest.mark.timeout(60)

GATED = [duty for duty in background.DUTIES if duty.waits]
FILLED = {"uuid": "gen_random_uuid()", "timestamp with time zone": "now()", "jsonb": "'{}'", "text": "'x'"}
NOT_NULL = """
SELECT column_name, data_type FROM information_schema.columns
 WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
   AND is_generated = 'NEVER'
"""


async def attended(connection: Connection) -> set[str]:
    """Duties that have something to do, as this transaction sees it."""
    row = await (await connection.execute(f"SELECT {', '.join(duty.waits for duty in GATED)}")).fetchone()
    assert row is not None
    return {duty.name for duty, waits in zip(GATED, row, strict=True) if waits}


async def put(connection: Connection, table: str, **given: str) -> None:
    """A row, with something in what has to be there."""
    needed = {
        name: FILLED.get(kind, "0") for name, kind in await (await connection.execute(NOT_NULL, [table])).fetchall()
    }
    values = needed | given
    await connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})")


@pytest.mark.parametrize(
    ("table", "given", "expected"),
    [
        ("campaign_news", {"kind": "'delivered'"}, {"what became of campaigns' mail"}),
        ("confirmed_contacts", {}, {"automations"}),
        ("count_deltas", {}, {"figures"}),
        ("automation_runs", {"state": "'running'", "due_at": "now()"}, {"automations"}),
        ("automation_runs", {"state": "'completed'", "ended_at": "now()"}, set()),
        ("automations", {"state": "'enabled'", "next_at": "now()"}, {"campaigns of rules"}),
        ("automations", {"state": "'enabled'", "next_at": "now() + interval '1 s'"}, set()),
        ("simulated_complaints", {}, {"complaints of simulated recipients"}),
        ("simulated_complaints", {"due_at": "now() + interval '1 s'"}, set()),
        ("breakers", {"lane": "'marketing'", "until": "now()"}, {"mail of streams that go on"}),
        ("breakers", {"lane": "'marketing'", "until": "now() + interval '1 s'"}, set()),
        ("contact_imports", {"status": "'queued'"}, {"lists of contacts"}),
        ("contact_imports", {"status": "'queued'", "completed_at": "now()"}, set()),
        ("confirmations", {"next_mail": "'confirm'", "mail_at": "now()"}, {"mail of sign-ups"}),
        ("confirmations", {"next_mail": "'confirm'", "mail_at": "now() + interval '1 s'"}, set()),
        ("halted_campaigns", {}, {"mail of campaigns that go on", "campaigns that end"}),
        ("campaigns", {"state": "'scheduled'"}, {"campaigns that begin"}),
        ("campaigns", {"state": "'cancelled'"}, {"campaigns that end"}),
        ("campaigns", {"state": "'paused'"}, set()),
    ],
)
async def test_a_row_that_waits_calls_its_duties(
    database: Database, table: str, given: dict[str, str], expected: set[str]
) -> None:
    async with database.connection() as connection, connection.transaction(force_rollback=True):
        assert await attended(connection) == set()
        await put(connection, table, **given)
        assert await attended(connection) == expected


async def test_an_event_that_waits_calls_the_webhooks_until_somebody_serves_its_endpoint(database: Database) -> None:
    async with database.connection() as connection, connection.transaction(force_rollback=True):
        await put(
            connection, "webhook_endpoints", id="gen_random_uuid()", status="'enabled'", url="'https://x.example'"
        )
        assert await attended(connection) == set()
        row = await (await connection.execute("SELECT id FROM webhook_endpoints")).fetchone()
        assert row is not None
        await put(connection, "webhook_events", endpoint_id=f"'{row[0]}'", state="'pending'", due_at="now()")
        assert await attended(connection) == {"webhooks"}
        await connection.execute("UPDATE webhook_endpoints SET rest_until = now() + interval '1 s'")
        assert await attended(connection) == set()


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


async def test_a_campaign_goes_its_whole_way_by_the_duties_that_have_something_to_do(world: World) -> None:
    for n in range(3):
        await world.person(f"p{n}@one.example")
    tools = SimpleNamespace(
        reports=SimpleNamespace(database=world.database),
        settings=SimpleNamespace(sandbox_domain=SIMULATED),
        hints=SimpleNamespace(hint=lambda *_: None),
    )
    campaign = await world.draft()
    async with world.database.connection() as connection:
        assert not await attended(connection)
        await world.do("start", campaign)
        for _ in range(6):
            names = await attended(connection)
            for duty in GATED:
                if duty.name in names:
                    await duty.do(cast(Background, tools))
            await world.deliver()
        assert await world.state(campaign) == "finished"
        assert not await attended(connection)
    assert set((await world.states(campaign)).values()) == {"delivered"}


async def test_duties_of_one_moment_ask_once_and_the_one_with_something_to_do_is_done(database: Database) -> None:
    asked: list[str] = []

    class Counted(Agenda):
        async def _ask(self, none: None) -> Any:
            asked.append("")
            return await super()._ask(none)

    done: list[str] = []

    def noting(name: str, waits: str) -> Duty[None]:
        async def do(_: None) -> None:
            done.append(name)

        return Duty(name, 0.25, do, waits=waits)

    table = [noting("never", "false"), noting("always", "true"), *(noting(f"{n}", "1 > 2") for n in range(5))]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.6):
            await do_all(table, None, Counted(database, table))
    assert done.count("never") == 1, "at first, whatever it says"
    assert 4 <= done.count("always") <= 8
    assert len(asked) <= done.count("always") + 2


async def done_within(database: Database, seconds: float, conditions: dict[str, str]) -> list[str]:
    """What was done of duties with these conditions, by name, but for the first time."""
    done: list[str] = []

    def noting(name: str, waits: str) -> Duty[None]:
        async def do(_: None) -> None:
            done.append(name)

        return Duty(name, 0.25, do, waits=waits)

    table = [noting(*one) for one in conditions.items()]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await do_all(table, None, Agenda(database, table))
    return done[len(table) :]


async def test_a_table_that_somebody_locks_stops_no_duty_of_another(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("LOCK TABLE contact_imports IN ACCESS EXCLUSIVE MODE")
        done = await done_within(database, 4.0, {"locked": imports.OPEN, "free": "true"})
    assert done.count("free") >= 2


async def test_a_condition_that_cannot_be_asked_stops_no_duty_of_another(database: Database) -> None:
    done = await done_within(database, 1.5, {"wrong": "EXISTS (SELECT FROM nothing_of_that_name)", "free": "true"})
    assert done.count("free") >= 3
