"""A mail of an automation on its whole way: marketing mail that can be left, asked about once more when it leaves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audience import contacts, tapering, topics
from audience.choices import Act, Source
from audience.contacts import Changes, Contact
from audience.tapering import Policy
from campaigns.automations import entering, running, steering
from campaigns.automations.model import AutomationState
from messages import choosing
from store.database import Database
from templates import service as templates
from templates.build import Kind
from templates.model import Edit, LanguageEdit
from tests.integration.campaigns.automations.world import ACT, CONFIRMED, flow, mail
from tests.integration.campaigns.world import HTML, SIMULATED, World, world_test
from tests.integration.messages.emails import execute, rows


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://links.acme.example") as made:
        yield made


async def confirmed(world: World, address: str) -> Contact:
    async with world.database.transaction() as connection:
        changes = Changes({"first_name": "Ann"}, confirm=True)
        return (await contacts.create(connection, world.lane.application_id, address, changes, ACT)).contact


async def welcome(world: World) -> None:
    """Whoever confirms gets a mail."""
    owner = world.lane.application_id
    async with world.database.transaction() as connection:
        content = LanguageEdit((Kind.HTML, HTML), "Hello")
        edit = Edit(name="Hello", alias="hello", sender="Acme <news@acme.example>", content=content)
        await templates.create(connection, owner, edit)
        await templates.publish(connection, owner, "hello")
        await steering.create(connection, owner, "Welcome", flow(CONFIRMED, mail()), AutomationState.ENABLED)


async def test_it_leaves_with_a_way_out_and_not_to_who_left_a_moment_before(world: World) -> None:
    await welcome(world)
    await confirmed(world, "stays@one.example")
    leaves = await confirmed(world, "leaves@one.example")
    await entering.enter_confirmed(world.database)
    await running.do_due(world.database, SIMULATED)
    async with world.database.transaction() as connection:
        await choosing.leave_all(connection, leaves.person, Act(Source.LINK))
    await world.deliver()

    (mail_,) = world.lane.sink.mails
    assert b"Hello Ann" in mail_.data and b"RESEND_UNSUBSCRIBE_URL" not in mail_.data
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mail_.data
    assert await rows(world.database, "SELECT address, state FROM messages ORDER BY address") == [
        ("leaves@one.example", "suppressed"),
        ("stays@one.example", "delivered"),
    ]


async def test_a_campaign_counts_it_for_how_much_somebody_gets_in_a_week(world: World) -> None:
    await welcome(world)
    for address in ("welcomed@one.example", "long-ago@one.example", "unsent@one.example"):
        ann = await confirmed(world, address)
        await execute(
            world.database,
            "INSERT INTO segment_members (segment_id, contact_id, status) VALUES (%s, %s, 'confirmed')",
            [world.segment_id, ann.id],
        )
    await entering.enter_confirmed(world.database)
    await running.do_due(world.database, SIMULATED)
    await execute(
        world.database,
        "UPDATE automation_steps SET at = now() - interval '8 days' WHERE run_id IN (SELECT r.id FROM automation_runs r"
        " JOIN contacts c ON c.id = r.contact_id WHERE c.address LIKE 'long-ago%%')",
    )
    await execute(
        world.database, "UPDATE messages SET state = 'expired' WHERE position('unsent@one.example' in address) = 1"
    )
    campaign = await world.campaign(await world.started())
    assert campaign.topic_id is not None
    async with world.database.transaction() as connection:
        topic = await topics.get(connection, campaign.application_id, campaign.topic_id)
        await tapering.put(connection, topic, Policy(most_per_week=1))
    await world.feed()

    assert await world.outcomes(campaign) == {
        "welcomed@one.example": ("tapered", "frequency_cap"),
        "long-ago@one.example": ("queued", None),
        "unsent@one.example": ("queued", None),
    }
