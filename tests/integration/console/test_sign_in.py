"""Coming in and going out, for people and for those who are none."""

import re
from pathlib import Path

import httpx
import pyotp
import pytest
from fastapi import FastAPI

from accounts import second_factor, sessions, sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from console import guard, throttling
from console.guard import local
from core.clock import SystemClock
from core.secrets import InstanceSecret
from store.database import Database
from tests.integration.console.conftest import HASHED, PASSWORD, SECRET, Person, browser_of
from tests.integration.messages.emails import rows

SESSION = "__Host-postlane_session"
ADA = "ada@acme.example"


async def _link(database: Database, purpose: Purpose, email: str = "") -> str:
    async with database.transaction() as connection:
        user = (await users.get(connection, email)).id if email else None
        return f"/link/{await sign_in_links.make(connection, purpose, user)}"


def _field(answer: httpx.Response, name: str) -> str:
    return answer.text.partition(f'name="{name}" value="')[2].partition('"')[0]


async def _with_factor(database: Database, person: Person) -> pyotp.TOTP:
    """A second factor, put there without its pages."""
    assert person.user is not None
    key, secret = second_factor.fresh_key(), InstanceSecret.from_text(SECRET)
    async with database.transaction() as connection:
        await users.set_totp(connection, person.user.id, second_factor.sealed(key, person.user.id, secret))
    return pyotp.TOTP(key)


async def _sign_in(person: Person, email: str = ADA, password: str = PASSWORD, **fields: str) -> int:
    answer = await person.post("/sign-in", "/sign-in", email=email, password=password, **fields)
    return answer.status_code


async def test_the_first_user_is_made_by_a_link_that_works_once(anybody: Person, database: Database) -> None:
    link = await _link(database, Purpose.FIRST)
    assert "Nobody has an account yet" in (await anybody.get("/sign-in")).text
    assert "Make the first account" in (await anybody.get(link)).text

    short = await anybody.post(link, link, email=ADA, password="short", again="short")
    assert short.status_code == 422
    assert "12 characters" in short.text
    made = await anybody.post(link, link, email=ADA, password=PASSWORD, again=PASSWORD, browser_zone="Asia/Tokyo")

    assert (made.status_code, made.headers["location"]) == (303, "/")
    assert (await anybody.get("/")).status_code == 200
    assert await rows(database, "SELECT email, role FROM console_users") == [(ADA, "admin")]
    assert await rows(database, "SELECT zone FROM console_sessions") == [("Asia/Tokyo",)]
    assert (await anybody.get(link)).status_code == 410
    stale = await _link(database, Purpose.FIRST)
    assert (await anybody.get(stale)).status_code == 410, "there is a user: no link makes a second first one"
    actions = await rows(database, "SELECT action FROM audit_log ORDER BY id")
    assert [action for (action,) in actions] == ["user.create", "user.password", "session.begin"]


async def test_a_sign_in_makes_a_new_session_and_leads_to_where_one_wanted_to_go(
    admin: Person, anybody: Person
) -> None:
    await anybody.get("/sign-in")
    planted = anybody.http.cookies[SESSION]

    answer = await anybody.post(
        "/sign-in", "/sign-in?next=/messages", email="Ada@Acme.example", password=PASSWORD, next="/messages?q=a"
    )

    assert answer.headers["location"] == "/messages?q=a"
    assert anybody.http.cookies[SESSION] not in ("", planted)
    cookie = answer.headers.get_list("set-cookie")[0]
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
    away = await admin.http.get("/sign-in?next=https://evil.example", headers={"sec-fetch-site": "none"})
    assert away.headers["location"] == "/"


