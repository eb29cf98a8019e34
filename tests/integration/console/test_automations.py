"""Automations in the console: written as lines, switched on and off, read run by run, and nobody else's."""

from accounts import users
from accounts.audit import Wanted, page
from accounts.roles import Role
from audience.contact_history import ContactAct, ContactSource
from campaigns.automations import entering, events, repository, running, workflow
from campaigns.automations.events import Happened
from core.ids import uuid7
from core.paging import Window
from store.database import Database
from templates import service as templates
from templates.build import Kind
from templates.model import Edit, LanguageEdit
from tests.integration.console.conftest import Person
from tests.integration.console.reach import HOSTILE, Reach, fill

ACT = ContactAct(ContactSource.API, actor="a test")


async def filled(database: Database) -> Reach:
    """An application with a published template besides."""
    reach = await fill(database)
    async with database.transaction() as connection:
        content = LanguageEdit((Kind.HTML, "<p>Hello</p>"), "Hello")
        edit = Edit(name="Hello there", alias="hello", content=content, sender="news@shop.example")
        await templates.create(connection, reach.application_id, edit)
        await templates.publish(connection, reach.application_id, "hello")
    return reach


async def test_a_series_is_written_switched_on_read_and_deleted(
    admin: Person, viewer: Person, database: Database
) -> None:
    reach = await filled(database)
    assert "No automation yet" in (await admin.get("/automations")).text
    form = {
        "application": str(reach.application_id),
        "name": f"Trial {HOSTILE}",
        "begins": "event",
        "event": "trial.began",
    }
    wrong = await admin.post("/automations", "/automations/new", **form, steps="wait=3 days\nmail=hello")
    assert (wrong.status_code, "Line 2, " in wrong.text, "wait=3 days" in wrong.text) == (422, True, True)
    soon = await admin.post("/automations", "/automations/new", **form, steps="wait=soon\nsend=hello")
    assert (soon.status_code, "Line 1, &#39;wait=soon&#39;: it must be a time" in soon.text) == (422, True)
    made = await admin.post(
        "/automations", "/automations/new", **form, steps="send=Hello there\nwait=3 days\nsend=hello"
    )
    at = made.headers["location"]
    one = (await admin.get(at)).text
    assert "Nobody enters: it is off. Nobody has entered it yet." in one
    assert "trial.<wbr>began happens" in one
    assert HOSTILE not in one
    assert (await viewer.get(at)).text.count('method="post"') == 1  # the sign-out

    assert (await admin.post(f"{at}/enable", at)).status_code == 303
    async with database.transaction() as connection:
        happened = Happened("trial.began", None, "ann0@people.example", {})
        await events.tell(connection, reach.application_id, happened, ACT)
    await entering.enter_confirmed(database)
    await running.do_due(database, "sandbox.example")
    text = (await admin.get(at)).text
    assert "People enter. 1 run is under way, 0 went through." in text
    assert "ann0@<wbr>people.<wbr>example" in text
    run = text.split(f"{at}?open=")[1][:36]
    panel = (await admin.get(f"{at}?open={run}")).text
    assert ("Send email" in panel, "Its mail" in panel, run in panel) == (True, True, True)
    assert (await admin.post(f"{at}/runs/{run}/cancel", f"{at}?open={run}")).status_code == 303
    assert "cancelled by hand" in (await admin.get(f"{at}?status=cancelled")).text

    edited = (await admin.get(f"{at}/edit")).text
    assert "wait=3 days\nsend=hello</textarea>" in edited
    await admin.post(f"{at}/edit", f"{at}/edit", **(form | {"name": "Trials"}), steps="send=hello")
    async with database.connection() as connection:
        (known,) = (await repository.page(connection, reach.application_id, Window())).entries
        steps, _ = workflow.to_json(await repository.workflow_of(connection, known))
    assert (known.name, [step["type"] for step in steps]) == ("Trials", ["trigger", "send_email"])
    assert (await admin.get("/find?q=Trials")).headers["location"] == at
    copy = (await admin.post(f"{at}/duplicate", at)).headers["location"]
    assert copy != at
    assert (await admin.post(f"{copy}/delete", copy)).status_code == 303
    assert (await admin.get(copy)).status_code == 404
    logged = (await admin.get("/audit")).text
    assert "automation" in logged


async def test_nobody_sees_or_stops_what_is_another_applications(
    admin: Person, viewer: Person, database: Database
) -> None:
    reach = await filled(database)
    form = {"application": str(reach.application_id), "name": "Trial", "begins": "confirmed", "steps": "send=hello"}
    at = (await admin.post("/automations", "/automations/new", **form)).headers["location"]
    async with database.transaction() as connection:
        assert viewer.user is not None
        await users.set_role(connection, viewer.user, Role.MARKETER, (uuid7(),))

    for method in ("", "/edit"):
        assert (await viewer.get(f"{at}{method}")).status_code == 404
    for act in ("enable", "disable", "stop", "duplicate", "delete", "edit"):
        assert (await viewer.post(f"{at}/{act}", "/account")).status_code == 404, act
    assert (await admin.post(f"{at}/burn", at)).status_code == 404


async def test_of_two_who_write_one_the_later_is_told(admin: Person, database: Database) -> None:
    """And the audit log says of each change what was there before it."""
    reach = await filled(database)
    form = {"application": str(reach.application_id), "name": "Trial", "begins": "confirmed", "steps": "send=hello"}
    at = (await admin.post("/automations", "/automations/new", **form)).headers["location"]
    revision = (await admin.get(f"{at}/edit")).text.split('name="revision" value="')[1].split('"')[0]

    first = await admin.post(f"{at}/edit", f"{at}/edit", **form | {"name": "First", "revision": revision})
    second = await admin.post(f"{at}/edit", f"{at}/edit", **form | {"name": "Second", "revision": revision})

    assert (first.status_code, second.status_code) == (303, 422)
    assert "omebody else has changed it since you opened this form" in second.text
    assert 'value="Second"' in second.text
    again = second.text.split('name="revision" value="')[1].split('"')[0]
    third = await admin.post(f"{at}/edit", f"{at}/edit", **form | {"name": "Second", "revision": again})
    assert third.status_code == 303
    async with database.connection() as connection:
        found = (await page(connection, Wanted(), Window(2))).entries
    told = [(one.before or {})["name"] for one in found], [(one.after or {})["name"] for one in found]
    assert told == (["First", "Trial"], ["Second", "First"])
