"""Seed accounts: where probes landed, and what is done to an account."""

from datetime import timedelta
from uuid import UUID

from accounts.audit import Wanted, page
from alarms import seeds
from alarms.seeds import Account, NewSeed
from core.ids import uuid7
from core.paging import Window
from core.queues import Lane
from core.secrets import InstanceSecret
from store.database import Database
from tests.integration.console.conftest import SECRET, Person
from tests.integration.messages.emails import execute

HOSTILE = "<script>alert(1)</script>"
PASSWORD = "open sesame"
GIVEN = {
    "address": "me@gmail.example", "provider": "gmail", "sender": "news@shop.example", "host": "imap.gmail.example",
    "tls": "tls", "lane": "marketing", "password": PASSWORD,
}  # fmt: skip


async def _probed(database: Database) -> str:
    """An account whose name means harm, with probes in each place; its id."""
    account = Account(f"imap{HOSTILE}", 993, "tls", HOSTILE, PASSWORD)
    wanted = NewSeed("us@yahoo.example", "yahoo", account, "news@shop.example", Lane.MARKETING, 360)
    async with database.transaction() as connection:
        made = await seeds.add(connection, wanted, InstanceSecret.from_text(SECRET))
        for place in ("inbox", "missing", "spam"):
            await seeds.keep_probe(connection, made.id, uuid7(), f"<{place}@x>")
        await connection.execute(
            "UPDATE seed_probes SET placement = split_part(trim(leading '<' FROM message_id), '@', 1), folder = %s,"
            " found_at = now(), sent_at = now() - %s * (CASE message_id WHEN '<spam@x>' THEN 1 ELSE 2 END)",
            [f"Junk {HOSTILE}", timedelta(minutes=5)],
        )
        await seeds.note_trouble(connection, made.id, f"refused: {HOSTILE}")
    return str(made.id)


async def test_an_account_is_added_probed_paused_and_forgotten(admin: Person, database: Database) -> None:
    assert "there is no mailbox of ours to look into" in (await admin.get("/seeds")).text
    for field, value in (
        ("password", ""),
        ("provider", "gmial"),
        ("port", "x"),
        ("every_minutes", "1"),
        ("tls", "yes"),
    ):
        wrong = await admin.post("/seeds", "/seeds/new", **(GIVEN | {field: value}))
        assert wrong.status_code == 422, field
        assert f'id="error-{field}"' in wrong.text, field
        assert PASSWORD not in wrong.text, "a password comes back to no page"

    made = await admin.post("/seeds", "/seeds/new", **GIVEN | {"password": f" {PASSWORD} "})
    assert made.status_code == 303
    at = made.headers["location"]
    identifier = at.partition("open=")[2]
    async with database.connection() as connection:
        account = await seeds.account_of(connection, UUID(identifier), InstanceSecret.from_text(SECRET))
    assert account is not None
    assert account.password == f" {PASSWORD} ", "as it was typed"
    text = (await admin.get(at)).text
    assert "port 993, TLS" in text
    assert PASSWORD not in text
    again = await admin.post("/seeds", "/seeds/new", **GIVEN)
    assert (again.status_code, "there already" in again.text or "already" in again.text) == (422, True)

    assert (await admin.post(f"/seeds/{identifier}/probe", at)).status_code == 303
    assert (await admin.post(f"/seeds/{identifier}/pause", at)).status_code == 303
    refused = await admin.post(f"/seeds/{identifier}/probe", at)
    assert (refused.status_code, "is paused" in refused.text) == (422, True)
    assert (await admin.post(f"/seeds/{identifier}/resume", at)).status_code == 303
    assert (await admin.post(f"/seeds/{identifier}/remove", at)).status_code == 303
    assert (await admin.post(f"/seeds/{identifier}/remove", "/seeds/new")).status_code == 404
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(5))).entries
    verbs = ["remove", "resume", "pause", "probe", "add"]
    assert [one.action for one in newest] == [f"seed.{verb}" for verb in verbs]
    assert PASSWORD not in "".join(f"{one.before} {one.after}" for one in newest)


async def test_the_page_says_where_mail_lands(admin: Person, viewer: Person, database: Database) -> None:
    identifier = await _probed(database)

    listed, one = (await admin.get("/seeds")).text, (await admin.get(f"/seeds?open={identifier}")).text
    assert "Mail landed in spam at yahoo. 0 of 1 account has the newest probe in the inbox." in listed
    assert "cannot be read" in listed
    for text in (listed, one):
        assert HOSTILE not in text
    assert one.count('class="what"') == 3
    seen = (await viewer.get(f"/seeds?open={identifier}")).text
    assert seen.count('method="post"') == 1  # the sign-out
    await execute(database, "UPDATE seed_probes SET placement = 'inbox'")
    assert "1 of 1 account has the newest probe in the inbox." in (await admin.get("/seeds")).text
