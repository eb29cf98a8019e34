"""A mail of an automation on its whole way: marketing mail that can be left, asked about once more when it leaves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audience import contacts
from audience.choices import Act, Source
from audience.contacts import Changes, Contact
from campaigns.automations import entering, running, steering
from campaigns.automations.model import AutomationState
from messages import choosing
from store.database import Database
from templates import service as templates
from templates.build import Kind
from templates.model import Edit, LanguageEdit
from tests.integration.campaigns.automations.world import ACT, CONFIRMED, flow, mail
from tests.integration.campaigns.world import HTML, SIMULATED, World, world_test
from tests.integration.messages.emails import rows


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://links.acme.example") as made:
        yield made


async def confirmed(world: World, address: str) -> Contact:
    async with world.database.transaction() as connection:
        changes = Changes({"first_name": "Ann"}, confirm=True)
        return (await contacts.create(connection, world.lane.application_id, address, changes, ACT)).contact


async def test_it_leaves_with_a_way_out_and_not_to_who_left_a_moment_before(world: World) -> None:
    owner = world.lane.application_id
    async with world.database.transaction() as connection:
        content = LanguageEdit((Kind.HTML, HTML), "Hello")
        edit = Edit(name="Hello", alias="hello", sender="Acme <news@acme.example>", content=content)
        await templates.create(connection, owner, edit)
        await templates.publish(connection, owner, "hello")
        await steering.create(connection, owner, "Welcome", flow(CONFIRMED, mail()), AutomationState.ENABLED)
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
