"""Changes of a draft that are taken back and made again, versions that come back, and two who write at once."""

from uuid import UUID

import pytest

from core.ids import uuid7
from core.paging import Window
from core.refusal import Refused
from store.database import Database
from templates import service, steps
from templates.build import Kind, Source
from templates.model import DEFAULT, Change, Edit, LanguageEdit, Template, Variable, VariableType, Writing
from tests.integration.messages.emails import APPLICATION


async def made(database: Database, html: str = "0") -> Template:
    async with database.transaction() as connection:
        return await service.create(
            connection, APPLICATION, Edit(name="Welcome", content=LanguageEdit((Kind.HTML, html), "Hi"))
        )


async def write(
    database: Database, one: Template, html: str, what: str = "", seen: int | None = None, who: UUID | None = None
) -> Template:
    edit = Edit(content=LanguageEdit((Kind.HTML, html)))
    async with database.transaction() as connection:
        return await service.update(connection, APPLICATION, str(one.id), edit, Change(seen, what, bool(what), who))


async def step(database: Database, one: Template, *ways: str) -> str:
    """What it says after these."""
    async with database.transaction() as connection:
        for way in ways:
            await getattr(service, way)(connection, APPLICATION, str(one.id))
    return await said(database, one)


async def said(database: Database, one: Template) -> str:
    async with database.connection() as connection:
        _, version = await service.get(connection, APPLICATION, str(one.id))
    assert version.built[DEFAULT].html == version.writing.sources[DEFAULT].body, "mail is made of what is written"
    return version.writing.sources[DEFAULT].body


async def test_changes_are_undone_and_redone_in_their_order(database: Database) -> None:
    one = await made(database)
    with pytest.raises(Refused, match="nothing to undo"):
        await step(database, one, "undo")
    for text in ("1", "2", "3"):
        await write(database, one, text)
    assert await step(database, one, "undo") == "2"
    assert await step(database, one, "undo", "undo") == "0"
    with pytest.raises(Refused, match="nothing to undo"):
        await step(database, one, "undo")
    assert await step(database, one, "redo", "redo", "redo") == "3"
    with pytest.raises(Refused, match="nothing to redo"):
        await step(database, one, "redo")
    assert await step(database, one, "undo") == "2"
    await write(database, one, "4")
    with pytest.raises(Refused, match="nothing to redo"):
        await step(database, one, "redo")
    assert await step(database, one, "undo") == "2", "what was cut off is gone, what was before is not"


async def test_typing_is_one_step(database: Database) -> None:
    one = await made(database)
    for text in ("a", "ab", "abc"):
        await write(database, one, text, "the text")
    await write(database, one, "abc!", "the headline")
    assert await step(database, one, "undo") == "abc"
    assert await step(database, one, "undo") == "0"
    await write(database, one, "x", "the text")
    await write(database, one, "x", "the text")  # no change, no step
    assert await step(database, one, "undo") == "0"


async def test_what_two_people_type_at_once_is_a_step_each(database: Database) -> None:
    one = await made(database)
    ada, ben = uuid7(), uuid7()
    for text, who in (("a", ada), ("ab", ada), ("ab c", ben), ("ab cd", ben), ("ab cde", ada)):
        await write(database, one, text, "the text", who=who)
    async with database.connection() as connection:
        around = await steps.around(connection, one.id)
    assert (around.undone, around.undone_by, around.redone_by) == ("the text", ada, None)
    assert [await step(database, one, "undo") for _ in range(3)] == ["ab cd", "ab", "0"]
    async with database.connection() as connection:
        around = await steps.around(connection, one.id)
    assert (around.undone, around.undone_by, around.redone_by) == ("", None, ada)


async def test_steps_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MOST", 3)
    one = await made(database)
    for number in range(1, 7):
        await write(database, one, str(number))
    assert await step(database, one, "undo", "undo") == "4"
    with pytest.raises(Refused, match="nothing to undo"):
        await step(database, one, "undo")

    monkeypatch.setattr(steps, "MOST_CHARACTERS", 10)
    await write(database, one, "7")
    assert await step(database, one, "undo") == "4", "the last one can always be undone"
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM template_steps")).fetchone()
    assert row == (2,)


