"""Campaigns: who got it, who did not and why; written, looked at, sent, paused, cancelled."""

import re
from datetime import UTC, datetime

from accounts.audit import Wanted, page
from campaigns import report, repository, tallies
from campaigns.report import Kind
from core.ids import uuid7
from core.paging import Window
from core.queues import Lane
from mta.model import EgressIp
from pools.repository import ensure_pool
from store.database import Database
from templates import service
from templates.build import Kind as Written
from templates.model import Edit, LanguageEdit
from tests.integration.console.conftest import Person
from tests.integration.console.reach import HOSTILE, fill
from tests.integration.messages.emails import execute


async def test_a_campaign_is_read_paused_tried_again_and_cancelled(
    admin: Person, viewer: Person, database: Database
) -> None:
    assert "postlane campaigns create" in (await admin.get("/campaigns")).text
    reach = await fill(database)
    at = f"/campaigns/{reach.campaign_id}"

    listed, one = (await admin.get("/campaigns")).text, (await admin.get(at)).text
    assert "1 campaign is under way: 5 of 6 people are decided." in listed
    assert "2 of 6 people got it (33.3 %); 1 is still to come; 3 did not" in one
    assert "1 person will not get it; 2 already have it." in one
    assert "They called a mail spam." in one  # why it was suppressed
    assert (await viewer.get(at)).text.count('method="post"') == 1  # the sign-out
    people = (await admin.get(f"{at}/recipients?type=failed")).text
    for text in (listed, one, people):
        assert HOSTILE not in text
    assert "ann4@" in people
    assert "ann5@" not in people
    assert (await admin.get(f"{at}/recipients?q=nobody")).status_code == 422
    rows = (await admin.get(f"{at}/recipients.csv")).text.splitlines()
    assert len(rows) == 7
    assert rows[0].startswith("email,contact_id,state")
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    assert (newest.action, newest.after) == ("campaign.download", {"people": "all"})

    assert (await admin.post(f"{at}/pause", at)).status_code == 303
    assert "It is paused. 2 of 6 people got it (33.3 %); 1 waits until it goes on." in (await admin.get(at)).text
    refused = await admin.post(f"{at}/pause", at)
    assert refused.status_code == 422
    assert "cannot be paused" in refused.text
    assert (await admin.post(f"{at}/resume", at)).status_code == 303
    assert (await admin.post(f"{at}/retry", at)).status_code == 303
    assert "1 person is tried again" in (await admin.get(at)).text
    made = await admin.post(f"{at}/again", at, to="missed")
    assert made.headers["location"].startswith("/campaigns/")
    assert (await admin.post(f"{at}/again", at, to="unopened")).status_code == 422  # opens were not tracked
    assert (await admin.post(f"{at}/cancel", at)).status_code == 303
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    assert (newest.action, newest.before, newest.after) == (
        "campaign.cancel", {"state": "sending"}, {"state": "cancelled"},
    )  # fmt: skip
    await execute(database, 'UPDATE campaigns SET plan = \'{"zone": "Mars"}\' WHERE id = %s', [reach.campaign_id])
    assert "it cannot be read, and waits: zone: it must be a time zone" in (await admin.get("/campaigns")).text
    assert "This version of Postlane cannot read it, so it waits: zone:" in (await admin.get(at)).text


async def test_the_end_is_told_by_the_pace_of_late_and_by_who_is_tried_again(admin: Person, database: Database) -> None:
    reach = await fill(database)
    email = uuid7()
    async with database.transaction() as connection:
        await ensure_pool(connection, "bulk", Lane.MARKETING, [EgressIp("127.0.1.9", "127.0.1.9", "mta9.example")])
        await connection.execute("UPDATE campaigns SET started_at = now() - interval '1 hour'")
        await connection.execute(
            "UPDATE campaign_recipients SET state = 'deferred', email_id = %s WHERE contact_id = %s",
            [email, reach.people[0]],
        )
        await connection.execute(
            "INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at)"
            " VALUES (%s, 0, 'marketing', 'people.example', 'a@people.example', 'a@people.example', %s)",
            [email, datetime(2199, 1, 1, 15, 2, tzinfo=UTC)],
        )
        await tallies.add(connection, {(reach.campaign_id, "deferred"): 1, (reach.campaign_id, "delivered"): -1})

    text = (await admin.get(f"/campaigns/{reach.campaign_id}/end")).text

    assert "At the pace of the last 10 minutes (12 an hour) it is out in 5 min" in text
    assert "1 person was put off by their server, and is tried again, next try by " in text
    assert "2199-01-01T15:02" in text


async def test_a_quick_look_at_the_people_says_where_it_ends(database: Database) -> None:
    reach = await fill(database)
    async with database.connection() as connection:
        campaign = await repository.get(connection, None, reach.campaign_id)

        async def look(kind: Kind, most: int) -> tuple[list[str | None], bool]:
            found, more = await report.look(connection, campaign, report.Wanted(kind), Window(50), most)
            return [one.email for one in found.entries], more

        assert await look(Kind.FAILED, 3) == ([], True)
        assert await look(Kind.FAILED, 5) == (["ann4@people.example"], True)
        assert await look(Kind.FAILED, 6) == (["ann4@people.example"], False)
        assert await look(Kind.EXPIRED, 1) == ([], False), "the tallies know that there is none"
        assert await look(Kind.CLICKED, 1) == ([], True)