@pytest.mark.parametrize("door", ["password", "code", *Purpose])
async def test_whoever_plants_a_session_gets_none_by_it(
    anybody: Person, app: FastAPI, database: Database, door: Purpose | str
) -> None:
    """Through each door: the token that was there before is nobody's, and forms made for it are refused."""
    planted = "planted-by-eve-planted-by-eve-planted-by-eve"
    anybody.http.cookies.set(SESSION, planted)
    if door is not Purpose.FIRST:
        async with database.transaction() as connection:
            ada = await users.create(connection, NewUser(ADA, Role.ADMIN))
            await users.set_password(connection, ada.id, HASHED)
    eve = Person(browser_of(app))
    eve.http.cookies.set(SESSION, planted)
    key = _field(await eve.get("/sign-in"), "form_key")

    answer = await _through(door, anybody, database)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    fresh = re.search(rf"{SESSION}=([^;]+)", answer.headers["set-cookie"])
    assert fresh is not None
    assert len(fresh[1]) > 30
    assert planted not in fresh[1]
    assert (await eve.get("/account")).status_code == 303
    mine = Person(browser_of(app))
    mine.http.cookies.set(SESSION, fresh[1])
    assert (await mine.get("/account")).status_code == 200
    assert (await mine.raw_post("/sign-out", form_key=key)).status_code == 403, "a form of the planted session"
    await eve.http.aclose()
    await mine.http.aclose()


async def _through(door: Purpose | str, person: Person, database: Database) -> httpx.Response:
    chosen = {"password": "another good sentence", "again": "another good sentence"}
    if isinstance(door, Purpose):
        link = await _link(database, door, ADA if door is not Purpose.FIRST else "")
        fields = {} if door is Purpose.SIGN_IN else chosen | ({"email": ADA} if door is Purpose.FIRST else {})
        return await person.post(link, link, **fields)
    totp = None
    if door == "code":
        async with database.connection() as connection:
            totp = await _with_factor(database, Person(person.http, await users.get(connection, ADA)))
    answer = await person.post("/sign-in", "/sign-in", email=ADA, password=PASSWORD)
    if totp is None:
        return answer
    code = totp.at(int(SystemClock().now().timestamp()))
    return await person.post("/sign-in/code", "/sign-in", ticket=_field(answer, "ticket"), code=code)


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(admin: Person, anybody: Person) -> None:
    answers = [
        await anybody.post("/sign-in", "/sign-in", email=email, password="not the password")
        for email in (ADA, "nobody@acme.example", "no address", "")
    ]

    assert [answer.status_code for answer in answers] == [422] * 4
    assert all("do not belong together" in answer.text for answer in answers)


async def test_a_stranger_cannot_lock_the_owner_out(admin: Person, anybody: Person, database: Database) -> None:
    assert await _sign_in(anybody) == 303
    known = anybody.http.cookies["__Host-postlane_browser"]
    anybody.http.cookies.clear()
    for _ in range(throttling.OF_ACCOUNT):
        await _sign_in(anybody, password="a guess of somebody")

    for _ in range(2):
        assert await _sign_in(anybody) == 429, "the account is closed to browsers that it does not know"
    refused = await rows(database, "SELECT subject, after FROM audit_log WHERE action = 'session.refused'")
    assert refused == [(ADA, {"why": "too many attempts"})], "said once"
    anybody.http.cookies.set("__Host-postlane_browser", known)
    assert await _sign_in(anybody) == 303, "and open to the one it knows"
    anybody.http.cookies.clear()
    anybody.http.cookies.set("__Host-postlane_browser", known.replace(known[-4:], "0000"))
    assert await _sign_in(anybody) == 429


async def test_going_out_ends_the_session(admin: Person) -> None:
    token = admin.http.cookies[SESSION]

    assert (await admin.post("/sign-out")).headers["location"] == "/sign-in"
    admin.http.cookies.set(SESSION, token)

    assert (await admin.get("/")).headers["location"] == "/sign-in"


async def test_who_is_disabled_is_out_at_once(
    admin: Person, viewer: Person, anybody: Person, database: Database
) -> None:
    assert viewer.user is not None
    link = await _link(database, Purpose.SIGN_IN, viewer.user.email)

    assert (await admin.post(f"/users/{viewer.user.id}/disable")).status_code == 303

    assert (await viewer.get("/")).status_code == 303
    assert await _sign_in(anybody, viewer.user.email) == 422
    assert (await anybody.get(link)).status_code == 410


async def _came_by(database: Database) -> str:
    """What the newest sign-in was made with, as the audit log says."""
    newest = "SELECT after FROM audit_log WHERE action = 'session.begin' ORDER BY id DESC LIMIT 1"
    [(after,)] = await rows(database, newest)
    return str(after["by"])


