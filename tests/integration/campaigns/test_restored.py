"""Campaigns and automations that may have gone on since the backup wait for a person."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from campaigns import repository, restored
from campaigns.states import CampaignState
from core.ids import uuid7
from store.database import Database
from tests.integration.campaigns.world import World, world_test
from tests.integration.messages.emails import execute, rows


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


async def test_what_was_sending_or_should_have_begun_is_paused(world: World) -> None:
    await world.person("ann@one.example")
    sending, draft = await world.started(), await world.draft()
    past, ahead = await world.draft(), await world.draft()
    for campaign, at in ((past, "now() - interval '1 minute'"), (ahead, "now() + interval '1 hour'")):
        await execute(
            world.database,
            f"UPDATE campaigns SET state = 'scheduled', scheduled_at = {at} WHERE id = %s",
            [campaign.id],
        )
    async with world.database.transaction() as connection:
        aside = await restored.put_aside(connection)
        states = {
            name: (await repository.get(connection, None, one.id)).state
            for name, one in {"sending": sending, "draft": draft, "past": past, "ahead": ahead}.items()
        }
    assert aside.campaigns == 2
    assert states == {
        "sending": CampaignState.PAUSED, "past": CampaignState.PAUSED, "draft": CampaignState.DRAFT,
        "ahead": CampaignState.SCHEDULED,
    }  # fmt: skip
    assert await rows(world.database, "SELECT DISTINCT why FROM halted_campaigns") == [(restored.WHY,)]
    await world.do("resume", sending)
    await world.send()
    assert len(world.lane.sink.mails) == 1


async def test_what_an_automation_had_due_does_not_go_on(world: World) -> None:
    now, application = datetime.now(UTC), world.lane.application_id
    for name, at in (("past", now - timedelta(hours=1)), ("ahead", now + timedelta(hours=1))):
        await execute(
            world.database,
            "INSERT INTO automations (id, application_id, name, state, version_id, event_name, next_at)"
            " VALUES (%s, %s, %s, 'enabled', %s, '', %s)",
            [uuid7(), application, name, uuid7(), at],
        )
        await execute(
            world.database,
            "INSERT INTO automation_runs (id, automation_id, application_id, version_id, contact_id, entry, due_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [uuid7(), uuid7(), application, uuid7(), uuid7(), name, at],
        )
    async with world.database.transaction() as connection:
        aside = await restored.put_aside(connection)
    assert (aside.automations, aside.runs) == (1, 1)
    found = await rows(world.database, "SELECT name, state FROM automations ORDER BY name")
    assert found == [("ahead", "enabled"), ("past", "disabled")]
    runs = await rows(world.database, "SELECT entry, state, reason FROM automation_runs ORDER BY entry")
    assert runs == [("ahead", "running", None), ("past", "cancelled", restored.WHY)]
