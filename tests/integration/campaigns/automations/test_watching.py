"""An automation that does not do what it is for raises an alarm, which says why and ends when the automation works."""

import pytest

from alarms import repository as alarms
from campaigns.automations import repeating, watching
from campaigns.automations.model import Automation
from store.database import Database
from tests.integration.campaigns.automations.test_repeating import draft, due, rule
from tests.integration.campaigns.automations.world import CONFIRMED, World, mail, world_of
from tests.integration.messages.emails import execute, rows

BROKEN = '[{"key": "start", "type": "trigger", "config": {"event_name": "order.paid"}}, {"key": "x", "type": "dance"}]'


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def raised(world: World) -> list[tuple[str, str, str]]:
    """Subject, severity and detail of what is open now."""
    await watching.judge(world.database)
    async with world.database.connection() as connection:
        return [(one.subject, one.severity, one.detail) for one in await alarms.open_alarms(connection)]


async def unreadable(world: World, made: Automation) -> None:
    """As a newer version would write it."""
    await execute(
        world.database, "UPDATE automation_versions SET steps = %s WHERE automation_id = %s", [BROKEN, made.id]
    )


async def test_steps_that_cannot_be_read_hold_up_nobody_else(world: World) -> None:
    broken = await world.automation("order.paid", mail())
    works = await world.automation("order.paid", mail())
    ann = await world.person()
    await unreadable(world, broken)
    assert (await world.told("order.paid", {"plan": "pro"}, contact_id=ann.id)).runs == 1
    await world.turn()
    assert len(await world.mails()) == 1
    assert await rows(world.database, "SELECT automation_id FROM automation_runs") == [(works.id,)]

    ((subject, severity, detail),) = await raised(world)
    assert (subject, severity) == (f"Welcome {broken.id}", "critical")
    assert detail.startswith("its steps cannot be read, so nobody gets anything: steps[1].")
    await execute(world.database, "UPDATE automations SET state = 'disabled' WHERE id = %s", [broken.id])
    assert await raised(world) == []


async def test_a_rule_that_cannot_be_read_holds_up_no_other_and_is_told(world: World) -> None:
    source = (await draft(world)).id
    broken, works = await rule(world, source, minutes=30), await rule(world, source)
    await unreadable(world, broken)
    await repeating.make_due(world.database)

    assert await rows(world.database, "SELECT automation_id FROM automation_runs") == [(works.id,)]
    ((subject, severity, _),) = await raised(world)
    assert (subject, severity) == (f"Welcome {broken.id}", "critical")


async def test_a_rule_whose_day_failed_is_told_until_one_succeeds(world: World) -> None:
    source = (await draft(world)).id
    made = await rule(world, source)
    await execute(world.database, "UPDATE domains SET status = 'pending'")
    await repeating.make_due(world.database)
    ((_, severity, detail),) = await raised(world)
    assert severity == "warning" and detail.startswith("its last day failed: ")

    await execute(world.database, "UPDATE domains SET status = 'verified'")
    await execute(world.database, "UPDATE automation_runs SET entry = 'before'")
    await due(world, made, (await world.now(made)).created_at)
    await repeating.make_due(world.database)
    assert await rows(world.database, "SELECT state FROM automation_runs ORDER BY id DESC LIMIT 1") == [("completed",)]
    assert await raised(world) == []


async def test_a_rule_that_is_due_and_not_made_is_told(world: World) -> None:
    made = await rule(world, (await draft(world)).id, minutes=30)
    ((subject, _, detail),) = await raised(world)
    assert subject == f"Welcome {made.id}"
    assert detail.startswith("its rule was due on 20") and detail.endswith(" UTC, and nothing was made")
    await repeating.make_due(world.database)
    assert await raised(world) == []


async def test_mail_that_is_held_up_is_told_after_an_hour(world: World) -> None:
    await world.automation(CONFIRMED, mail())
    await world.person()
    await execute(world.database, "UPDATE domains SET status = 'failed'")
    await world.turn()
    assert await raised(world) == []
    await world.later("2 hours")
    await world.turn()
    ((_, _, detail),) = await raised(world)
    assert detail == (
        "mail of 1 run has been held up for an hour: the domain acme.example is not verified: its status is failed"
    )

    await execute(world.database, "UPDATE domains SET status = 'verified'")
    await world.later("1 hour")
    await world.turn()
    assert await raised(world) == []


async def test_runs_that_keep_failing_are_told(world: World) -> None:
    await world.automation("order.paid", mail(subject="{{ first_name.what }}"))
    for n in range(watching.LEAST):
        assert await raised(world) == []
        await world.told("order.paid", {"plan": "pro"}, email=f"u{n}@one.example")
        await execute(world.database, "UPDATE contacts SET status = 'confirmed'")
        await world.turn()
    ((_, _, detail),) = await raised(world)
    assert detail.startswith(f"{watching.LEAST} of its latest {watching.LEAST} runs failed, such as: ")

    await execute(world.database, "UPDATE automation_runs SET ended_at = now() - interval '2 days'")
    assert await raised(world) == []