async def test_a_campaign_is_written_looked_at_checked_and_scheduled(
    admin: Person, viewer: Person, database: Database
) -> None:
    reach = await fill(database)
    form = {
        "application": str(reach.application_id), "name": "June", "from": "news@shop.example", "subject": "Hi",
        "html": f"<b>{{{{ first_name | default('you') }}}}</b>{HOSTILE}", "text": "Hi",
        "segment_id": str(reach.segment_id),
    }  # fmt: skip

    empty = await admin.get(f"/campaigns/new?application={reach.application_id}")
    assert 'name="from" type="text" value="Shop &lt;news@shop.example&gt;"' in empty.text, "there is one domain only"
    wrong = await admin.post("/campaigns", "/campaigns/new", **{**form, "html": "{% if %}"})
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
    made = await admin.post("/campaigns", "/campaigns/new", **form)
    preview = made.headers["location"]
    at = preview.removesuffix("/preview")
    looked_at = (await admin.get(preview)).text
    assert HOSTILE not in looked_at
    assert "ann0@people.example gets it" in looked_at, "as somebody of its segment"
    framed = await admin.get(f"{at}/frame?as=ann1@people.example")
    assert "sandbox" in framed.headers["content-security-policy"]
    assert framed.text.startswith("<b>Ann 1 &lt;script&gt;")
    assert (await viewer.get(f"{at}/frame")).status_code == 403
    assert "There is no contact" in (await admin.get(f"{preview}?as=bob@nowhere.example")).text
    assert (await admin.post(f"{at}/edit", f"{at}/edit", **{**form, "name": "July"})).status_code == 303
    assert (await admin.post(f"{at}/edit", f"{at}/edit", **{**form, "name": "July", "text": "Ho"})).status_code == 303
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    assert (newest.action, list(newest.after or {})) == ("campaign.update", ["content"]), (
        "another content, and not which"
    )
    assert (await admin.post(f"{at}/test", preview, to="me@shop.example")).headers["location"].startswith("/messages/")

    checked = (await admin.get(f"{at}/checks")).text
    assert "It goes to 6 of 6 people" in checked
    assert "default topic, “News and offers”." in checked
    assert "6 people get “Hi” from news@shop.example" in checked
    late = await admin.post(f"{at}/start", preview, when="at", at="2020-01-01T09:00")
    assert late.status_code == 422
    assert "lies in the past" in late.text
    planned = await admin.post(f"{at}/start", preview, when="at", at="2099-01-01T09:00")
    assert planned.status_code == 303
    text = (await admin.get(at)).text
    assert "2099-01-01 09:00:00 CET" in text  # on the clock of who said so
    assert "It is scheduled, and nobody got it yet." in text
    assert (await admin.post(f"{at}/delete", at)).status_code == 303
    assert (await admin.get(at)).status_code == 404


async def test_a_template_is_looked_at_and_published(admin: Person, viewer: Person, database: Database) -> None:
    reach = await fill(database)
    assert "postlane templates create" in (await admin.get("/templates")).text
    html = f"<p>Hello {{{{ first_name | default('you') }}}}</p>{HOSTILE}"
    written = LanguageEdit((Written.HTML, html), f"Hi {HOSTILE}")
    async with database.transaction() as connection:
        made = await service.create(connection, reach.application_id, Edit(name=f"Hi {HOSTILE}", content=written))
    at = f"/templates/{made.id}"

    listed, one = (await admin.get("/templates")).text, (await admin.get(at)).text
    assert "1 template of shop; 1 has changes that are not published." in listed
    assert "It was never published" in one
    for text in (listed, one, (await viewer.get(at)).text):
        assert HOSTILE not in text
    framed = await admin.get(f"{at}/frame?as=ann1@people.example")
    assert "sandbox" in framed.headers["content-security-policy"]
    assert "Hello Ann 1 &lt;script&gt;" in framed.text
    assert (await viewer.get(f"{at}/frame")).status_code == 403
    assert (await admin.get(f"{at}?as=bob@nowhere.example")).status_code == 422
    assert "Also to" not in one, "there is no seed account"
    to = {"to": "me@shop.example, you@shop.example", "from": "Shop <news@shop.example>"}
    tested = await admin.post(f"{at}/test?as=ann1@people.example", at, **to)
    assert tested.headers["location"].startswith("/messages/")
    mail = (await admin.get(tested.headers["location"])).headers["location"]
    assert "[Test] Hi" in (await admin.get(mail)).text
    for wrong in ({"to": ""}, {"to": "nobody"}, {"from": ""}, {"from": "x@elsewhere.example"}):
        refused = await admin.post(f"{at}/test", at, **(to | wrong))
        assert refused.status_code in (409, 422)
        assert 'value="me@shop.example' in refused.text or "to" in wrong, "what was typed is still there"
    looked_at = re.search(r'name="revision" value="(\d+)"', one)
    assert looked_at is not None
    async with database.transaction() as connection:
        other = Edit(content=LanguageEdit((Written.HTML, "<p>Other words</p>")))
        await service.update(connection, reach.application_id, str(made.id), other)
    late = await admin.post(f"{at}/publish", at, revision=looked_at[1])
    assert (late.status_code, "It was changed elsewhere since you loaded it" in late.text) == (409, True)
    assert (await admin.post(f"{at}/publish", at)).status_code == 422, "it does not say which one was looked at"
    assert "It was never published" in (await admin.get(at)).text
    assert (await admin.post(f"{at}/publish", at, revision=str(int(looked_at[1]) + 1))).status_code == 303
    assert "Version 1 is in force" in (await admin.get(at)).text
