"""Bounces and complaints: figures, what came back, one report as it was understood and as it came."""

from uuid import UUID

from accounts import repository as accounts
from accounts import users
from accounts.roles import Role
from core.ids import uuid7
from mta.inbound_reports import ReceivedMail
from outcomes.inbound import Finished, finish_inbound, store_inbound
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.machine import fill
from tests.unit.mta.bounce_corpus import POSTFIX_UNKNOWN_USER

HOSTILE = "<script>alert(1)</script>"
RAW = POSTFIX_UNKNOWN_USER.lstrip("\n").replace("\n", "\r\n").encode() + f"\r\n{HOSTILE}\x1b[2J".encode()


async def _came_back(database: Database) -> list[UUID]:
    """A report that was read, one that was not, and one that waits."""
    strange = f"From: x\r\nSubject: {HOSTILE}\r\n\r\n{HOSTILE}".encode() + b"\xff\x00" + b"a" * 70_000
    async with database.transaction() as connection:
        ids = await store_inbound(
            connection,
            [ReceivedMail(to="b@in.example", sender="", peer="192.0.2.1", content=raw) for raw in (RAW, strange, b"x")],
        )
        told = (f"{HOSTILE} <mailer@x.example>", f"Undelivered {HOSTILE}", f"said {HOSTILE}")
        await finish_inbound(connection, [
            Finished(ids[0], "bounced", "failed", None, "token", *told),
            Finished(ids[1], "unread", "", None, "", *told),
        ])  # fmt: skip
    return ids


async def test_what_came_back_is_counted_and_read(admin: Person, viewer: Person, database: Database) -> None:
    nothing = (await admin.get("/bounces")).text
    assert "No mail, and so nothing came back" in nothing
    assert "Nothing came back by mail" in nothing
    await fill(database, volume=4000)
    ids = await _came_back(database)

    text = (await admin.get("/bounces?span=24h")).text
    assert "of what was decided, most of it because" in text
    assert "<code>mailbox_unknown</code>" in text
    assert 'href="/providers/gmail"' in text
    assert "1 report nobody could read waits for a look." in text
    for page in ("/bounces", "/bounces?result=unread", f"/bounces?open={ids[0]}", f"/bounces?open={ids[1]}"):
        assert HOSTILE not in (await admin.get(page)).text, page

    one = (await admin.get(f"/bounces?open={ids[0]}")).text
    assert "The message it is about is bounced now." in one
    assert "the mailbox does not exist" in one.lower()
    assert "invalid_recipient" in one
    assert "\\x1b[2J" in one, "what would hide is shown"
    unread = (await admin.get(f"/bounces?open={ids[1]}")).text
    assert "no report that any of our readers knows" in unread
    assert f"postlane inbound show {ids[1]} --raw" in unread
    assert "a" * 66_000 not in unread, "it is bounded"
    assert "It is looked at within seconds." in (await admin.get(f"/bounces?open={ids[2]}")).text
    only = (await admin.get("/bounces?result=waiting")).text
    assert (f"open={ids[2]}" in only, f"open={ids[0]}" in only) == (True, False)
    for odd in ("/bounces?open=x", f"/bounces?open={uuid7()}", "/bounces?result=nothing&span=1y&after=x"):
        assert (await admin.get(odd)).status_code == 200, odd

    seen = (await viewer.get(f"/bounces?open={ids[0]}")).text
    assert "Your role does not read what stands in mail." in seen
    assert "Undelivered" not in seen


async def test_somebody_of_one_application_sees_its_figures_and_no_report(viewer: Person, database: Database) -> None:
    await fill(database, volume=4000)
    ids = await _came_back(database)
    assert viewer.user is not None
    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        await users.set_role(connection, viewer.user, Role.OPERATOR, (other.id,))

    text = (await viewer.get(f"/bounces?open={ids[0]}")).text
    assert "No mail, and so nothing came back" in text
    assert "mailer@x.example" not in text
    assert "Mail that came back" not in text
