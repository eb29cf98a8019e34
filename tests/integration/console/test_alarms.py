"""Alarms: what needs somebody, what they do about it, and streams that are stopped."""

from accounts import repository as accounts
from accounts.audit import Wanted, page
from alarms.model import AlarmKind, Severity
from alarms.repository import raise_alarm
from core.paging import Window
from store.database import Database
from tests.integration.console.conftest import Person

HOSTILE = "0.34 % complained <script>alert(1)</script>"


async def _fill(database: Database) -> None:
    async with database.transaction() as connection:
        await accounts.create_application(connection, "shop")
        await raise_alarm(
            connection, AlarmKind.COMPLAINTS, "marketing mail of shop to yahoo", HOSTILE, Severity.CRITICAL
        )
        await raise_alarm(connection, AlarmKind.IP_RESTING, "203.0.113.5 at gmail", "for 4 hours")


async def test_alarms_are_read_and_looked_after(admin: Person, viewer: Person, database: Database) -> None:
    assert "Nothing needs you." in (await admin.get("/alarms")).text
    await _fill(database)

    text = (await admin.get("/alarms")).text
    assert "2 alarms need you, 1 of them now." in text
    assert "<script>alert" not in text
    assert 'href="/ips?open=203.0.113.5+gmail"' in text
    assert 'href="/providers/yahoo"' in text
    assert "<code>postlane ips why IP</code>" in text
    assert (await viewer.get("/alarms")).text.count('method="post"') == 1  # the sign-out

    complaints = text.partition("/acknowledge")[0].rpartition("/alarms/")[2]
    assert (await admin.post(f"/alarms/{complaints}/acknowledge", "/alarms")).status_code == 303
    assert "ada@acme.example looks after it" in (await admin.get("/alarms")).text
    assert (await admin.post(f"/alarms/{complaints}/snooze", "/alarms", minutes="60")).status_code == 303
    assert (await admin.post(f"/alarms/{complaints}/snooze", "/alarms", minutes="long")).status_code == 422
    assert (await admin.post(f"/alarms/{complaints}/close", "/alarms")).status_code == 303
    story = (await admin.get(f"/alarms?open={complaints}")).text
    assert "acknowledged" in story
    assert "1 alarm needs you." in story
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(3))).entries
    assert [one.action for one in newest] == ["alarm.close", "alarm.snooze", "alarm.acknowledge"]


async def test_a_stream_is_stopped_and_goes_on(admin: Person, database: Database) -> None:
    await _fill(database)
    given = {"application": "shop", "stream": "marketing", "provider": "yahoo", "hours": "6"}

    refused = await admin.post("/breakers", "/alarms", **given, reason="")
    assert refused.status_code == 422
    assert "Say why" in refused.text
    for hours in ("nan", "1e300", "-1", ""):
        odd = await admin.post("/breakers", "/alarms", **(given | {"hours": hours}), reason="a \0 in it")
        assert odd.status_code == 422, hours
    stopped = await admin.post("/breakers", "/alarms", **given, reason="a wrong \0list")
    assert stopped.status_code == 303
    text = (await admin.get("/alarms")).text
    assert "Marketing mail of shop to yahoo is stopped, and waits." in text
    application = text.partition('name="application" value="')[2].partition('"')[0]
    ended = await admin.post("/breakers/end", "/alarms", **(given | {"application": application}))
    assert ended.status_code == 303
    assert "0 mails that waited are due now." in (await admin.get("/alarms")).text
