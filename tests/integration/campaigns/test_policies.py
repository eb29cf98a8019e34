"""What a topic's policy says holds for its campaigns, whenever they are sent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audience import tapering, topics
from audience.tapering import Policy, Step
from campaigns import feed
from campaigns.model import Campaign
from store.database import Database
from tests.integration.campaigns.world import SIMULATED, World, world_test
from tests.integration.messages.emails import execute


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path) as made:
        yield made


async def put(world: World, campaign: Campaign, policy: Policy) -> None:
    """The policy of the campaign's topic."""
    assert campaign.topic_id is not None
    async with world.database.transaction() as connection:
        topic = await topics.get(connection, campaign.application_id, campaign.topic_id)
        await tapering.put(connection, topic, policy)


async def test_nobody_gets_more_than_the_cap_from_campaigns_that_are_sent_at_once(world: World) -> None:
    people = [f"reader{n}@one.example" for n in range(20)]
    for address in people:
        await world.person(address)
    both = [await world.campaign(await world.started()) for _ in range(2)]
    await put(world, both[0], Policy(most_per_week=1))
    await asyncio.gather(*(feed.feed_one(world.database, one, SIMULATED) for one in both))

    first, second = [await world.outcomes(one) for one in both]
    for address in people:
        assert {first[address], second[address]} == {("queued", None), ("tapered", "frequency_cap")}


async def test_the_silent_get_every_second_campaign(world: World) -> None:
    await world.person("silent@one.example")
    await world.person("awake@one.example")
    old = "UPDATE contacts SET confirmed_at = now() - interval '40 days', created_at = now() - interval '40 days'"
    await execute(world.database, old)
    await execute(
        world.database,
        "INSERT INTO engaged (application_id, address, opened_at) VALUES (%s, 'awake@one.example', now()),"
        " (%s, 'first@one.example', now() - interval '600 days')",
        [world.lane.application_id, world.lane.application_id],
    )
    await put(world, await world.campaign(await world.started()), Policy((Step(30, 2),)))
    found = [await world.states(await world.started()) for _ in range(4)]

    turns = [one["silent@one.example"] for one in found]
    assert turns in (["waiting", "tapered"] * 2, ["tapered", "waiting"] * 2)
    assert {one["awake@one.example"] for one in found} == {"waiting"}
