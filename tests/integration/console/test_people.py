"""People: what may we send them, what did they get, on what consent; segments by their filters."""

from accounts.audit import Wanted, page
from audience import contacts, properties, topics
from audience.importing import imports
from audience.properties import PropertyType
from core.paging import Window
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.reach import HOSTILE, fill


async def test_a_person_is_found_read_unsubscribed_and_erased(
    admin: Person, viewer: Person, database: Database
) -> None:
    reach = await fill(database)
    at = f"/people/{reach.people[0]}"

    listed, one = (await admin.get("/people")).text, (await admin.get(at)).text
    assert at in listed
    assert '<span id="count">6</span>' in (await admin.get("/people/count")).text
    assert "Transactional mail and every topic." in one
    assert "“Asked at the fair”" in one
    for text in (listed, one):
        assert HOSTILE not in text
    assert (await viewer.get(at)).text.count('method="post"') == 1  # the sign-out
    assert (await admin.get("/people?q=ANN0@people.example")).headers["location"] == at
    assert (await admin.get(f"/find?q={reach.people[0]}")).headers["location"] == at
    named = (await admin.get("/find?q=NEWS")).text
    assert f'href="/segments/{reach.segment_id}"' in named, "beside the default topic, News and offers"
    async with database.transaction() as connection:
        await connection.execute("UPDATE campaigns SET name = 'Spring news' WHERE id = %s", [reach.draft_id])
    assert (await admin.get("/find?q=spring+NEWS")).headers["location"] == f"/campaigns/{reach.draft_id}"
    several = (await admin.get("/find?q=news")).text
    assert "3 things are called like" in several
    assert HOSTILE not in several
    assert (
        "nobody@people.example is no contact. Nothing forbids"
        in (await admin.get("/people?q=nobody@people.example")).text
    )
    made = await admin.post("/people", "/people", email="eve@people.example")
    assert "they have not confirmed" in (await admin.get(made.headers["location"])).text
    gone = await admin.post("/people", "/people", email="bob@people.example", application=str(reach.segment_id))
    assert (gone.status_code, "none of yours" in gone.text) == (422, True), "nobody goes to another application"
    wrong = await admin.post("/people", "/people", email="eve")
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text

    assert (await admin.post(f"{at}/unsubscribe", at)).status_code == 303
    assert "Transactional mail only: they left all marketing mail." in (await admin.get(at)).text
    assert (await admin.post(f"{at}/resubscribe", at)).status_code == 303
    assert "every topic" in (await admin.get(at)).text
    assert (await admin.post(f"{at}/erase", at)).status_code == 303
    assert (await admin.get(at)).status_code == 404
    async with database.connection() as connection:
        logged = (await page(connection, Wanted(), Window(20))).entries
    assert logged[0].action == "contact.erase"
    assert "people.example" not in "".join(f"{one.subject} {one.before} {one.after}" for one in logged)


async def test_what_is_known_of_a_person_is_changed(admin: Person, viewer: Person, database: Database) -> None:
    reach = await fill(database)
    at = f"/people/{reach.people[0]}"
    async with database.transaction() as connection:
        for key, kind in (
            ("points", PropertyType.NUMBER),
            ("vip", PropertyType.BOOLEAN),
            ("town", PropertyType.STRING),
        ):
            await properties.create(connection, reach.application_id, key, kind)

    said = {"first_name": HOSTILE, "language": "de-at", "properties.points": "3.5", "properties.vip": "true"}
    changed = await admin.post(f"{at}/facts", at, **said)
    assert changed.status_code == 303
    assert HOSTILE not in (await admin.get(at)).text
    assert (await viewer.get(at)).text.count("/facts") == 0
    wrong = await admin.post(f"{at}/facts", at, **{"properties.points": "many", "first_name": "Eve"})
    assert (wrong.status_code, 'value="many"' in wrong.text, 'aria-invalid="true"' in wrong.text) == (422, True, True)
    gone = await admin.post(
        f"{at}/facts", at, **{**said, "language": "de-AT", "properties.points": "", "properties.town": ""}
    )
    assert gone.status_code == 303
    async with database.connection() as connection:
        known = (await contacts.by_ids(connection, [reach.people[0]]))[reach.people[0]]
        logged = (await page(connection, Wanted(), Window(2))).entries
    assert (known.first_name, known.language, dict(known.properties)) == (HOSTILE, "de-AT", {"vip": True})
    assert [one.after for one in logged] == [
        {"changed": ["points"]}, {"changed": ["first_name", "language", "points", "vip"]},
    ]  # fmt: skip