async def test_a_second_factor_is_asked_for_and_each_code_counts_once(
    admin: Person, anybody: Person, database: Database
) -> None:
    signed = _field(await admin.post("/account/second-factor", "/account", current=PASSWORD), "key")
    totp = pyotp.TOTP(key := signed.partition(".")[0])
    now = int(SystemClock().now().timestamp())
    assert (await admin.post("/account/second-factor", "/account", key=signed, code="000000")).status_code == 422
    on = await admin.post("/account/second-factor", "/account", key=signed, code=totp.at(now - 30))
    assert on.status_code == 303

    asked = await anybody.post("/sign-in", "/sign-in", email=ADA, password=PASSWORD)
    assert "Your code" in asked.text
    assert (await anybody.get("/")).status_code == 303, "the password alone is not enough"
    ticket = _field(asked, "ticket")
    for code, status in (("123", 422), (totp.at(now - 30), 422), (totp.at(now), 303)):
        answer = await anybody.post("/sign-in/code", "/sign-in", ticket=ticket, code=code)
        assert answer.status_code == status, code
    assert (await anybody.get("/")).status_code == 200
    assert await _came_by(database) == "password and code"
    refused = await rows(database, "SELECT actor, after FROM audit_log WHERE action = 'session.refused'")
    assert refused == [("unknown", {"why": "right password, wrong code"})] * 2
    sealed = (await rows(database, "SELECT sealed_totp FROM console_users WHERE email = %s", [ADA]))[0][0]
    assert key.encode() not in bytes(sealed)


async def test_no_factor_is_taken_but_one_of_ours_and_none_in_place_of_another(
    admin: Person, database: Database
) -> None:
    now = int(SystemClock().now().timestamp())
    for key in (
        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "no base32",
        f"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP.9999999999.{'0' * 32}",
    ):
        code = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").at(now)
        assert (await admin.post("/account/second-factor", "/account", key=key, code=code)).status_code == 422, key

    signed = _field(await admin.post("/account/second-factor", "/account", current=PASSWORD), "key")
    code = pyotp.TOTP(signed.partition(".")[0]).at(now)
    assert (await admin.post("/account/second-factor", "/account", key=signed, code=code)).status_code == 303
    again = await admin.post("/account/second-factor", "/account", key=signed, code=code)

    assert again.status_code == 409, "one that is in force is taken away first, which wants the password"
    assert await rows(database, "SELECT count(*) FROM audit_log WHERE action = 'user.second_factor'") == [(1,)]


async def test_a_link_for_a_password_leaves_the_second_factor_in_force(
    admin: Person, anybody: Person, database: Database
) -> None:
    totp = await _with_factor(database, admin)
    link = await _link(database, Purpose.PASSWORD, ADA)
    other = await _link(database, Purpose.SIGN_IN, ADA)

    asked = await anybody.post(link, link, password="another sentence", again="another sentence")

    assert "Your code" in asked.text
    assert (await anybody.get("/")).status_code == 303, "the link alone lets nobody in"
    code = totp.at(int(SystemClock().now().timestamp()))
    done = await anybody.post("/sign-in/code", "/sign-in", ticket=_field(asked, "ticket"), code=code)
    assert done.headers["location"] == "/"
    assert (await anybody.get("/")).status_code == 200
    assert (await anybody.get(other)).status_code == 410, "links that were on their way end with the password"
    assert await _came_by(database) == "link: password and code"


async def test_who_began_with_the_password_before_is_not_let_in(
    admin: Person, anybody: Person, database: Database
) -> None:
    assert admin.user is not None
    totp = await _with_factor(database, admin)
    ticket = _field(await anybody.post("/sign-in", "/sign-in", email=ADA, password=PASSWORD), "ticket")
    async with database.transaction() as connection:
        await users.set_password(connection, admin.user.id, "another")

    code = totp.at(int(SystemClock().now().timestamp()))
    answer = await anybody.post("/sign-in/code", "/sign-in", ticket=ticket, code=code)

    assert answer.status_code == 422
    async with database.transaction() as connection:
        assert not await users.hold(connection, admin.user.id, "before")
        assert await users.hold(connection, admin.user.id, "another")
        await connection.execute("UPDATE console_users SET disabled_at = now()")
        assert not await users.hold(connection, admin.user.id, "another")


