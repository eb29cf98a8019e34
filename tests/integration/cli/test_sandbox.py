"""`postlane sandbox` and test keys on the command line."""

from uuid import UUID

import pytest

from messages.model import MessageRef
from sandbox import mailbox
from sandbox.mailbox import CapturedMail
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import make_partitions, new_email, rows, store

RAW = b"From: hello@acme.example\r\nSubject: Your receipt\r\n\r\nThank you.\r\n"


@pytest.fixture
def mail(postlane: Postlane, database_url: str) -> str:
    """The id of a captured mail of the application `shop`."""
    postlane("keys", "create", "web", "--application", "shop")

    async def fill(database: Database) -> str:
        await make_partitions(database)
        [(application,)] = await rows(database, "SELECT id FROM applications WHERE name = 'shop'")
        email = new_email("ann@qa.example", application_id=application, capture=True)
        await store(database, email)
        async with database.transaction() as connection:
            ref = MessageRef(email.id, 0)
            await mailbox.keep(connection, [CapturedMail(ref, application, "b@acme.example", "ann@qa.example", RAW)])
        [(kept,)] = await rows(database, "SELECT id FROM captured_mails")
        return str(kept)

    return in_database(database_url, fill)


def test_a_test_key_says_what_it_is(postlane: Postlane) -> None:
    made = postlane("keys", "create", "ci", "--test", "--application", "shop").out
    [listed] = postlane("keys", "list", "--application", "shop").out
    wrong = postlane("keys", "create", "ops", "--test", "--permission", "operator")

    assert (made["test"], made["token"][:8], listed["test"]) == (True, "pl_test_", True)
    assert made["token"].startswith(listed["hint"])
    assert (wrong.status, wrong.code) == (1, "invalid_permission")


def test_list_show_clear(postlane: Postlane, mail: str) -> None:
    [listed] = postlane("sandbox", "list", "--to", "ANN@qa.example").out
    assert (listed["id"], listed["envelope"]["to"], listed["test"]) == (mail, "ann@qa.example", True)
    assert postlane("sandbox", "list", "--to", "bob@qa.example").out == []
    shown = postlane("sandbox", "show", mail[-12:]).out
    assert (shown["text"], shown["headers"]["Subject"]) == ("Thank you.\n", "Your receipt")
    assert postlane("sandbox", "show", "ffff0000").code == "not_found"
    assert postlane("sandbox", "clear").code == "needs_yes"
    assert postlane("sandbox", "clear", "--yes").out == {"object": "sandbox_emails", "deleted": 1}
    assert postlane("sandbox", "list").out == []


def test_a_captured_message_is_marked_in_lists(postlane: Postlane, mail: str) -> None:
    [listed] = postlane("messages", "list").out

    assert (listed["recipient"], listed["captured"]) == ("ann@qa.example", True)
    assert UUID(mail)


def test_rules(postlane: Postlane, mail: str) -> None:
    made = postlane("sandbox", "rules", "add", "QA.example").out
    assert made["pattern"] == "*@qa.example"
    assert [rule["pattern"] for rule in postlane("sandbox", "rules", "list").out] == ["*@qa.example"]
    assert postlane("sandbox", "rules", "add", "nobody").code == "invalid_pattern"
    assert postlane("sandbox", "rules", "remove", "*@qa.example").out["id"] == made["id"]
    assert postlane("sandbox", "rules", "list").out == []