async def test_a_segment_is_tried_kept_changed_and_deleted(admin: Person, database: Database) -> None:
    assert "there is no application yet" in (await admin.get("/segments")).text.lower()
    reach = await fill(database)

    assert HOSTILE not in (await admin.get("/segments")).text
    assert "6" in (await admin.get(f"/segments/{reach.segment_id}/count")).text
    wrong = (await admin.get("/segments/new?filter=email+is+is")).text
    assert "The filter cannot be read like this." in wrong
    assert "At character 10: expected `set`" in wrong
    tried = (await admin.get("/segments/new?filter=email+contains+%22ann1%22")).text
    assert "1 person fits this filter now." in tried
    refused = await admin.post("/segments", "/segments/new", name="Ann", filter="email is is")
    assert refused.status_code == 422
    made = await admin.post("/segments", "/segments/new", name="Ann", filter='email contains "ann1"')
    at = made.headers["location"]
    assert reach.people[1].hex in (await admin.get(f"/people?segment={at.rpartition('/')[2]}")).text.replace("-", "")
    assert (await admin.post(at, at, name="Anns", filter='email contains "ann"')).status_code == 303
    assert f'hx-get="{at}?look=yes"' in (await admin.get(at)).text, "found behind the page"
    assert "6 people fit this filter now." in (await admin.get(f"{at}?look=yes")).text
    assert (await admin.post(f"{at}/delete", at)).status_code == 303
    assert (await admin.get(at)).status_code == 404


async def test_an_import_is_read_and_stopped(admin: Person, database: Database) -> None:
    reach = await fill(database)
    async with database.transaction() as connection:
        begun = await imports.begin(connection, reach.application_id, f"fair {HOSTILE}.csv", "ada", "{}")
        await connection.execute(
            "UPDATE contact_imports SET status = 'in_progress', line = 40, total = 90, created = 30, failed = 1,"
            """ reasons = '{"no_address": 1}', faults = '[{"line": 7, "text": "<i>", "reason": "no_address"}]'"""
        )
    at = f"/people/imports?open={begun.id}"

    text = (await admin.get(at)).text
    assert "1 list is being read: 40 lines so far." in text
    assert "90 lines: 30 new" in text
    assert HOSTILE not in text
    assert "&lt;i&gt;" in text
    assert (await admin.post(f"/people/imports/{begun.id}/stop", at)).status_code == 303
    assert "It ended early: stopped by ada@acme.example" in (await admin.get(at)).text


async def test_a_topic_is_made_changed_and_deleted(admin: Person, database: Database) -> None:
    reach = await fill(database)

    assert "the default topic" in (await admin.get("/topics")).text
    form = {"name": "Events", "description": HOSTILE, "default": "opt_out", "visibility": "public"}
    assert (await admin.post("/topics", "/topics", **form)).status_code == 303
    text = (await admin.get("/topics")).text
    assert "2 topics of shop; 2 are seen by everybody" in text
    assert "Who has not chosen does not get it. Seen by everybody. Who was silent for 365 days gets none." in text
    assert HOSTILE not in text
    assert (await admin.post("/topics", "/topics", **form)).status_code == 422  # people choose by names
    assert (await admin.post("/topics", "/topics", **{**form, "name": "x" * 51})).status_code == 422
    async with database.connection() as connection:
        made = next(one for one in await topics.every(connection, reach.application_id) if one.name == "Events")
        default = await topics.default_of(connection, reach.application_id)
    assert (await admin.post(f"/topics/{made.id}", "/topics", name="Fairs")).status_code == 303
    assert (await admin.post(f"/topics/{default}/delete", "/topics")).status_code == 422
    assert (await admin.post(f"/topics/{made.id}/delete", "/topics")).status_code == 303
    assert "Fairs</h2>" not in (await admin.get("/topics")).text
