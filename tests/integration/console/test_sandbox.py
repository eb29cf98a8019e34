"""The sandbox: what was caught, what it says shown as a foreign page, rules, and who sees what."""

from uuid import UUID

import pytest

from accounts import repository as accounts
from accounts import users
from accounts.audit import Wanted, page
from accounts.roles import Role
from core.ids import uuid7
from core.paging import Window
from messages.model import MessageRef
from sandbox import mailbox
from sandbox.mailbox import CapturedMail
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.messages.emails import make_partitions, new_email, rows, store

HOSTILE = "<script>alert(1)</script>"
RAW = (
    f"From: hello@acme.example\r\nSubject: {HOSTILE}\r\nX-Odd: {HOSTILE}\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    f"--b\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>{HOSTILE}\r\n"
    f"--b\r\nContent-Type: text/plain\r\n\r\nHello {HOSTILE}\r\n"
    '--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="<b>bill.pdf"\r\n\r\nx\r\n'
    "--b--\r\n"
).encode()


@pytest.fixture
async def caught(database: Database) -> tuple[UUID, UUID]:
    """An application, and the id of a mail that was caught of it."""
    await make_partitions(database)
    async with database.transaction() as connection:
        shop = await accounts.create_application(connection, "shop")
        assert shop is not None
        await connection.execute(
            "INSERT INTO domains (id, application_id, name, status, return_path_domain)"
            " VALUES (%s, %s, 'acme.example', 'verified', 'bounce.acme.example')",
            [domain := uuid7(), shop.id],
        )
    mail = new_email("ann@qa.example", application_id=shop.id, domain_id=domain, subject=HOSTILE, capture=True)
    await store(database, mail)
    async with database.transaction() as connection:
        ref = MessageRef(mail.id, 0)
        await mailbox.keep(connection, [CapturedMail(ref, shop.id, "b@bounce.acme.example", "ann@qa.example", RAW)])
    [(kept,)] = await rows(database, "SELECT id FROM captured_mails")
    return shop.id, kept


async def test_what_was_caught_is_listed_and_shown_as_a_foreign_page(
    admin: Person, database: Database, caught: tuple[UUID, UUID]
) -> None:
    listed = (await admin.get("/sandbox")).text
    assert "1 mail of shop, none of which left; the last just now." in listed
    assert f"/sandbox/{caught[1]}" in listed
    assert "bounced@" in listed
    path = f"/sandbox/{caught[1]}"
    for tab, said in (
        ("", "sandbox height="), ("text", "Hello &lt;script&gt;"), ("headers", "X-Odd"), ("source", "multipart/mixed"),
    ):  # fmt: skip
        text = (await admin.get(f"{path}?tab={tab}")).text
        assert said in text, tab
        assert HOSTILE not in text, tab
        assert "&lt;b&gt;bill.<wbr>pdf" in text, tab
    framed = await admin.get(f"{path}/frame")
    policy = framed.headers["content-security-policy"]
    assert ("sandbox" in policy, "script-src" in policy, "default-src 'none'" in policy) == (True, False, True)
    source = await admin.get(f"{path}/source.eml")
    assert (source.content, source.headers["content-type"].partition(";")[0]) == (RAW, "message/rfc822")
    assert (await admin.get("/sandbox?to=ann@qa.example")).text.count(path) == 1
    assert "Nothing for this recipient" in (await admin.get("/sandbox?to=bob@qa.example")).text
    assert (await admin.get("/sandbox?to=nobody")).status_code == 422
    assert (await admin.get(f"/find?q={caught[1]}")).headers["location"] == path

    assert (await admin.post(f"{path}/delete", path)).status_code == 303
    assert (await admin.get(path)).status_code == 404
    assert "None of shop is kept here." in (await admin.get("/sandbox")).text
    async with database.connection() as connection:
        noted = (await page(connection, Wanted(), Window(5))).entries
    assert [one.action for one in noted] == ["sandbox.delete", "sandbox.download"]


async def test_rules_are_made_and_taken_away(admin: Person, database: Database, caught: tuple[UUID, UUID]) -> None:
    wrong = await admin.post("/sandbox/rules", "/sandbox", application=str(caught[0]), pattern="a b@c")
    assert (wrong.status_code, "field wrong" in wrong.text) == (422, True)
    made = await admin.post("/sandbox/rules", "/sandbox", application=str(caught[0]), pattern="*@QA.example")
    assert made.status_code == 303
    assert "everybody at qa.example" in (await admin.get("/sandbox")).text
    everybody = await admin.post("/sandbox/rules", "/sandbox", application=str(caught[0]), pattern="*")
    assert everybody.status_code == 303
    assert "A rule catches everything this application sends" in (await admin.get("/sandbox")).text
    for (rule,) in await rows(database, "SELECT id FROM capture_rules"):
        gone = await admin.post(f"/sandbox/rules/{rule}/delete", "/sandbox", application=str(caught[0]))
        assert gone.status_code == 303
    assert await rows(database, "SELECT count(*) FROM capture_rules") == [(0,)]
    assert (await admin.post("/sandbox/clear", "/sandbox", application=str(caught[0]))).status_code == 303
    assert await rows(database, "SELECT count(*) FROM captured_mails") == [(0,)]
    async with database.connection() as connection:
        noted = [one.action for one in (await page(connection, Wanted(), Window(9))).entries]
    assert noted == ["sandbox.clear", *["rule.delete"] * 2, *["rule.add"] * 2]


async def test_who_sees_what(viewer: Person, database: Database, caught: tuple[UUID, UUID]) -> None:
    path = f"/sandbox/{caught[1]}"
    text = (await viewer.get(path)).text
    assert "Its content is not shown to your role" in text
    assert "Hello" not in text
    assert (await viewer.get(f"{path}/frame")).status_code == 403

    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        assert viewer.user is not None
        await users.set_role(connection, viewer.user, Role.MARKETER, ())
    for part in ("/frame", "/source.eml"):
        assert (await viewer.get(path + part)).status_code == 403, "a marketer sees contents, and not the sandbox"
    async with database.transaction() as connection:
        await users.set_role(connection, viewer.user, Role.DEVELOPER, (other.id,))
    for part in ("", "/frame", "/source.eml"):
        assert (await viewer.get(path + part)).status_code == 404
    assert (await viewer.post(f"{path}/delete", "/sandbox")).status_code == 404
    stale = await viewer.post("/sandbox/clear", "/sandbox", application=str(caught[0]))
    assert stale.status_code == 422
    assert await rows(database, "SELECT count(*) FROM captured_mails") == [(1,)]
