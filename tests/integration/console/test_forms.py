"""Sign-up forms: made, changed, deleted, and what is put on other pages."""

import re
from dataclasses import replace

from fastapi import FastAPI

from accounts import repository as accounts
from accounts import users
from accounts.audit import Wanted, page
from accounts.roles import Role
from audience import forms, properties, segments, topics
from audience.forms import Field, FormFacts, Texts
from audience.properties import PropertyType
from audience.topics import NewTopic, Subscription
from console.forms.filled import LANGUAGES
from core.paging import Window
from pages.language import CATALOGUES
from store.database import Database
from tests.integration.console.conftest import KEY, Person
from tests.integration.console.reach import HOSTILE, Reach, fill

PUBLIC = "https://mail.acme.example"
GIVEN = {"name": f"Footer {HOSTILE}", "from": "Shop <hello@shop.example>", "language": "en", "texts_in": "en"}


def _public(app: FastAPI) -> None:
    """This server has public pages."""
    settings = app.state.deps.settings.model_copy(update={"public_url": PUBLIC})
    app.state.deps = replace(app.state.deps, settings=settings)


async def _made(admin: Person, app: FastAPI, reach: Reach, **more: str) -> str:
    _public(app)
    fields = GIVEN | {"field": "first_name", "required": "first_name", "consent": f"I agree {HOSTILE}", "welcome": "1"}
    owner = {"application": str(reach.application_id)}
    made = await admin.post("/forms", "/forms/new", **(fields | owner | more))
    assert made.status_code == 303, made.text
    return made.headers["location"]


async def test_a_form_is_made_changed_and_deleted(admin: Person, app: FastAPI, database: Database) -> None:
    reach = await fill(database)
    empty = (await admin.get("/forms")).text
    assert "No form yet" in empty
    assert "this server has no public pages" in empty
    none = await admin.post("/forms", "/forms/new", **GIVEN)
    assert (none.status_code, "Set POSTLANE_PUBLIC_URL" in none.text) == (422, True)

    at = await _made(admin, app, reach)
    one = (await admin.get(at)).text
    assert f"{PUBLIC}/s/{at.rpartition('/')[2]}" in one
    assert "data-postlane" in one
    assert "curl" in one
    assert "First name (needed)" in one
    changed = await admin.post(
        f"{at}/change",
        f"{at}/change?in=de",
        **(GIVEN | {"texts_in": "de", "title": "Neues", "origins": "https://a.example/"}),
    )
    assert changed.status_code == 303
    async with database.connection() as connection:
        [kept] = (await forms.page(connection, reach.application_id, Window(5))).entries
    assert (kept.facts.texts["de"].title, kept.facts.texts["en"].consent) == ("Neues", f"I agree {HOSTILE}")
    assert (kept.facts.fields, kept.facts.welcome, kept.facts.origins) == ((), False, ("https://a.example",))
    for path in ("/forms", at, f"{at}/change", f"{at}/change?in=de"):
        assert HOSTILE not in (await admin.get(path)).text, path

    for field, value in (("name", ""), ("from", "x@nobody.example"), ("origins", "x"), ("intro", "a" * 2001)):
        wrong = await admin.post(f"{at}/change", f"{at}/change", **(GIVEN | {field: value}))
        assert (wrong.status_code, f'id="error-{field}"' in wrong.text) == (422, True), field
    assert (await admin.post(f"{at}/delete", at)).status_code == 303
    assert (await admin.get(at)).status_code == 404
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(3))).entries
    assert [one.action for one in newest] == ["form.delete", "form.update", "form.create"]


async def test_what_the_api_made_stays_what_it_is(admin: Person, app: FastAPI, database: Database) -> None:
    """A form with a language and an order of its own, whose list is older than two hundred others."""
    reach = await fill(database)
    _public(app)
    asked = (Field("last_name", {"it": "Cognome"}), Field("city", {}, True), Field("first_name"))
    said = {"it": Texts("Novità"), "en": Texts("News")}
    async with database.transaction() as connection:
        old = await segments.create(connection, reach.application_id, "The oldest list")
        for number in range(201):
            await segments.create(connection, reach.application_id, f"List {number}")
        for key in ("age", "city"):
            await properties.create(connection, reach.application_id, key, PropertyType.STRING)
        facts = FormFacts("Piè", "Shop <hello@shop.example>", old.id, (), asked, "it", said)
        made = await forms.create(connection, reach.application_id, facts)
    at = f"/forms/{made.id}"

    assert "<dt>Texts in</dt><dd>English, it</dd>" in (await admin.get(at)).text
    page_of_it = (await admin.get(f"{at}/change")).text
    assert 'value="Novità"' in page_of_it, "the texts of its own language"
    assert 'name="segment_id" value="The oldest list"' in page_of_it, "of more than 50 the name is typed"
    assert "<option selected>it</option>" in page_of_it
    offered = re.findall(r'name="field" value="(\w+)"( checked)?', page_of_it)
    assert offered == [
        ("last_name", " checked"), ("city", " checked"), ("first_name", " checked"), ("age", ""),
    ]  # fmt: skip

    fields = {
        "name": "Piè", "from": "Shop <hello@shop.example>", "segment_id": str(old.id), "language": "it",
        "texts_in": "it", "title": "Tutto", "required": "city", "welcome": "1",
    }  # fmt: skip
    key = KEY.search(page_of_it)
    assert key is not None
    answer = await admin.http.post(
        f"{at}/change", data={**fields, "form_key": key[1], "field": [name for name, _ in offered]},
        headers={"sec-fetch-site": "same-origin"},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    async with database.connection() as connection:
        kept = (await forms.get(connection, reach.application_id, made.id)).facts
    assert kept == replace(facts, fields=(*asked, Field("age")), texts={**said, "it": Texts("Tutto")})


async def test_a_form_is_looked_at_in_a_frame_of_its_own_pages(admin: Person, app: FastAPI, database: Database) -> None:
    reach = await fill(database)
    at = await _made(admin, app, reach)
    answer = await admin.get(f"{at}?lang=de")

    assert f'src="{PUBLIC}/preview/' in answer.text
    assert "?lang=de" in answer.text
    assert f"frame-src 'self' {PUBLIC};" in answer.headers["content-security-policy"]
    assert 'sandbox="allow-same-origin"' in answer.text
    async with database.transaction() as connection:
        news = await topics.create(connection, NewTopic(reach.application_id, "News", Subscription.OPT_IN))
    look = await admin.get(f"/topics/{news.id}")
    assert f'src="{PUBLIC}/preview/' in look.text
    assert (await admin.get(f"/topics/{reach.segment_id}")).status_code == 404
    assert {code for code, _ in LANGUAGES} == set(CATALOGUES)


async def test_a_form_of_another_application_is_not_there(
    admin: Person, viewer: Person, app: FastAPI, database: Database
) -> None:
    reach = await fill(database)
    at = await _made(admin, app, reach)
    assert viewer.user is not None
    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        await users.set_role(connection, viewer.user, Role.MARKETER, (other.id,))

    assert at not in (await viewer.get("/forms")).text
    assert (await viewer.get(at)).status_code == 404
    assert (await viewer.post(f"{at}/change", "/", **GIVEN)).status_code == 404
    assert (await viewer.post(f"{at}/delete", "/")).status_code == 404
