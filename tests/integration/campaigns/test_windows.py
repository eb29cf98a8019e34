"""Outside of a campaign's send window nothing of it leaves, whatever it waits for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from psycopg.types.json import Jsonb

from campaigns import work
from campaigns.model import Campaign
from campaigns.plan import DAYS, Plan, Window
from cli.campaign_shown import progress
from console.campaigns.words import standing
from core.ids import lowest_at
from messages import halted
from store.database import Database
from tests.integration.campaigns.world import World, world_test
from tests.integration.messages.emails import execute, rows
from web.faces.broadcasts import broadcast_face


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


def _closed() -> Window:
    """On the day of the week that is furthest away."""
    return Window(days=(DAYS[(datetime.now(UTC).weekday() + 3) % 7],))


async def _planned(world: World, campaign: Campaign, window: Window) -> None:
    shown = {"zone": "UTC", "days": list(window.days), "from": f"{window.since:%H:%M}", "to": f"{window.until:%H:%M}"}
    await execute(
        world.database, "UPDATE campaigns SET plan = %s WHERE id = %s", [Jsonb({"window": shown}), campaign.id]
    )


async def test_what_is_queued_waits_for_the_window(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await world.started(plan=Plan(window=Window()))
    await world.feed()
    await _planned(world, campaign, _closed())
    await work.release(world.database)
    await world.deliver()
    assert not world.lane.sink.mails
    assert await rows(world.database, "SELECT hold FROM delivery_queue") == [(halted.HELD,)]

    await world.do("pause", campaign)
    await work.release(world.database)
    await world.do("resume", campaign)
    await world.deliver()
    assert not world.lane.sink.mails, "letting it go on opens no window"
    await _planned(world, campaign, Window())
    await work.release(world.database)
    await world.send()
    assert await world.state(campaign) == "finished"
    assert await rows(world.database, "SELECT FROM halted_campaigns") == []


async def test_a_window_that_closes_soon_closes_on_time(world: World) -> None:
    """Not when a duty comes to it."""
    await world.person("ann@one.example")
    campaign = await world.started()
    await world.feed()
    async with world.database.transaction() as connection:
        await halted.halt_from(connection, campaign.id, datetime.now(UTC) + timedelta(seconds=30))
    await execute(
        world.database, "UPDATE campaigns SET plan = %s", [Jsonb({"window": {"from": "00:00", "to": "00:00"}})]
    )
    await world.deliver()
    assert len(world.lane.sink.mails) == 1, "it is open still"


async def test_what_was_held_for_days_has_its_time_to_be_tried(world: World) -> None:
    await world.person("grey@one.example")
    campaign = await world.started()
    await world.feed()
    await world.do("pause", campaign)
    await world.deliver()
    old = lowest_at(datetime.now(UTC) - timedelta(days=4))
    for table, column in (("emails", "id"), ("messages", "email_id"), ("delivery_queue", "email_id")):
        await execute(world.database, f"UPDATE {table} SET {column} = %s", [old])
    await execute(world.database, "UPDATE emails SET created_at = now() - interval '4 d'")
    await execute(world.database, "UPDATE campaign_recipients SET email_id = %s", [old])
    await world.do("resume", campaign)
    await world.deliver()
    await world.settle()
    assert await world.states(campaign) == {"grey@one.example": "deferred"}


async def test_it_says_until_when_it_waits(world: World) -> None:
    await world.person("ann@one.example")
    window = replace(_closed(), zone="Europe/Berlin", since=time(9), until=time(17))
    campaign = await world.started(plan=Plan(window=window))
    found = await world.campaign(campaign)
    assert found.window_opens_at is not None and found.window_opens_at > datetime.now(UTC)
    day = found.window_opens_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert (DAYS[day.weekday()], day.hour, day.minute) == (window.days[0], 9, 0)
    assert found.why == f"waits for its window, opens {day:%A} 09:00 (Europe/Berlin)"
    assert broadcast_face(found)["reason"] == found.why
    assert progress(found).startswith(f"sending ({found.why}): 0% of 1 people done")
    assert standing(found).startswith(
        f"Waits for its window, opens {day:%A} 09:00 (Europe/Berlin). 0 of 1 person got it"
    )

    await world.do("pause", campaign)
    assert (await world.campaign(campaign)).why == ""
    await world.do("resume", campaign)
    await _planned(world, campaign, Window())
    assert (await world.campaign(campaign)).window_opens_at is None
