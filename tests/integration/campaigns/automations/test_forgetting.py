"""What of automations goes with a person, with an application, and with time."""

import asyncio

import pytest

from audience import contacts
from audience.choices import Person
from campaigns import erasing
from campaigns.automations import events, forgetting, letters
from campaigns.automations.events import Happened
from outcomes import exporting
from store.database import Database
from tests.integration.campaigns.automations.world import ACT, World, delay, mail, world_of
from tests.integration.messages.emails import APPLICATION, execute, rows

ANN = "ann@one.example"


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def test_an_erased_person_is_in_no_run_and_in_no_event_and_an_export_tells_both(world: World) -> None:
    await world.automation("order.paid", mail(), delay("1 day"), mail())
    ann, bob = await world.person(first_name="Ann"), await world.person("bob@one.example")
    for contact in (ann, bob):
        await world.told("order.paid", {"plan": f"plan of {contact.email}"}, contact_id=contact.id)
    await world.turn()
    async with world.database.connection() as connection:
        held = await exporting.export(connection, ann.person)
    assert [(one.name, one.payload) for one in held.told] == [("order.paid", {"plan": f"plan of {ANN}"})]
    assert [(one.automation, one.state) for one in held.entered] == [("Welcome", "running")]
    async with world.database.transaction() as connection:
        await erasing.erase(connection, ann.person, ACT)
    await world.later("1 day")
    await world.turn()

    for table in ("automation_runs", "application_events"):
        assert await rows(world.database, f"SELECT contact_id FROM {table}") == [(bob.id,)]
    assert await rows(world.database, "SELECT count(*) FROM automation_steps") == [(2,)]
    texts = await rows(world.database, "SELECT coalesce(string_agg(html, ' '), '') FROM contents")
    assert f"plan of {ANN}" not in texts[0][0]


async def test_an_event_and_an_erasure_at_one_time_leave_no_event(world: World) -> None:
    await world.automation("order.paid", mail())
    ann = await world.person()
    async with world.database.transaction() as connection:
        happened = Happened("order.paid", ann.id, "", {"plan": "x"})
        await events.tell(connection, APPLICATION, happened, ACT)
        erasure = asyncio.create_task(_erase(world, ann.person))
        await waits_for_a_lock(world)
    await erasure

    assert await rows(world.database, "SELECT * FROM automation_runs") == []
    assert await rows(world.database, "SELECT * FROM application_events") == []


async def _erase(world: World, person: Person) -> None:
    async with world.database.transaction() as connection:
        await erasing.erase(connection, person, ACT)


async def waits_for_a_lock(world: World) -> None:
    """Until somebody in this database waits for another transaction."""
    asked = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(20):
        while not await rows(world.database, asked):
            await asyncio.sleep(0.02)


async def test_who_was_deleted_gets_no_more(world: World) -> None:
    await world.automation("order.paid", mail(), delay("1 day"), mail())
    ann = await world.person()
    await world.told("order.paid", {"plan": "x"}, contact_id=ann.id)
    await world.turn()
    async with world.database.transaction() as connection:
        await contacts.delete(connection, APPLICATION, ann.id, ACT)
    await forgetting.forget_gone(world.database)

    assert await world.runs() == [("cancelled", 2, letters.GONE)]
    assert await rows(world.database, "SELECT * FROM application_events") == []


async def test_what_is_over_is_forgotten_with_time_but_not_that_somebody_was_welcomed(world: World) -> None:
    await world.automation()
    await world.automation("order.paid", mail())
    await world.automation("order.paid", delay("100 days"), mail())
    ann = await world.person()
    await world.told("order.paid", contact_id=ann.id)
    await world.turn()
    await execute(
        world.database, "UPDATE automation_runs SET ended_at = now() - interval '91 days' WHERE ended_at < now()"
    )
    await forgetting.forget_old(world.database, 90)

    found = await rows(world.database, "SELECT state, entry = 'confirmed' FROM automation_runs ORDER BY id")
    assert sorted(found) == [("completed", True), ("running", False)]
    assert len(await rows(world.database, "SELECT * FROM application_events")) == 1


async def test_an_application_that_leaves_takes_its_automations_along(world: World) -> None:
    await world.automation("order.paid", delay("1 day"), mail())
    await world.told("order.paid", email=ANN)
    async with world.database.transaction() as connection:
        await events.define(connection, APPLICATION, "order.paid", None)
        await forgetting.stop_all(connection, APPLICATION)
        await forgetting.forget_application(connection, APPLICATION)
    await execute(world.database, "DELETE FROM applications")
    await forgetting.forget_gone(world.database)

    for table in ("automations", "automation_versions", "automation_runs", "application_events", "event_definitions"):
        assert await rows(world.database, f"SELECT * FROM {table}") == [], table