def test_a_client_that_is_refused_fills_no_windows_of_accounts() -> None:
    attempts = throttling.Attempts()
    for n in range(throttling.OF_CLIENT):
        attempts.may("198.51.100.1", f"{n}@acme.example", "")
    for _ in range(throttling.OF_ACCOUNT + 1):
        assert not attempts.may("198.51.100.1", ADA, "")

    assert attempts.may("203.0.113.9", ADA, "")


@pytest.mark.parametrize(
    "path", ["/€", "//evil.example", "/\\evil.example", "/a\nb", "https://evil.example", "/sign-in"]
)
def test_a_sign_in_leads_nowhere_else(path: str) -> None:
    assert local(path) == "/"


async def test_a_ticket_is_good_in_the_browser_that_got_it(admin: Person, anybody: Person) -> None:
    forged = await anybody.post(
        "/sign-in/code", "/sign-in", ticket=f"{admin.user and admin.user.id}.9999999999.0", code="1"
    )

    assert forged.headers["location"] == "/sign-in"


async def test_another_password_ends_every_other_session(admin: Person, anybody: Person) -> None:
    assert await _sign_in(anybody) == 303
    wrong = await admin.post("/account/password", "/account", current="not it at all", password="x", again="x")
    assert wrong.status_code == 422

    done = await admin.post(
        "/account/password",
        "/account",
        current=PASSWORD,
        password="another good sentence",
        again="another good sentence",
    )

    assert done.status_code == 303
    assert (await admin.get("/")).status_code == 200
    assert (await anybody.get("/")).status_code == 303


@pytest.mark.parametrize("fields", [{"current": ""}, {"current": "wrong password"}])
async def test_what_weakens_an_account_wants_its_password(admin: Person, fields: dict[str, str]) -> None:
    for path in ("/account/second-factor", "/account/second-factor/remove", "/account/password"):
        assert (await admin.post(path, "/account", **fields)).status_code == 422, path


async def test_sessions_are_listed_and_ended(admin: Person, anybody: Person) -> None:
    await _sign_in(anybody)
    listed = (await admin.get("/account")).text
    assert listed.count("/account/sessions/") == 2, "one other, and all others"

    assert (await admin.post("/account/sessions/end-others", "/account")).status_code == 303

    assert (await anybody.get("/")).status_code == 303
    assert (await admin.get("/account")).status_code == 200


async def test_a_link_made_for_somebody_lets_nobody_else_in(anybody: Person, database: Database) -> None:
    async with database.transaction() as connection:
        user = await users.create(connection, NewUser("vic@acme.example", Role.VIEWER))
        await sign_in_links.make(connection, Purpose.PASSWORD, user.id)

    for token in ("", "x", "a" * 32, "a" * 300, "%00"):
        assert (await anybody.get(f"/link/{token}")).status_code in (404, 410), token


async def test_a_page_that_refreshes_itself_keeps_no_session_alive(admin: Person, database: Database) -> None:
    aged = "UPDATE console_sessions SET seen_at = now() - interval '1 hour' RETURNING 1"
    old = "SELECT seen_at < now() - interval '30 minutes' FROM console_sessions"
    await rows(database, aged)

    await admin.http.get("/", headers={"hx-request": "true", "hx-source": "div#live"})
    assert await rows(database, old) == [(True,)]
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION READ ONLY")  # as on a standby
        assert await sessions.whose(connection, admin.http.cookies[SESSION]) is not None
    await admin.get("/")
    assert await rows(database, old) == [(False,)]


def test_every_part_that_refreshes_itself_is_known() -> None:
    texts = [path.read_text() for path in Path(guard.__file__).parent.rglob("*.html")]
    timed = [tag for text in texts for tag in re.findall(r"<(\w+ id=\"\w+\")[^<]*?hx-trigger=\"every", text)]

    assert len(timed) == sum(text.count('hx-trigger="every') for text in texts)
    assert {tag.replace(' id="', "#").strip('"') for tag in timed} == guard.TIMED
