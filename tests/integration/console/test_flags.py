"""The page of flags: what stands how, what a switch will do, and who may."""

from collections.abc import AsyncIterator

import pytest

from accounts import audit
from accounts.audit import Wanted
from core.ids import uuid7
from core.paging import Window
from flags import asking, service
from flags.declared import FLAGS
from flags.service import Change
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.messages.emails import execute

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
async def _as_declared(database: Database) -> AsyncIterator[None]:
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'shop')", [uuid7()])
    yield
    asking.hold({}, None)


async def test_a_switch_is_told_before_it_is_made_and_noted_after(admin: Person, database: Database) -> None:
    assert f"No: all {len(FLAGS)} flags stand as declared." in (await admin.get("/flags")).text
    asked = await admin.get(f"/flags/tracking?percent=off&reason={HOSTILE}")
    assert "Tracking: off, for everything. Mail that is made from then on has the links" in asked.text
    assert "within 2 seconds" in asked.text
    assert HOSTILE not in asked.text
    assert "Switch tracking off" in asked.text
    assert (await admin.get("/flags")).text.count("as declared.") == 1, "asking changes nothing"

    done = await admin.post("/flags/tracking", "/flags/tracking?percent=off", percent="off", reason=HOSTILE)
    assert (done.status_code, done.headers["location"]) == (303, "/flags?open=tracking")
    text = (await admin.get("/flags?open=tracking")).text
    assert "Yes, 1 flag: tracking off." in text
    assert "ada@" in text
    assert "&lt;script&gt;" in text
    assert HOSTILE not in text
    async with database.connection() as connection:
        (line,) = (await audit.page(connection, Wanted(action="flag"), Window(5))).entries
    assert (line.action, line.subject, line.actor, line.door) == ("flag.set", "tracking", "ada@acme.example", "console")
    assert (line.before, line.after) == ({"percent": None, "reason": ""}, {"percent": 0, "reason": HOSTILE})
    assert "1 flag switched" in (await admin.get("/system")).text
    assert "Switched a flag" in (await admin.get("/audit")).text


async def test_an_application_and_a_share_and_back(admin: Person, database: Database) -> None:
    asked = await admin.get("/flags/tracking?percent=20")
    assert "Tracking: on for 20 % of mail, for everything." in asked.text
    assert "For the other 80 %" in asked.text
    asked = await admin.get("/flags/automations?percent=off&application=shop")
    assert "Automations: off, for shop." in asked.text
    where = "/flags/automations?percent=off"
    assert (await admin.post("/flags/automations", where, percent="off", application="shop")).status_code == 303
    text = (await admin.get("/flags?open=automations")).text
    assert "automations on (off for shop)" in text
    assert "percent=back&amp;application=shop" in text
    asked = await admin.get("/flags/automations?percent=off")
    assert "1 application has a switch of its own that goes before: shop off." in asked.text
    asked = await admin.get("/flags/automations?percent=back&application=shop")
    assert "Automations: back to what holds for everything, on, for shop." in asked.text
    assert (await admin.post("/flags/automations", where, percent="back", application="shop")).status_code == 303
    async with database.connection() as connection:
        assert (await service.state(connection, "automations")).as_declared


async def test_what_cannot_be_is_said_beside_its_field(admin: Person) -> None:
    for path, said in (
        ("/flags/tracking?percent=much", "whole number"),
        ("/flags/automations?percent=20&application=shop", "it is on or off"),
        ("/flags/automations?percent=off&application=nobody", "There is no application nobody"),
    ):
        wrong = await admin.get(path)
        assert (wrong.status_code, said in wrong.text) == (422, True), path
    assert (await admin.get("/flags/nothing?percent=off")).status_code == 404
    where = "/flags/tracking?percent=off"
    assert (await admin.post("/flags/tracking", where, percent="101")).status_code == 422


async def test_who_only_looks_switches_nothing(viewer: Person, database: Database) -> None:
    async with database.transaction() as connection:
        await service.switch(connection, "tracking", Change(0, None, "ticket 7"), "eve")
    assert (await viewer.get("/flags")).status_code == 403
    assert (await viewer.get("/flags/tracking?percent=on")).status_code == 403
