"""Warm-up: plan against actual, what an operator does about it, and a plan tried before it starts."""

import asyncio
import re

import pytest
from fastapi import FastAPI

from accounts.audit import Wanted, page
from core.paging import Window
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.machine import COLD, WARM, fill
from tests.integration.messages.emails import rows
from warmup import library


async def test_a_warm_up_is_read_held_moved_and_started(admin: Person, viewer: Person, database: Database) -> None:
    assert "postlane warmup start" in (await admin.get("/warmup")).text
    await fill(database)
    at = f"/warmup/{WARM}"

    listed, one = (await admin.get("/warmup")).text, (await admin.get(at)).text
    assert f"{WARM} is at stage 4 of 7, 2 days behind a stage a day. It is over on" in listed
    assert "Plan against actual" in one
    assert "2 days</span>" in one  # stage 3 was held
    assert (await viewer.get(at)).text.count('method="post"') == 1  # the sign-out

    held = await admin.post(f"{at}/hold", at, reason="<script>alert(1)</script>")
    assert held.status_code == 303
    text = (await admin.get(at)).text
    assert "on hold at stage 4 of 7" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    again = await admin.post(f"{at}/hold", at)
    assert again.status_code == 422
    assert f"The warm-up of {WARM} is paused" in again.text
    assert (await admin.post(f"{at}/resume", at)).status_code == 303
    assert (await admin.post(f"{at}/skip", at, track="gmail")).status_code == 303
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    assert (newest.action, newest.before, newest.after) == (
        "warmup.skip", {"gmail": "4 active"}, {"gmail": "5 active"},
    )  # fmt: skip

    tried = await admin.get(f"/warmup/new?ip={COLD}&plan=linear-45&target=9000&per_day=40%20000")
    assert "45 stages" in tried.text
    assert "With 40 k mails a day it is" in tried.text
    assert 'hx-select-oob="#told"' in tried.text
    assert f"Warm up {COLD} by this plan" in tried.text
    wrong = await admin.get("/warmup/new?plan=linear-45&target=many")
    assert "whole number of mails a day" in wrong.text
    started = await admin.post("/warmup", "/warmup/new", ip=COLD, plan="linear-45", target="9000")
    assert started.headers["location"] == f"/warmup/{COLD}"
    refused = await admin.post("/warmup", "/warmup/new", ip=COLD, plan="linear-45", target="9000")
    assert refused.status_code == 422
    assert "already" in refused.text


