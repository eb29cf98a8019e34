"""Templates in PostgreSQL: drafts and published versions, aliases, layouts, languages, and what a mail is made of."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.paging import Window
from core.refusal import Refused
from store.database import Database
from templates import service
from templates.build import Kind
from templates.filling import content_of, fill
from templates.model import Edit, LanguageEdit, Template, Variable, VariableType, Version
from tests.integration.messages.emails import APPLICATION

HELLO = "<p>Hello {{{NAME}}}, {{{CITY|somewhere}}}</p>"


def an_edit(html: str = HELLO, name: str = "Welcome", **facts: Any) -> Edit:
    subject = facts.pop("subject", "Hi {{{NAME}}}")
    return Edit(name=name, content=LanguageEdit((Kind.HTML, html), subject), **facts)


async def made(database: Database, edit: Edit, *, publish: bool = True) -> Template:
    async with database.transaction() as connection:
        found = await service.create(connection, APPLICATION, edit)
        return await service.publish(connection, APPLICATION, str(found.id)) if publish else found


async def changed(database: Database, name: object, edit: Edit) -> Template:
    async with database.transaction() as connection:
        return await service.update(connection, APPLICATION, str(name), edit)


async def published(database: Database, name: object) -> Version:
    async with database.connection() as connection:
        return await service.published(connection, APPLICATION, str(name))


async def publish(database: Database, name: object) -> Template:
    async with database.transaction() as connection:
        return await service.publish(connection, APPLICATION, str(name))


async def test_a_published_version_never_changes(database: Database) -> None:
    template = await made(database, an_edit(alias="welcome"))
    first = await published(database, "welcome")

    edited = await changed(database, "welcome", Edit(content=LanguageEdit((Kind.HTML, "new {{{NAME}}}"))))

    assert edited.draft_id not in (None, template.published_id)
    assert await published(database, "welcome") == first
    again = await publish(database, template.id)
    second = await published(database, template.id)
    assert (again.draft_id, second.number, first.number) == (None, 2, 1)
    assert fill(second, {"NAME": "Ann"}).html == "new Ann"
    assert fill(second, {"NAME": "Ann"}).subject == "Hi Ann", "what was not changed stays"
    assert await publish(database, template.id) == again, "publishing what is published changes nothing"


async def test_what_is_never_published_cannot_be_sent(database: Database) -> None:
    await made(database, an_edit(alias="draft"), publish=False)

    with pytest.raises(Refused, match="never published"):
        await published(database, "draft")
    with pytest.raises(Refused, match="not found"):
        await published(database, "nothing")


async def test_what_cannot_be_built_is_never_stored(database: Database) -> None:
    template = await made(database, an_edit(alias="fine"))

    for edit, field in (
        (Edit(content=LanguageEdit((Kind.HTML, "x\n{{ a | no }}"))), "html"),
        (Edit(content=LanguageEdit((Kind.MJML, "<mjml>"))), "mjml"),
        (Edit(content=LanguageEdit(subject="{{ a")), "html"),
        (Edit(languages={"de": LanguageEdit((Kind.HTML, "{{"))}), "languages.de.html"),
        (Edit(sender="no address"), "from"),
        (Edit(variables=[Variable("a b")]), "variables[0].key"),
        (Edit(variables=[Variable("n", VariableType.NUMBER, "x")]), "variables[0].fallback_value"),
        (Edit(alias="two words"), "alias"),
        (Edit(alias="0193d1a5-0000-7000-8000-000000000000"), "alias"),
        (Edit(layout="nothing"), "layout"),
    ):
        with pytest.raises(Refused) as caught:
            await changed(database, template.id, edit)
        assert caught.value.field == field
    assert (await published(database, "fine")).number == 1


async def test_an_alias_belongs_to_one_template(database: Database) -> None:
    first = await made(database, an_edit(alias="mine"))
    second = await made(database, an_edit(alias="other"))

    with pytest.raises(Refused, match="already"):
        await changed(database, second.id, Edit(alias="mine"))
    await changed(database, first.id, Edit(alias=None))
    assert (await changed(database, second.id, Edit(alias="mine"))).alias == "mine"


async def test_two_that_want_one_alias_at_a_time_get_it_once(database: Database) -> None:
    tries = [made(database, an_edit(alias="wanted")) for _ in range(4)]

    ended = await asyncio.gather(*tries, return_exceptions=True)

    assert sum(isinstance(one, Template) for one in ended) == 1
    assert sum(isinstance(one, Refused) for one in ended) == 3


async def test_a_layout_goes_around_what_names_it(database: Database) -> None:
    layout = await made(database, an_edit("<html>{{ content }}</html>", "Frame", alias="frame", subject=""))
    mail = await made(database, an_edit("<p>x</p>", layout="frame"))
    assert (await published(database, mail.id)).built[""].html == "<html><p>x</p></html>"

    await changed(database, layout.id, Edit(content=LanguageEdit((Kind.HTML, "<body>{{ content }}</body>"))))
    await publish(database, layout.id)

    assert (await published(database, mail.id)).built[""].html == "<html><p>x</p></html>", "until it is published anew"
    await publish(database, mail.id)
    assert (await published(database, mail.id)).built[""].html == "<body><p>x</p></body>"
    with pytest.raises(Refused, match="layout of Welcome"):
        async with database.transaction() as connection:
            await service.delete(connection, APPLICATION, "frame")


async def test_layouts_cannot_go_round_in_a_circle(database: Database) -> None:
    inner = await made(database, an_edit("{{ content }}", "Inner", alias="inner"))
    await made(database, an_edit("{{ content }}", "Outer", alias="outer", layout="inner"))

    for name in ("inner", "outer"):
        with pytest.raises(Refused, match="circle"):
            await changed(database, inner.id, Edit(layout=name))


async def test_layouts_that_close_a_circle_at_one_time_do_not(database: Database) -> None:
    for name in ("a", "b"):
        await made(database, an_edit("{{ content }}", name, alias=name))

    async def closed(name: str, around: str) -> None:
        await changed(database, name, Edit(layout=around))
        await publish(database, name)

    ended = await asyncio.gather(closed("a", "b"), closed("b", "a"), return_exceptions=True)

    assert any(isinstance(one, Refused) for one in ended)


async def test_a_language_is_found_for_everybody(database: Database) -> None:
    edit = replace(
        an_edit("<p>Hello</p>", alias="many", subject="Hi"),
        languages={
            "de": LanguageEdit((Kind.HTML, "<p>Hallo</p>"), "Hallo"),
            "de-AT": LanguageEdit((Kind.HTML, "<p>Servus</p>")),
        },
    )
    await made(database, edit)
    version = await published(database, "many")

    said = {tag: content_of(version, tag).html.render({}) for tag in ("de-AT", "de_at", "de-CH", "de", "fr", "", None)}

    assert list(said.values()) == [f"<p>{word}</p>" for word in ("Servus", "Servus", "Hallo", "Hallo", *["Hello"] * 3)]
    assert fill(version, {}, "de").subject == "Hallo"
    assert fill(version, {}, "de-AT").subject == "Hi", "a language without a subject has the default's"
    await changed(database, "many", Edit(languages={"de": None}))
    await publish(database, "many")
    assert content_of(await published(database, "many"), "de").html.render({}) == "<p>Hello</p>"


async def test_a_mail_takes_its_variables(database: Database) -> None:
    edit = an_edit(
        "{{{NAME}}} {{{COUNT}}} {{{CITY|x}}} {{ LIST | join(',') }}",
        variables=[
            Variable("NAME"), Variable("COUNT", VariableType.NUMBER, 3), Variable("LIST", VariableType.LIST, []),
            Variable("CITY"),
        ],
        sender="Acme {{{NAME}}} <hello@example.com>",
    )  # fmt: skip
    version = await published(database, (await made(database, edit)).id)

    filled = fill(version, {"NAME": "R&B\r\nBcc: x@example.com", "LIST": [1, 2]})

    assert filled.html == "R&amp;B\r\nBcc: x@example.com 3 x 1,2"
    assert filled.subject == "Hi R&B Bcc: x@example.com"
    assert "\n" not in filled.sender
    for given, field in (
        ({}, "template.variables.NAME"),
        ({"NAME": None}, "template.variables.NAME"),
        ({"NAME": "a", "COUNT": "3"}, "template.variables.COUNT"),
        ({"NAME": "a", "COUNT": True}, "template.variables.COUNT"),
    ):
        with pytest.raises(Refused) as caught:
            fill(version, given)
        assert caught.value.field == field


async def test_templates_are_listed_copied_and_deleted_by_their_application_alone(database: Database) -> None:
    first = await made(database, an_edit(name="One", alias="one"))
    async with database.transaction() as connection:
        second = await service.duplicate(connection, APPLICATION, "one")
        listed = await service.page(connection, APPLICATION, Window(10))
        assert [one.id for one in listed.entries] == [second.id, first.id]
        assert (second.name, second.alias, second.published_id) == ("One (copy)", None, None)
        assert (await service.page(connection, second.id, Window(10))).entries == []
        with pytest.raises(Refused, match="not found"):
            await service.find(connection, second.id, "one")
        await service.delete(connection, APPLICATION, "one")
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM template_languages")
        row = await cursor.fetchone()
    assert row == (1,)
