"""IPs and pools: the heat map, why an IP stands as it does, and what an operator does about it."""

import pytest

from accounts.audit import Wanted, page
from core.paging import Window
from pools.ip_status import ip_status
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.machine import FINE, PAUSED, REST, WARM, fill


@pytest.fixture
async def filled(database: Database) -> None:
    await fill(database)


async def _last(database: Database) -> tuple[str, str, object, object]:
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(1))).entries[0]
    return newest.action, newest.subject, newest.before, newest.after


async def test_the_map_says_who_rests_and_where_its_mail_goes(admin: Person, filled: None) -> None:
    text = (await admin.get("/ips")).text

    assert f"{REST} rests at gmail, back in" in text
    assert "its mail leaves through 2 other IPs of its pool." in text
    assert f"{PAUSED} is paused." in text
    assert 'class="cell is-throttled"' in text
    assert "2.5 a second" in text  # the rate in force at yahoo
    assert "of today&#39;s cap of" in text


async def test_a_panel_shows_the_reply_that_decided_as_text(admin: Person, filled: None) -> None:
    text = (await admin.get(f"/ips?open={REST}+gmail")).text

    assert "The reply that decided" in text
    assert "mail &lt;b&gt;from your IP&lt;/b&gt;" in text
    assert "<b>from your IP</b>" not in text
    assert "Times in a row" in text


async def test_an_operator_ends_a_rest_and_says_why(admin: Person, database: Database, filled: None) -> None:
    at = f"/ips?open={REST}+gmail"
    refused = await admin.post(f"/ips/{REST}/override", at, provider="gmail", reason=" ")
    assert refused.status_code == 422
    assert "Say why" in refused.text

    answer = await admin.post(f"/ips/{REST}/override", at, provider="gmail", reason="the postmaster lifted it")

    assert answer.status_code == 303
    assert "tries gmail now" in (await admin.get(answer.headers["location"])).text
    action, subject, before, after = await _last(database)
    assert (action, subject) == ("throttle.override", f"{REST} gmail")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert (before["state"], after["state"]) == ("throttled", "probing")


async def test_an_operator_rests_pauses_and_resumes_an_ip(admin: Person, database: Database, filled: None) -> None:
    rested = await admin.post(
        f"/ips/{FINE}/rest", f"/ips?open={FINE}+gmail", provider="gmail", hours="2", reason="a test"
    )
    for hours in ("nan", "1e300", "0", "long"):
        odd = await admin.post(f"/ips/{FINE}/rest", f"/ips?open={FINE}+gmail", provider="gmail", hours=hours)
        assert odd.status_code == 422, hours
    paused = await admin.post(f"/ips/{FINE}/pause", f"/ips/{FINE}", reason="moving it")
    async with database.connection() as connection:
        one = await ip_status(connection, FINE)
    resumed = await admin.post(f"/ips/{FINE}/resume", f"/ips/{FINE}")

    assert [rested.status_code, paused.status_code, resumed.status_code] == [303, 303, 303]
    assert one.state == "paused"
    assert [row.key.site for row in one.rests] == ["gmail"]
    assert (await _last(database))[0] == "ip.resume"


async def test_mail_that_has_no_way_is_said_to_wait(admin: Person, filled: None) -> None:
    for address in (FINE, WARM):
        await admin.post(
            f"/ips/{address}/rest", f"/ips?open={address}+gmail", provider="gmail", hours="1", reason="a test"
        )

    text = (await admin.get("/ips")).text
    assert "nothing else of pool marketing sends there, so its mail waits" in text


async def test_an_ip_is_moved_and_its_share_set(admin: Person, database: Database, filled: None) -> None:
    at = f"/ips/{FINE}"
    assert (await admin.post(f"{at}/weight", at, pool="marketing", weight="3")).status_code == 303
    assert "60.0 % of its mail" in (await admin.get(at)).text
    wrong = await admin.post(f"{at}/weight", at, pool="marketing", weight="5000")
    moved = await admin.post(f"{at}/move", at, **{"from": "marketing", "to": "transactional"})

    assert wrong.status_code == 422
    assert moved.status_code == 303
    async with database.connection() as connection:
        assert [pool.name for pool in (await ip_status(connection, FINE)).pools] == ["transactional"]
    assert (await _last(database))[0] == "pool.attach"


async def test_pools_are_made_changed_and_kept_while_something_needs_them(admin: Person, filled: None) -> None:
    made = await admin.post("/pools", "/pools", name="<i>backup</i>", lane="marketing")
    again = await admin.post("/pools", "/pools", name="marketing", lane="marketing", reserved="on")
    assert 'name="reserved" checked' in again.text, "what was ticked is ticked still"
    text = (await admin.get("/pools")).text

    assert made.status_code == 422  # a slash in the name
    assert "no slash" in made.text
    assert again.status_code == 422
    assert "there is a pool marketing already" in again.text.lower()
    assert "Has each pool the right IPs" in text
    assert (await admin.post("/pools", "/pools", name="backup <i>", lane="marketing")).status_code == 303
    assert "backup &lt;i&gt;" in (await admin.get("/pools")).text


async def test_who_only_looks_is_offered_nothing_else(viewer: Person, filled: None) -> None:
    for path in ("/ips", f"/ips?open={REST}+gmail", f"/ips/{REST}", "/pools"):
        text = (await viewer.get(path)).text
        assert text.count('method="post"') == 1, path  # the sign-out


async def test_nothing_there_teaches_the_first_step(admin: Person) -> None:
    assert "postlane ips add" in (await admin.get("/ips")).text
    assert "postlane pools create" in (await admin.get("/pools")).text
    assert (await admin.get("/ips/203.0.113.200")).status_code == 404
    given = {"address": "203.0.113.200", "ehlo_name": "mta.acme.example"}
    tried = await admin.post("/ips", "/ips/new", **given)
    assert tried.status_code == 422  # no host of a test has it
    assert "203.0.113.200" in tried.text
    assert (await admin.post("/ips", "/ips/new", **given, elsewhere="on")).status_code == 303
    assert (await admin.get("/ips/203.0.113.200")).status_code == 200
    assert (await admin.get("/ips?open=nobody")).status_code in (404, 422)