async def test_a_plan_is_made_looked_at_changed_copied_and_deleted(
    admin: Person, viewer: Person, database: Database
) -> None:
    await fill(database)
    plans = (await admin.get("/warmup/plans")).text
    assert "0 plans of your own" in plans
    assert "postlane warmup plans create" in plans
    copied = (await admin.get("/warmup/plans/new?copy=linear-45")).text
    assert 'name="name" type="text" value="my-linear-45"' in copied
    assert copied.count('<input name="stage" value="') == 46, "each stage, and one to be added"
    assert "Keep this plan" not in (await viewer.get("/warmup/plans/new")).text

    at = "/warmup/plans"
    fields: dict[str, str | list[str]] = {
        "name": "careful",
        "stage": ["200", "1,000", "", " 5 000", ""],
        "weight-gmail": "50 %",
    }
    looked = (
        await admin.get("/warmup/plans/new?stage=200&stage=1%20000&stage=5000&weight-gmail=50&per_day=20%20000&day=2")
    ).text
    assert "Begun today with 20 k mails a day, it ends on" in looked
    assert "On day 2 it sends" in looked
    assert 'value="1 000"' in looked, "what is typed stays as it is"
    assert '</td><td class="right">500</td><td class="right">500</td></tr>' in looked, "and its parts stand beside it"
    made = await admin.post(at, "/warmup/plans/new", **fields, advance="clock", complaint="0,2")
    assert made.headers["location"] == "/warmup/plans/careful"
    async with database.connection() as connection:
        plan = await library.find(connection, "careful")
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    assert (plan.stages, plan.weights) == ((200, 1000, 5000), {"gmail": 0.5, "*": 0.5})
    assert (plan.advance.value, plan.thresholds.complaint, plan.thresholds.deferral) == ("clock", 0.002, 0.1)
    assert (newest.action, newest.subject, newest.before) == ("plan.create", "careful", None)

    saved = await admin.post(
        f"{at}/careful", f"{at}/careful", **fields | {"stage": ["300", "900"]}, zone="Europe/Berlin"
    )
    assert saved.headers["location"] == "/warmup/plans/careful"
    async with database.connection() as connection:
        changed = await library.find(connection, "careful")
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    assert (changed.stages, changed.zone, changed.thresholds) == ((300, 900), "Europe/Berlin", plan.thresholds)
    assert newest.before is not None
    assert (newest.action, newest.before["stages"]) == ("plan.update", [200, 1000, 5000])
    assert (await admin.post(f"{at}/careful/delete", f"{at}/careful")).headers["location"] == at
    assert (await admin.get(f"{at}/careful")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"stage": ["500", "", "200"]}, "Stage 2: 200 a day falls below stage 1"),
        ({"stage": "many"}, "Stage 1: &#39;many&#39; must be a whole number"),
        ({"stage": ""}, "ust be a list of 1 to 400 daily caps"),
        ({"weight-gmail": "80", "weight-yahoo": "30"}, "heir sum is 1.1"),
        ({"weight-gmail": "half"}, "must be a percentage"),
        ({"weight-gmail": "0.1"}, "less than one mail a day"),
        ({"from": "9", "to": "9"}, "has no hour in it"),
        ({"zone": "Mars"}, "is no time zone"),
        ({"deferral": "110"}, "must be above 0 to 1"),
        ({"name": "Two words"}, "ust be 1 to 63 characters"),
        ({"name": "stages-29"}, "is the name of a preset"),
    ],
)
async def test_a_plan_that_cannot_be_says_where(
    admin: Person, database: Database, fields: dict[str, str | list[str]], told: str
) -> None:
    right: dict[str, str | list[str]] = {"name": "careful", "stage": ["200", "500"], "weight-gmail": "50"}

    answer = await admin.post("/warmup/plans", "/warmup/plans/new", **right | fields)

    assert answer.status_code == 422
    assert told in answer.text
    assert 'value="careful"' in answer.text or "name" in fields, "what was typed is there still"
    assert await rows(database, "SELECT count(*) FROM warmup_plans") == [(0,)]


async def test_no_key_of_a_form_stands_in_an_address(admin: Person, database: Database) -> None:
    await fill(database)
    for path in ("/warmup/plans/new", "/segments/new", "/warmup/new"):
        text = (await admin.get(path)).text
        forms = re.findall(r"<form.*?</form>", text, re.S)
        looked_at = [one for one in forms if "hx-get" in one or 'formmethod="get"' in one]
        assert looked_at, path
        assert not [one for one in looked_at if re.search(r'<input[^>]*name="form_key"', one)], path


async def test_a_plan_is_rehearsed_day_by_day(admin: Person, viewer: Person, database: Database, app: FastAPI) -> None:
    await fill(database)
    fields: dict[str, str | list[str]] = {
        "name": "careful", "stage": ["200", "1 000"], "weight-gmail": "100", "per_day": "3 000", "base": "stages-29",
    }  # fmt: skip
    assert (await viewer.post("/warmup/rehearsals", "/", **fields)).status_code == 403
    wrong = await admin.post("/warmup/rehearsals", "/warmup/plans/new", **fields | {"per_day": "0"})
    assert (wrong.status_code, "rehearsal takes 1 to" in wrong.text) == (422, True)
    long = await admin.post("/warmup/rehearsals", "/warmup/plans/new", **fields | {"days": "61"})
    assert (long.status_code, "rehearsal takes 1 to 60 days" in long.text) == (422, True)
    asked = await admin.post("/warmup/rehearsals", "/warmup/plans/new", **fields | {"days": "2"})
    at = asked.headers["location"]
    assert at.startswith("/warmup/rehearsals/")
    one = app.state.deps.rehearsals.get(at.rpartition("/")[2])
    assert 'hx-trigger="every 2s"' in (await admin.get(at)).text
    async with asyncio.timeout(240):
        while not one.over:
            await asyncio.sleep(0.1)
    text = (await viewer.get(at)).text
    assert one.trouble == ""
    assert "In 2 days with 3,000 mails a day" in text
    assert "A blast of the same mail:" in text
    assert text.partition('class="scroll stages"')[2].count('<tr><th scope="row">') == 2
    assert "hx-trigger" not in text.partition('id="progress"')[2].partition(">")[0], "it is through, and asks no more"
    assert one.wanted.plan["stages"] == [200, 1000]
    assert (await admin.get("/warmup/rehearsals/none")).status_code == 404
