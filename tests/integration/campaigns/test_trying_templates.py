"""A test of a template: as somebody gets it, with links that work, as the kind of mail that it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from campaigns import trying_templates
from campaigns.trying import To
from campaigns.trying_templates import Wanted
from core.refusal import Refused
from messages.model import NewEmail
from store.database import Database
from templates import service
from templates.build import Kind
from templates.model import Edit, LanguageEdit, Template, Variable, VariableType
from tests.integration.campaigns.world import HTML, SIMULATED, World, world_test
from tests.integration.messages.emails import execute, rows

RECEIPT = "<p>{{ first_name }}, {% for one in items %}{{ one.name }} {% endfor %}{{ PAID }}</p>"


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


async def template(
    world: World, html: str = HTML, sender: str = "Acme <news@acme.example>", **more: object
) -> Template:
    async with world.database.transaction() as connection:
        content = LanguageEdit((Kind.HTML, html), "News for {{ first_name | default('you') }}")
        edit = Edit(name="News", content=content, sender=sender, **more)  # type: ignore[arg-type]  # fields of an Edit
        return await service.create(connection, world.lane.application_id, edit)


async def send(world: World, one: Template, wanted: Wanted) -> list[NewEmail]:
    async with world.database.transaction() as connection:
        return await trying_templates.send(connection, one.application_id, str(one.id), wanted, SIMULATED)


async def test_it_is_the_mail_of_its_person_with_links_that_work(world: World) -> None:
    ann = await world.person("ann@one.example", first_name="Ann")
    german = {"de": LanguageEdit((Kind.HTML, "<p>Hallo {{ first_name }}</p>"), "Neues")}
    one = await template(world, languages=german)
    await send(world, one, Wanted(To(["me@two.example"]), contact="ann@one.example"))
    await send(world, one, Wanted(To(["you@two.example"]), contact=str(ann), language="de-AT"))
    await world.deliver()

    mine = world.lane.mails_to("me@two.example")[0].data
    assert b"Subject: [Test] News for Ann" in mine
    assert b"Hello Ann" in mine
    assert b"https://mail.acme.example/u/" in mine
    assert b"{{" not in mine
    assert b"List-Unsubscribe-Post" in mine
    assert b"Subject: [Test] Neues" in world.lane.mails_to("you@two.example")[0].data
    assert await rows(world.database, "SELECT DISTINCT template_id, campaign_id FROM emails") == [(one.id, None)]


async def test_without_a_link_to_unsubscribe_it_is_transactional(world: World) -> None:
    items = Variable("items", VariableType.LIST, [{"name": "Tea"}])
    one = await template(world, RECEIPT, variables=[items, Variable("PAID", VariableType.NUMBER)])
    await world.person("ann@one.example", first_name="Ann")
    wanted = Wanted(To(["ann@one.example"]), variables={"PAID": 12})
    [mail] = await send(world, one, wanted)

    assert (mail.lane.value, mail.html) == ("transactional", "<p>Ann, Tea 12</p>")
    with pytest.raises(Refused, match="must be of type number"):
        await send(world, one, Wanted(To(["ann@one.example"]), variables={"PAID": "much"}))
    with pytest.raises(Refused, match="PAID"):
        await send(world, one, Wanted(To(["ann@one.example"])))


async def test_it_goes_to_the_seed_accounts_of_its_stream(world: World) -> None:
    for number, lane in enumerate(("marketing", "transactional")):
        await execute(
            world.database,
            "INSERT INTO seeds (id, address, provider, host, port, tls, login, sealed_password, sender, lane,"
            " every_minutes) VALUES (gen_random_uuid(), %s, 'one', 'imap.one.example', 993, 'tls', 'x', 'x', 'x', %s,"
            " 60)",
            [f"seed{number}@one.example", lane],
        )
    mails = await send(world, await template(world), Wanted(To(seeds=True)))
    assert [mail.to for mail in mails] == [("seed0@one.example",)]
    probes = await rows(world.database, "SELECT email_id, message_id FROM seed_probes")
    assert probes == [(mails[0].id, mails[0].message_id)]


@pytest.mark.parametrize(
    ("facts", "wanted", "field"),
    [
        ({}, Wanted(), "to"),
        ({}, Wanted(To(["nobody"])), "to"),
        ({"sender": ""}, Wanted(To(["a@one.example"])), "from"),
        ({"sender": "{{ brand }} <a@acme.example>"}, Wanted(To(["a@one.example"])), "from"),
        ({}, Wanted(To(["a@one.example"]), sender="no address"), "from"),
        ({}, Wanted(To(["a@one.example"]), contact="bob@nowhere.example"), ""),
    ],
)
async def test_what_is_missing_is_named(world: World, facts: dict[str, str], wanted: Wanted, field: str) -> None:
    one = await template(world, **facts)  # type: ignore[arg-type]  # texts
    with pytest.raises(Refused) as refused:
        await send(world, one, wanted)
    assert refused.value.field == field
    assert await rows(world.database, "SELECT FROM emails") == []
