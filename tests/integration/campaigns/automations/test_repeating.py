"""Campaigns that repeat by a rule: one for each day, none for days that passed unseen, none onto one that stands."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from campaigns import repository as campaigns
from campaigns import steering, work
from campaigns.automations import repeating, watching
from campaigns.automations.model import Automation
from campaigns.model import Campaign, Draft, Words
from core.ids import uuid7
from core.refusal import Refused
from flags.asking import OFF, Switch
from flags.declared import AUTOMATIONS
from store.database import Database
from tests.integration.campaigns.automations.world import SENDER, World, world_of
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.switches import switched

SCHEDULE = "postlane:schedule"


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def draft(world: World) -> Campaign:
    """What is copied."""
    segment = uuid7()
    await execute(
        world.database,
        "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'all')",
        [segment, APPLICATION],
    )
    async with world.database.transaction() as connection:
        words = Words(SENDER, "News", html="<p>News</p>")
        return await steering.create(connection, APPLICATION, Draft(words, "Weekly", segment))


async def rule(world: World, broadcast: UUID, text: str = "FREQ=DAILY", **start: Any) -> Automation:
    """One that has been due since its start."""
    sends = {"type": "send_broadcast", "config": {"broadcast_id": str(broadcast)}}
    begins = datetime.now(UTC).replace(tzinfo=None) - timedelta(**(start or {"minutes": 5}))
    made = await world.automation(SCHEDULE, sends, rrule=text, start=begins.isoformat())
    await due(world, made, begins)
    return made


async def due(world: World, made: Automation, at: datetime) -> None:
    """As if it had been enabled before."""
    moment = at.replace(tzinfo=UTC, microsecond=0)
    await execute(world.database, "UPDATE automations SET next_at = %s WHERE id = %s", [moment, made.id])


async def made_of(world: World) -> list[tuple[str, str]]:
    """Name and state of the copies, oldest first."""
    return await rows(world.database, "SELECT name, state FROM campaigns WHERE name <> 'Weekly' ORDER BY id")


async def test_a_day_makes_one_campaign_whoever_looks(world: World) -> None:
    made = await rule(world, (await draft(world)).id)
    await asyncio.gather(*(repeating.make_due(world.database) for _ in range(3)))
    await repeating.make_due(world.database)
    await work.begin(world.database)

    ((name, state),) = await made_of(world)
    assert name.startswith("Weekly 20") and state == "sending"
    next_at = (await world.now(made)).next_at
    assert next_at is not None and next_at > datetime.now(UTC)
    assert await world.runs() == [("completed", 1, None)]


async def test_the_same_day_is_not_made_again_after_it_was_put_back(world: World) -> None:
    made = await rule(world, (await draft(world)).id)
    await repeating.make_due(world.database)
    await execute(world.database, "UPDATE campaigns SET state = 'finished' WHERE name <> 'Weekly'")
    ((entry,),) = await rows(world.database, "SELECT entry FROM automation_runs")
    await due(world, made, datetime.fromisoformat(entry))
    await repeating.make_due(world.database)

    assert len(await made_of(world)) == len(await world.runs()) == 1


async def test_after_an_outage_the_newest_day_alone_is_made_and_asks(world: World) -> None:
    await rule(world, (await draft(world)).id, days=9, hours=3)
    await repeating.make_due(world.database)
    await work.begin(world.database)

    ((_, state),) = await made_of(world)
    assert state == "paused"
    assert await world.runs() == [("completed", 1, "9 times before it passed while nobody looked")]


async def test_none_is_made_while_the_one_before_has_not_ended(world: World) -> None:
    made = await rule(world, (await draft(world)).id, days=1, minutes=5)
    await repeating.make_due(world.database)
    for state in ("sending", "stopped", "paused", "scheduled"):
        await execute(world.database, "UPDATE campaigns SET state = %s WHERE name <> 'Weekly'", [state])
        await execute(world.database, "UPDATE automation_runs SET entry = id::text")
        await due(world, made, datetime.now(UTC) - timedelta(minutes=5))
        await repeating.make_due(world.database)

        assert len(await made_of(world)) == 1
        outcome, _, reason = (await world.runs())[-1]
        assert outcome == "cancelled" and "has not ended" in str(reason) and state in str(reason)


async def test_one_that_cannot_be_made_says_why_and_the_next_day_comes(world: World) -> None:
    made = await rule(world, (await draft(world)).id)
    await execute(world.database, "UPDATE domains SET status = 'failed'")
    await repeating.make_due(world.database)

    assert await made_of(world) == []
    ((state, _, reason),) = await world.runs()
    assert state == "failed" and "not verified" in str(reason)
    assert (await world.now(made)).next_at is not None


async def test_a_rule_that_is_over_switches_itself_off(world: World) -> None:
    made = await rule(world, (await draft(world)).id, "FREQ=DAILY;COUNT=2", hours=23)
    await execute(
        world.database,
        "UPDATE automation_versions SET steps = jsonb_set(steps, '{0,config,start}',"
        " to_jsonb((steps->0->'config'->>'start')::timestamp - interval '2 days'))",
    )
    await repeating.make_due(world.database)

    found = await world.now(made)
    assert (found.state, found.next_at) == ("disabled", None)


async def test_disabled_it_makes_nothing_and_enabled_again_it_makes_up_for_nothing(world: World) -> None:
    made = await rule(world, (await draft(world)).id)
    await world.act("disable", made)
    await repeating.make_due(world.database)
    await world.act("enable", made)
    await repeating.make_due(world.database)

    assert await made_of(world) == []


async def test_a_copy_has_the_words_of_the_moment_it_is_made(world: World) -> None:
    known = await draft(world)
    await rule(world, known.id)
    async with world.database.transaction() as connection:
        words = Words(SENDER, "Other news", html="<p>Other</p>")
        await steering.update(connection, known, Draft(words, "Weekly", known.segment_id))
    await repeating.make_due(world.database)

    async with world.database.connection() as connection:
        ((identifier,),) = await rows(world.database, "SELECT id FROM campaigns WHERE name <> 'Weekly'")
        assert (await campaigns.get(connection, APPLICATION, identifier)).words.subject == "Other news"


async def test_what_is_repeated_is_not_deleted(world: World) -> None:
    known = await draft(world)
    made = await rule(world, known.id)
    with pytest.raises(Refused, match="repeats it"):
        async with world.database.transaction() as connection:
            await steering.remove(connection, known)
    await world.act("disable", made)
    async with world.database.transaction() as connection:
        await steering.remove(connection, known)
    with pytest.raises(Refused, match="Broadcast not found"):
        await world.act("enable", made)


async def test_switched_off_no_campaign_of_a_rule_is_made_and_no_alarm_of_it(world: World) -> None:
    await rule(world, (await draft(world)).id, minutes=20)
    with switched(AUTOMATIONS, Switch(OFF)):
        assert await repeating.make_due(world.database) == 0
        await watching.judge(world.database)
    assert await made_of(world) == []
    assert await rows(world.database, "SELECT kind FROM alarms") == []
    await watching.judge(world.database)
    assert await rows(world.database, "SELECT kind FROM alarms") == [("automation",)]
    await repeating.make_due(world.database)
    assert len(await made_of(world)) == 1
