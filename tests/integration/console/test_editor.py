"""The editor of mails without scripts: every change is a form, two who write are told, and nothing of a mail runs."""

import re
from html import unescape
from typing import Any
from uuid import UUID

import pytest

from accounts.audit import Wanted, page
from campaigns import repository
from console.frames import POLICY
from core.paging import Window
from core.settings import Settings
from messages import previewing
from store.database import Database
from templates import document, service
from templates.build import Kind
from templates.model import DEFAULT, Edit, LanguageEdit, Template, Version
from tests.integration.console.conftest import KEY, Person
from tests.integration.console.reach import fill
from tests.integration.messages.emails import execute
from tests.unit.templates.test_pictures import PNG

EVIL = '"><img src=x onerror="alert(1)"><script>alert(2)</script>'
MJML = """<mjml><mj-body>
<mj-section><mj-column><mj-text>Acme</mj-text></mj-column></mj-section>
</mj-body></mjml>"""
TYPED = re.compile(r'<form id="typed".*?name="revision" value="(\d*)"', re.S)
REVISION = re.compile(r'data-revision="(\d+)"')


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With public pages, which serve pictures."""
    return settings.model_copy(update={"public_url": "https://mail.acme.example"})


async def written(database: Database, template_id: str) -> tuple[Template, Version]:
    async with database.connection() as connection:
        row = await (
            await connection.execute("SELECT application_id FROM templates WHERE id = %s", [template_id])
        ).fetchone()
        assert row is not None
        return await service.get(connection, row[0], template_id)


async def blocks(database: Database, template_id: str) -> list[dict[str, Any]]:
    _, version = await written(database, template_id)
    found: list[dict[str, Any]] = document.parsed(version.writing.sources[DEFAULT].body)["blocks"]
    return found


class Editing:
    """A template in the editor of somebody."""

    def __init__(self, person: Person, template_id: str) -> None:
        self.person, self.id = person, template_id
        self.at = f"/templates/{template_id}/edit"

    async def text(self, query: str = "") -> str:
        answer = await self.person.get(f"{self.at}?{query}")
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, act: str, query: str = "", status: int = 303, **fields: str) -> Any:
        """A form with the revision that the page shows."""
        seen = REVISION.search(await self.text())
        assert seen is not None
        answer = await self.person.post(
            f"{self.at}?{query}", "/templates/new", act=act, **{"revision": seen[1], **fields}
        )
        assert answer.status_code == status, answer.text
        return answer


async def begun(person: Person, **fields: str) -> Editing:
    answer = await person.post("/templates", "/templates/new", **{"name": "Welcome", "subject": "Hi", **fields})
    assert answer.status_code == 303, answer.text
    return Editing(person, answer.headers["location"].split("/")[2])


async def test_a_mail_is_written_block_by_block(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin)
    assert [one["type"] for one in await blocks(database, editing.id)] == ["heading", "text", "button", "footer"]

    added = await editing.send("add", "block=1", type="image")
    assert added.headers["location"].endswith("?block=2"), "the new one is chosen"
    await editing.send("block", "block=2", src="https://shop.example/a.png", alt="Tulips", width="300", href="")
    await editing.send("up 2", "block=2")
    await editing.send("move 4 - 0")
    found = await blocks(database, editing.id)
    assert [one["type"] for one in found] == ["footer", "heading", "image", "text", "button"]
    assert found[2] == {"type": "image", "src": "https://shop.example/a.png", "alt": "Tulips", "width": 300}

    await editing.send("block", "block=3", html="<p>Hi <b>you</b></p><script>alert(1)</script>", align="center")
    assert (await blocks(database, editing.id))[3] == {
        "type": "text",
        "html": "<p>Hi <b>you</b></p>",
        "align": "center",
    }
    await editing.send("delete 2", "block=2")
    await editing.send("undo")
    await editing.send("undo")
    found = await blocks(database, editing.id)
    assert (found[2]["type"], found[3]["html"]) == ("image", "<p>What is new, in a sentence or two.</p>")
    await editing.send("redo")
    assert (await blocks(database, editing.id))[3]["html"] == "<p>Hi <b>you</b></p>"

    await editing.send("add", "block=0", type="columns")
    await editing.send("add 1.0", "block=1", type="spacer")
    await editing.send("block", "block=1", columns="1")
    columns = (await blocks(database, editing.id))[1]["columns"]
    assert [[one["type"] for one in column["blocks"]] for column in columns] == [["text", "spacer", "text"]]
    text = await editing.text("block=1.0.1")
    assert 'data-path="1.0.1"' in text
    assert 'value="20"' in text, "the height of the chosen space"


async def test_what_is_wrong_is_said_and_nothing_of_it_is_kept(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin)
    before = await blocks(database, editing.id)
    for query, fields, told in (
        ("block=2", {"href": " JavaScript:alert(1)"}, "a link begins with https://"),
        ("block=2", {"border_radius": "x"}, "must be a whole number"),
        ("block=0", {"text": "{{ a | no }}"}, "no filter"),
        ("block=0", {"level": "7"}, "choose one of the list"),
        ("block=0", {"color": "red;x:url(1)"}, "Colour of block 1: a colour is written as #1a5fb4"),
        ("block=2", {"show_if": "{{ vip }}"}, "Only if of block 3: a condition has no braces"),
        ("block=9.9.9", {"text": "x"}, "no such block"),
    ):
        answer = await editing.send("block", query, 409 if "9" in query else 422, **fields)
        assert told in unescape(answer.text), (fields, answer.text)
        assert "Not saved" in answer.text
    looks = unescape((await editing.send("look", "tab=mail", 422, width="7", subject="x")).text)
    assert "Width in pixels: input should be greater than or equal to 320" in looks
    for act in ("delete 9", "move 0 9.9 0", "kind x", "nothing", "up x"):
        assert (await editing.send(act, status=409 if act[0] in "dmu" else 422)).status_code in (409, 422)
    assert await blocks(database, editing.id) == before


async def test_two_who_write_are_told_and_neither_is_lost(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin)
    seen = REVISION.search(await editing.text())
    assert seen is not None
    await editing.send("block", "block=0", text="First")

    late = await editing.send("block", "block=0", 409, text="Second", revision=seen[1])
    assert "It was changed elsewhere since you loaded it" in late.text
    assert "Second" in late.text, "what was typed is still there"
    assert (await blocks(database, editing.id))[0]["text"] == "First"
    assert (await editing.send("publish", status=409, revision=seen[1])).status_code == 409
    assert (await editing.send("block", "block=0", 422, text="x", revision="")).status_code == 422


async def test_a_second_save_after_a_refusal_does_not_write_over_another(admin: Person, database: Database) -> None:
    """Without scripts the page comes back with what was typed, and with the revision that it was typed over."""
    await fill(database)
    editing = await begun(admin)
    seen = REVISION.search(await editing.text())
    assert seen is not None
    await editing.send("block", "block=0", text="First")

    late = await editing.send("block", "block=0", 409, text="Second", revision=seen[1])
    again = TYPED.search(late.text)
    assert again is not None
    assert again[1] == seen[1]
    assert (await editing.send("block", "block=0", 409, text="Second", revision=again[1])).status_code == 409
    assert (await blocks(database, editing.id))[0]["text"] == "First"
    loaded = TYPED.search(await editing.text("block=0"))
    assert loaded is not None
    assert int(loaded[1]) == int(seen[1]) + 1, "loaded anew it is written over what is there"


async def test_what_was_typed_comes_back_with_a_refusal(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin)
    seen = REVISION.search(await editing.text())
    assert seen is not None
    typed = {"name": "Our <news>", "alias": "two words", "from": "Shop <hi@shop.example>", "reply_to": "a@b.example"}
    text = unescape((await editing.send("facts", "tab=facts", 422, **typed)).text)
    assert [value for value in typed.values() if f'value="{value}"' not in text] == []
    text = (await editing.send("look", "tab=mail", 422, subject="{{ no", text_part="Line one\nLine two")).text
    assert 'value="{{ no"' in text
    assert ">\nLine one\nLine two</textarea>" in text
    text = (await editing.send("speak", "tab=facts", 422, tag="not a tag")).text
    assert 'value="not a tag"' in text
    assert 'value="Welcome"' in text, "fields of other forms have what is known"

    await editing.send("down 0", "block=0")
    moved = (await editing.send("block", "block=0", 409, text="A headline", level="1", revision=seen[1])).text
    assert re.search(r"Words, as you typed it</p><pre[^>]*>A headline<", moved), "a text stands there now"


async def test_a_script_is_answered_with_parts_and_a_refusal_with_what_it_says(
    admin: Person, database: Database
) -> None:
    await fill(database)
    editing = await begun(admin)
    key = KEY.search(await editing.text())
    revision = REVISION.search(await editing.text())
    assert key is not None
    assert revision is not None
    fields = {"form_key": key[1], "act": "block", "revision": revision[1], "text": "Hello"}
    headers = {"sec-fetch-site": "same-origin", "hx-request": "true"}

    saved = await admin.http.post(f"{editing.at}?block=0", data=fields, headers=headers)
    assert (saved.status_code, saved.text.lstrip()[:16]) == (200, '<div id="editor"')
    assert f'data-revision="{int(revision[1]) + 1}"' in saved.text
    assert "<script" not in saved.text
    assert len(saved.content) < 24 * 1024
    again = await admin.http.post(f"{editing.at}?block=0", data=fields, headers=headers)
    assert (again.status_code, "Hello" in again.text) == (200, True), "whoever got no answer says it again"
    fields["text"] = "Other words"
    refused = await admin.http.post(f"{editing.at}?block=0", data=fields, headers=headers)
    assert (refused.status_code, refused.text.lstrip()[:17]) == (409, '<div id="trouble"')


async def test_nothing_of_a_mail_runs_in_the_editor(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin, name=f"Hi {EVIL}", subject=EVIL)
    hostile = {
        "heading": {"text": EVIL}, "text": {"html": f"<p>{EVIL}</p><a href=javascript:alert(1)>x</a>"},
        "button": {"text": EVIL, "href": EVIL}, "image": {"src": EVIL, "alt": EVIL, "href": EVIL},
        "social": {"links": [{"name": EVIL, "href": EVIL, "icon": EVIL}]},
        "product": dict.fromkeys(("title", "image", "alt", "text", "price", "href", "button"), EVIL),
        "html": {"html": EVIL}, "footer": {"html": EVIL, "unsubscribe": EVIL}, "divider": {}, "spacer": {},
        "columns": {"columns": [{"blocks": [{"type": "text", "html": EVIL}]}]},
    }  # fmt: skip
    assert set(hostile) == set(document.NEW)
    made = {
        "blocks": [{"type": kind, **values} for kind, values in hostile.items()],
        "settings": {"title": EVIL, "preview_text": EVIL},
    }
    one, _ = await written(database, editing.id)
    async with database.transaction() as connection:
        edit = Edit(content=LanguageEdit((Kind.BLOCKS, document.written(made))), alias="evil")
        await service.update(connection, one.application_id, editing.id, edit)

    for query in [f"block={n}" for n in range(len(hostile))] + [
        "tab=mail",
        "tab=facts",
        "tab=code",
        "tab=versions",
        "width=text",
        "block=10.0.0",
    ]:
        text = await editing.text(query)
        assert "<script>alert" not in text, query
        assert "<img" not in text, query
        assert not re.search(r"<[^>]*\sonerror=", re.sub(r'"[^"]*"', '""', text)), query
        assert 'href="javascript' not in text, query
        for tag in re.findall(r"<[^>]+\shx-(?!nonce)[^>]+>", text):
            assert "hx-nonce" in tag, tag
    shown = unescape(await editing.text("block=1"))
    assert '<p>"&gt;<img src="x"></p><a>x</a>' in shown, "what would run is not even offered to go on with"
    policy = (await admin.get(editing.at)).headers["content-security-policy"]
    assert policy.endswith("trusted-types htmx postlane-editor")
    assert "unsafe" not in policy

    framed = await admin.get(f"/templates/{editing.id}/frame")
    assert framed.headers["content-security-policy"] == POLICY.replace("data:;", "data: https://mail.acme.example/i/;")
    assert framed.headers["content-security-policy"].endswith("sandbox")
    await editing.send("block", "block=1", html=f"<p>{EVIL}</p><a href=javascript:alert(1)>x</a>")
    assert (await blocks(database, editing.id))[1]["html"] == '<p>"&gt;<img src="x"></p><a>x</a>'
    refused = await editing.send("block", "block=3", 422, href="javascript:alert(1)")
    assert "a link begins with https://" in refused.text


async def test_a_picture_is_uploaded_and_stands_in_its_block(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin)
    await editing.send("add", "block=0", type="image")

    async def upload(name: str, content: bytes) -> Any:
        text = await editing.text()
        key, seen = KEY.search(text), REVISION.search(text)
        assert key is not None
        assert seen is not None
        fields = {"form_key": key[1], "act": "block", "revision": seen[1], "src": "", "alt": "Tulips"}
        return await admin.http.post(
            f"{editing.at}?block=1", data=fields, files={"src_file": (name, content, "image/png")},
            headers={"sec-fetch-site": "same-origin"},
        )  # fmt: skip

    assert (await upload(f"../{EVIL}.png", PNG)).status_code == 303
    found = (await blocks(database, editing.id))[1]
    assert re.fullmatch(r"https://mail\.acme\.example/i/[0-9a-f]{40}\.png", found["src"])
    assert found["alt"] == "Tulips"
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT name, data FROM images")).fetchone()
    assert row is not None
    assert bytes(row[1]) == PNG, "byte for byte"
    assert "<script>" not in (await editing.text("block=1"))
    refused = await upload("x.svg", b"<svg onload=alert(1)>")
    assert refused.status_code == 422
    assert "it is no PNG, JPEG, GIF or WebP" in refused.text


async def test_code_says_its_lines_and_turns_from_blocks_and_back(admin: Person, database: Database) -> None:
    await fill(database)
    editing = await begun(admin)
    assert "&lt;mj-section" in await editing.text("tab=code")
    assert 'class="live"' in await editing.text()
    await editing.send("kind mjml")
    assert 'class="live coded"' in await editing.text(), "in the part that a script takes: its columns are others"
    _, version = await written(database, editing.id)
    assert version.writing.sources[DEFAULT].kind is Kind.MJML
    wrong = "<mjml>\n  <mj-body>\n    <mj-nothing />\n  </mj-body>\n</mjml>"
    refused = await editing.send("code", status=422, code=wrong)
    assert re.search(r"line 3: .*mj-nothing", unescape(refused.text))
    assert '<li class="wrong"></li>' in refused.text
    assert "&lt;mj-nothing /&gt;" in refused.text, "what was typed is still there"
    await editing.send("code", code="\n" + MJML.replace("\n", "\r\n"))
    _, version = await written(database, editing.id)
    assert version.writing.sources[DEFAULT].body == "\n" + MJML
    await editing.send("kind html")
    await editing.send("code", code="<p>{{ first_name | default('you') }}</p>")
    for _ in range(4):
        await editing.send("undo")
    assert [one["type"] for one in await blocks(database, editing.id)] == ["heading", "text", "button", "footer"]


async def test_layout_languages_versions_and_what_is_in_force(
    admin: Person, viewer: Person, database: Database
) -> None:
    reach = await fill(database)
    async with database.transaction() as connection:
        content = LanguageEdit((Kind.MJML, MJML.replace("<mj-section>", "{{ content }}<mj-section>", 1)))
        layout = await service.create(connection, reach.application_id, Edit(name="Frame", content=content))
        await service.publish(connection, reach.application_id, str(layout.id))
    editing = await begun(admin)
    assert f'value="{layout.id}"' in await editing.text("tab=facts")
    await editing.send(
        "facts",
        "tab=facts",
        name="Hello",
        alias="hello",
        layout=str(layout.id),
        reply_to="a@shop.example, b@shop.example",
        **{"from": "Shop <hi@shop.example>"},
    )
    one, version = await written(database, editing.id)
    assert (one.name, one.alias, version.writing.layout_id) == ("Hello", "hello", layout.id)
    assert version.writing.reply_to == ("a@shop.example", "b@shop.example")
    assert "Acme" in version.built[DEFAULT].html
    assert (await editing.send("facts", status=422, name="")).status_code == 422

    made = await editing.send("speak", tag="de")
    assert made.headers["location"].endswith("?language=de")
    await editing.send("look", "language=de&tab=mail", subject="Hallo", preview_text="Kurz", width="700")
    assert (await editing.send("speak", status=422, tag="not a tag")).status_code == 422
    _, version = await written(database, editing.id)
    assert {tag: source.subject for tag, source in version.writing.sources.items()} == {"": "Hi", "de": "Hallo"}

    assert (await editing.send("publish")).status_code == 303
    shown = await editing.text()
    assert "Version 1 is in force." in shown
    assert 'href="/templates" title="Templates" aria-current="page"' in shown
    await editing.send("block", "block=0", text="Later")
    assert "Bring back" in await editing.text("tab=versions")
    await editing.send("version 1")
    assert (await blocks(database, editing.id))[0]["text"] == "Hello {{ first_name | default('there') }}"
    await editing.send("silence", "language=de")
    async with database.connection() as connection:
        acts = [entry.action for entry in (await page(connection, Wanted(), Window(20))).entries]
    assert acts.count("template.publish") == 1
    assert acts[-1] == "template.create"
    assert (await viewer.get(editing.at)).status_code == 403


async def test_the_preview_is_the_mail_of_its_person(admin: Person, database: Database) -> None:
    reach = await fill(database)
    editing = await begun(admin)
    framed = await admin.get(f"/templates/{editing.id}/frame?as=ann1@people.example")
    async with database.connection() as connection:
        wanted: previewing.Wanted = ({}, "ann1@people.example", None)
        made = await previewing.preview(connection, reach.application_id, editing.id, wanted)
    assert framed.content == made.filled.html.encode(), "byte for byte what the frame shows"
    assert "Hello Ann 1 &lt;script&gt;" in framed.text
    text = await editing.text("as=ann1@people.example&width=text")
    assert "Hello Ann 1 &lt;script&gt;" in text
    nobody = await editing.text("as=bob@nowhere.example")
    assert "It cannot be shown like this" in nobody


async def test_a_campaign_is_written_in_the_editor(admin: Person, database: Database) -> None:
    reach = await fill(database)
    form = {
        "application": str(reach.application_id), "name": "June", "from": "news@shop.example", "subject": "Hi",
        "segment_id": str(reach.segment_id), "template": "blocks",
    }  # fmt: skip
    made = await admin.post("/campaigns", "/campaigns/new", **form)
    editing = Editing(admin, made.headers["location"].split("/")[2])
    await editing.send("block", "block=0", text="Tulips for {{ first_name | default('you') }}")
    one, _ = await written(database, editing.id)
    at = f"/campaigns/{one.campaign_id}"
    framed = await admin.get(f"{at}/frame?as=ann1@people.example")
    assert "Tulips for Ann 1 &lt;script&gt;" in framed.text
    shown = await editing.text()
    assert f"{at}/frame?" in shown, "the frame shows what the campaign sends"
    assert 'href="/campaigns" title="Campaigns" aria-current="page"' in shown
    assert editing.id not in (await admin.get("/templates")).text, "in no list"
    assert (await admin.get(f"{at}/content")).headers["location"] == f"/templates/{editing.id}/edit"
    assert (await admin.get(f"/templates/{editing.id}")).headers["location"] == at
    shown = (await admin.get(at)).text
    assert f'src="{at}/frame"' in shown
    assert "<b>6</b> of 6 people" in (await admin.get(f"{at}/reach")).text
    again = {**form, "subject": "Other", "template": ""}
    assert (await admin.post(f"{at}/edit", f"{at}/edit", **again)).status_code == 303
    assert "Tulips" in (await admin.get(f"{at}/frame")).text, "the form leaves alone what it does not show"

    elsewhere = "UPDATE campaigns SET html = '<p>By the API</p>' WHERE id = %s"
    await execute(database, elsewhere, [one.campaign_id])
    refused = await editing.send("block", "block=0", 409, text="Roses")
    assert "changed elsewhere, through the API or a form" in refused.text
    assert "By the API" in (await admin.get(f"{at}/frame")).text

    begun_anew = await admin.post(f"{at}/content", f"{at}/content?anew=yes", code=MJML.replace("Acme", "By hand"))
    assert begun_anew.status_code == 303
    assert "By hand" in (await admin.get(f"{at}/frame")).text
    wrong = await admin.post(f"{at}/content", f"{at}/content?anew=yes", code="<mjml><mj-x /></mjml>")
    assert wrong.status_code == 422
    assert "By hand" in (await admin.get(f"{at}/frame")).text
    assert (await admin.post(f"{at}/start", at, when="now")).status_code == 303
    late = Editing(admin, begun_anew.headers["location"].split("/")[2])
    refused = await late.send("code", status=409, code=MJML.replace("Acme", "Too late"))
    assert "Only a draft can be changed" in refused.text


async def test_a_campaign_begins_with_a_template(admin: Person, database: Database) -> None:
    reach = await fill(database)
    async with database.transaction() as connection:
        content = LanguageEdit((Kind.BLOCKS, document.written(document.STARTER)), "From the template")
        made = await service.create(connection, reach.application_id, Edit(name="Plain", content=content))
        await service.publish(connection, reach.application_id, str(made.id))
    at = f"/campaigns/{reach.draft_id}"
    assert "written outside of the editor" in (await admin.get(f"{at}/content")).text
    answer = await admin.post(f"{at}/content", f"{at}/content", template=str(made.id))
    own = answer.headers["location"].split("/")[2]
    assert UUID(own) != made.id
    assert [one["type"] for one in await blocks(database, own)] == ["heading", "text", "button", "footer"]
    await Editing(admin, own).send("block", "block=0", text="Mine")
    assert (await blocks(database, str(made.id)))[0]["text"] == "Hello {{ first_name | default('there') }}"
    assert await made_of(database, at) == made.id, "also when it was written on"
    await admin.post(f"{at}/content", f"{at}/content?anew=yes", template="blocks")
    assert await made_of(database, at) is None


async def made_of(database: Database, at: str) -> UUID | None:
    """The template of the campaign at this address."""
    async with database.connection() as connection:
        return (await repository.get(connection, None, UUID(at.rpartition("/")[2]))).template_id


async def test_a_campaign_made_of_a_template_in_the_form_says_of_which(admin: Person, database: Database) -> None:
    reach = await fill(database)
    async with database.transaction() as connection:
        content = LanguageEdit((Kind.HTML, "<p>Tulips</p>"), "From the template")
        made = await service.create(connection, reach.application_id, Edit(name="Plain", content=content))
        await service.publish(connection, reach.application_id, str(made.id))
    form = {
        "application": str(reach.application_id), "name": "June", "from": "news@shop.example", "subject": "Hi",
        "segment_id": str(reach.segment_id),
    }  # fmt: skip
    answer = await admin.post("/campaigns", "/campaigns/new", **form, template=str(made.id))
    template, _ = await written(database, answer.headers["location"].split("/")[2])
    at = f"/campaigns/{template.campaign_id}"
    assert await made_of(database, at) == made.id

    await admin.post(f"{at}/edit", f"{at}/edit", **form, html="<p>By hand</p>")
    assert await made_of(database, at) is None
