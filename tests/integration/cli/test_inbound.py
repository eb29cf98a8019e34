"""`postlane inbound`: what came back, looked up by a person."""

from core.ids import uuid7
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import execute

_RAW = b"From: mailer@x.example\r\nSubject: back\r\n\r\nno such user\r\n"


def test_a_mail_is_shown_by_the_beginning_of_its_id(postlane: Postlane, database_url: str) -> None:
    found = uuid7()

    async def fill(database: Database) -> None:
        insert = "INSERT INTO inbound_mail (id, envelope_to, raw, result) VALUES (%s, 'b@x.example', %s, 'unread')"
        await execute(database, insert, [found, _RAW])

    in_database(database_url, fill)
    assert postlane("inbound", "show", str(found)[:13]).out["id"] == str(found)
    for nothing in ("nope", "ffffffff", ""):
        refused = postlane("inbound", "show", nothing)
        assert (refused.code, "postlane inbound list" in refused.said) == ("not_found", True)
