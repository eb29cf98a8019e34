"""Users, their rights, and the log of what was changed."""

import re
from uuid import uuid4

from accounts import audit, users
from accounts.audit import Actor, Entry
from accounts.roles import Role
from accounts.users import NewUser
from store.database import Database
from tests.integration.api.account import make_account
from tests.integration.console.conftest import Person
from tests.integration.messages.emails import rows


async def test_a_user_is_added_with_a_link_for_their_password(
    admin: Person, anybody: Person, database: Database
) -> None:
    account = await make_account(database)
    fields = {"email": "bob@acme.example", "role": "marketer", "applications": str(account.application_id)}

    made = await admin.post("/users", "/users", **fields)

    link = re.search(r"https://console\.acme\.example(/link/[\w-]+)", made.text)
    assert link is not None
    assert await rows(
        database, "SELECT role, cardinality(applications) FROM console_users WHERE role = 'marketer'"
    ) == [("marketer", 1)]
    again = await admin.post("/users", "/users", **fields, limits="some")
    assert again.status_code == 422
    assert "already" in again.text
    assert f'value="{account.application_id}" checked' in again.text, "what was ticked is ticked still"
    assert 'value="some" checked' in again.text
    chosen = await anybody.post(link[1], link[1], password="a sentence of Bob's", again="a sentence of Bob's")
    assert chosen.status_code == 303
    menu = (await anybody.get("/")).text
    assert 'href="/messages"' in menu
    assert 'href="/users"' not in menu


async def test_a_role_is_felt_at_the_next_request_and_logged_with_before_and_after(
    admin: Person, viewer: Person, database: Database
) -> None:
    assert viewer.user is not None
    assert (await viewer.get("/users")).status_code == 403

    wrong = await admin.post(f"/users/{viewer.user.id}/change", role="operator", limits="some")
    assert wrong.status_code == 422
    assert "tick one application at least" in wrong.text
    assert '<option value="operator" selected>' in wrong.text
    changed = await admin.post(f"/users/{viewer.user.id}/change", role="admin")

    assert changed.status_code == 303
    assert (await viewer.get("/users")).status_code == 200
    logged = await rows(database, "SELECT subject, before, after, ip FROM audit_log WHERE action = 'user.change'")
    assert logged == [("vic@acme.example", {"role": "viewer"}, {"role": "admin"}, "203.0.113.9")]


async def test_a_limit_ends_only_when_somebody_says_so(admin: Person, viewer: Person, database: Database) -> None:
    account = await make_account(database)
    assert viewer.user is not None
    path, one = f"/users/{viewer.user.id}/change", str(account.application_id)
    assert (await admin.post(path, role="viewer", limits="some", applications=one)).status_code == 303
    await rows(
        database, "UPDATE console_users SET applications = %s WHERE id = %s RETURNING 1", [[uuid4()], viewer.user.id]
    )

    assert "gone" in (await admin.get(f"/users?open={viewer.user.id}")).text
    for fields in ({}, {"limits": "some"}):
        answer = await admin.post(path, role="admin", **fields)
        assert (answer.status_code, "all of them" in answer.text) == (422, True)
    assert (await admin.post(path, role="viewer", limits="all")).status_code == 303
    assert await rows(database, "SELECT applications FROM console_users WHERE key = 'vic@acme.example'") == [([],)]


async def test_an_admin_who_never_came_in_is_not_the_last_one(admin: Person, database: Database) -> None:
    assert admin.user is not None
    async with database.transaction() as connection:
        invited = await users.create(connection, NewUser("new@acme.example", Role.ADMIN))

    assert (await admin.post(f"/users/{admin.user.id}/disable")).status_code == 409
    assert (await admin.post(f"/users/{invited.id}/disable")).status_code == 303


async def test_the_log_keeps_texts_as_they_are(admin: Person, database: Database) -> None:
    odd = "a\\u0000z and a \0 NUL"
    async with database.transaction() as connection:
        await audit.write(connection, Actor("ada", "console"), Entry("user.change", "x", after={"name": [odd]}))

    assert await rows(database, "SELECT after FROM audit_log") == [({"name": ["a\\u0000z and a  NUL"]},)]


async def test_the_last_admin_stays(admin: Person, database: Database) -> None:
    assert admin.user is not None

    for path, fields in (("disable", {}), ("change", {"role": "viewer"})):
        answer = await admin.post(f"/users/{admin.user.id}/{path}", **fields)
        assert answer.status_code == (409 if path == "disable" else 422)
        assert "last admin" in answer.text
    assert await rows(database, "SELECT role, disabled_at FROM console_users") == [(Role.ADMIN.value, None)]


async def test_the_log_is_searched_and_shows_what_changed(admin: Person, viewer: Person) -> None:
    assert viewer.user is not None
    await admin.post(f"/users/{viewer.user.id}/change", role="developer")
    await admin.post(f"/users/{viewer.user.id}/disable")

    every = (await admin.get("/audit")).text
    some = (await admin.get("/audit?action=user.disable")).text
    opened = re.search(r'href="(/audit\?[^"]*open=[^"]+)"', (await admin.get("/audit?action=user.change")).text)

    assert every.count('class="whole"') == 2
    assert some.count('class="whole"') == 1
    assert 'class="whole"' not in (await admin.get("/audit?actor=vic@acme.example")).text
    assert opened is not None
    panel = (await admin.get(opened[1].replace("&amp;", "&"))).text
    assert re.search(r"role</th><td[^>]*>viewer</td><td[^>]*>developer</td>", panel)
