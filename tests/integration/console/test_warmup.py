"""Warm-up: plan against actual, what an operator does about it, and a plan tried before it starts."""

from accounts.audit import Wanted, page
from core.paging import Window
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.machine import COLD, WARM, fill


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

    tried = await admin.get(f"/warmup/new?ip={COLD}&plan=linear-45&target=9000&per_day=40000")
    assert "45 stages" in tried.text
    assert f"Warm up {COLD} by this plan" in tried.text
    wrong = await admin.get("/warmup/new?plan=linear-45&target=many")
    assert "whole number of mails a day" in wrong.text
    started = await admin.post("/warmup", "/warmup/new", ip=COLD, plan="linear-45", target="9000")
    assert started.headers["location"] == f"/warmup/{COLD}"
    refused = await admin.post("/warmup", "/warmup/new", ip=COLD, plan="linear-45", target="9000")
    assert refused.status_code == 422
    assert "already" in refused.text