async def test_who_writes_over_another_is_refused(database: Database) -> None:
    one = await made(database)
    first = await write(database, one, "mine", seen=one.revision)
    assert first.revision == one.revision + 1
    with pytest.raises(Refused) as refused:
        await write(database, one, "theirs", seen=one.revision)
    assert (refused.value.kind, refused.value.code) == ("conflict", service.CHANGED)
    assert await said(database, one) == "mine"
    async with database.transaction() as connection:
        for change in (service.undo, service.redo, service.publish):
            with pytest.raises(Refused, match="changed elsewhere"):
                await change(connection, APPLICATION, str(one.id), one.revision)
        assert (
            await service.publish(connection, APPLICATION, str(one.id), first.revision)
        ).revision == 2 + one.revision


async def test_what_is_said_already_may_be_said_again(database: Database) -> None:
    """Whoever got no answer to a save sends it again, with the revision from before."""
    one = await made(database)
    saved = await write(database, one, "mine", seen=one.revision)
    assert await write(database, one, "mine", seen=one.revision) == saved
    assert await step(database, one, "undo") == "0", "it is one step"


async def test_another_name_is_a_revision(database: Database) -> None:
    one = await made(database)
    async with database.transaction() as connection:
        for edit in (Edit(name="Hello"), Edit(alias="hello")):
            before = await service.find(connection, APPLICATION, str(one.id))
            now = await service.update(connection, APPLICATION, str(one.id), edit, Change(before.revision))
            assert now.revision == before.revision + 1
            with pytest.raises(Refused, match="changed elsewhere"):
                await service.update(connection, APPLICATION, str(one.id), Edit(name="x"), Change(before.revision))
    assert (now.name, now.alias) == ("Hello", "hello")


async def test_an_undo_after_publishing_is_a_draft(database: Database) -> None:
    one = await made(database)
    await write(database, one, "1")
    async with database.transaction() as connection:
        await service.publish(connection, APPLICATION, str(one.id))
    assert await step(database, one, "undo") == "0"
    async with database.connection() as connection:
        version = await service.published(connection, APPLICATION, str(one.id))
        assert version.built[DEFAULT].html == "1", "mail is made of what was published"
        history = await service.history(connection, APPLICATION, str(one.id))
    assert [(line.number, line.published_at is None) for line in history] == [(2, True), (1, False)]


async def test_a_version_comes_back_as_the_draft(database: Database) -> None:
    one = await made(database, "first")
    async with database.transaction() as connection:
        await service.publish(connection, APPLICATION, str(one.id))
    await write(database, one, "second")
    async with database.transaction() as connection:
        await service.bring_back(connection, APPLICATION, str(one.id), 1)
        with pytest.raises(Refused, match="no version 7"):
            await service.bring_back(connection, APPLICATION, str(one.id), 7)
    assert await said(database, one) == "first"
    assert await step(database, one, "undo") == "second"


def test_all_of_a_writing_is_kept() -> None:
    writing = Writing(
        {DEFAULT: Source(Kind.BLOCKS, "{}", "Hi"), "de": Source(Kind.HTML, "ä\n", "Hallo", "x")}, "a@b.example",
        ("c@d.example",), (Variable("n", VariableType.LIST, [1, None]), Variable("s")), APPLICATION,
    )  # fmt: skip
    assert steps.from_json(steps.to_json(writing)) == writing


async def test_what_belongs_to_a_campaign_is_in_no_list(database: Database) -> None:
    async with database.transaction() as connection:
        edit = Edit(name="Spring", content=LanguageEdit((Kind.HTML, "x")))
        own = await service.create(connection, APPLICATION, edit, campaign_id=APPLICATION)
        found = await service.of_campaign(connection, APPLICATION)
        listed = await service.page(connection, APPLICATION, Window(10))
        assert (found, own.id in [one.id for one in listed.entries]) == (own, False)
        await service.forget_campaign(connection, APPLICATION)
        assert await service.of_campaign(connection, APPLICATION) is None
