"""`postlane contacts` and `contact-properties`, from first to last."""

import csv
import io

import pytest

from cli.commands import contacts
from core.ids import uuid7
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import execute, rows

ANN = "ann@example.com"


@pytest.fixture
def filled(postlane: Postlane, database_url: str) -> Postlane:
    """An application with a list and a property."""
    postlane("keys", "create", "web", "--application", "shop")
    assert postlane("contact-properties", "create", "age", "--type", "number", "--fallback", "18").status == 0

    async def a_list(database: Database) -> None:
        ((owner,),) = await rows(database, "SELECT id FROM applications WHERE name = 'shop'")
        values = [uuid7(), owner]
        await execute(database, "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'News')", values)

    in_database(database_url, a_list)
    return postlane


def test_contacts_from_first_to_last(filled: Postlane) -> None:
    made = filled("contacts", "add", ANN, "--first-name", "Ann", "-p", "age=40", "-s", "News", "--consent", "Yes").out
    assert (made["email"], made["status"]) == (ANN, "confirmed")
    assert [one["email"] for one in filled("contacts", "list", "--segment", "News").out] == [ANN]
    changed = filled("contacts", "update", ANN, "--language", "de", "-p", "age=", "--unsubscribed").out
    assert (changed["language"], changed["unsubscribed"], changed["first_name"]) == ("de", True, "Ann")
    assert filled("contacts", "update", ANN, "--subscribed", "--new-email", "new@example.com").out["id"] == made["id"]
    shown = filled("contacts", "show", "new@example.com").out
    assert (shown["properties"], shown["unsubscribed"]) == ({}, False)
    told = filled("contacts", "history", made["id"]).out
    assert [one["what"] for one in told] == ["address_changed", "updated", "list_joined", "confirmed", "created"]
    assert told[3]["detail"] == {"text": "Yes"}
    assert "on the command line" in told[0]["actor"]
    assert filled("contacts", "leave", made["id"], "News").out["deleted"] is True
    assert filled("contacts", "join", made["id"], "News").status == 0
    assert filled("contacts", "remove", made["id"]).code == "needs_yes"
    assert filled("contacts", "remove", made["id"], "--yes").out["deleted"] is True
    assert filled("contacts", "list").out == []
    assert filled("contacts", "show", made["id"]).code == "not_found"


def test_a_person_is_exported_and_erased(filled: Postlane) -> None:
    ann = filled("contacts", "add", ANN, "--first-name", "Ann").out["id"]
    assert filled("contacts", "export", ANN).out["contact"]["id"] == ann
    assert filled("contacts", "erase", ANN).code == "needs_yes"
    gone = filled("contacts", "erase", ANN, "--yes").out
    assert (gone["contact_id"], gone["erased"]) == (ann, True)
    assert filled("contacts", "export", ANN).out["contact"] is None
    assert filled("contacts", "add", ANN).out["unsubscribed"] is True


def test_contacts_as_csv_hold_no_formula(filled: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody calls themselves is no command of a spreadsheet; a negative number stays one."""
    monkeypatch.setattr(contacts, "_CSV_PAGE", 2)
    filled("contacts", "add", "=cmd@example.com", "--first-name", '=HYPERLINK("x")', "-p", "age=-5", "-s", "News")
    filled("contacts", "add", "b@example.com", "--last-name", "Berg, née Ö", "-s", "News")
    filled("contacts", "add", "c@example.com")
    filled("contacts", "add", "d@example.com", "-s", "News")
    written = filled("contacts", "list", "--segment", "News", "--csv").out
    read = list(csv.DictReader(io.StringIO(written)))

    assert [one["email"] for one in read] == ["d@example.com", "b@example.com", " =cmd@example.com"]
    assert (read[1]["last_name"], read[2]["first_name"], read[2]["age"]) == (
        "Berg, née Ö", ' =HYPERLINK("x")', "-5",
    )  # fmt: skip
    assert (read[0]["status"], read[0]["unsubscribed"], read[0]["age"]) == ("confirmed", "false", "")


def test_mistakes_are_named(filled: Postlane) -> None:
    assert filled("contacts", "add", "nobody").code == "invalid_address"
    assert filled("contacts", "add", ANN, "-p", "age").code == "invalid_property"
    assert "age" in filled("contacts", "add", ANN, "-p", "age=old").said
    assert "shoe" in filled("contacts", "add", ANN, "-p", "shoe=38").said
    assert filled("contacts", "add", ANN, "-s", "Offers").code == "not_found"
    assert filled("contact-properties", "create", "a b").code == "invalid"
    assert filled("contact-properties", "delete", "shoe", "--yes").code == "not_found"


def test_properties_from_first_to_last(filled: Postlane) -> None:
    assert filled("contact-properties", "update", "age", "--fallback", "21").out["fallback_value"] == 21
    assert [one["key"] for one in filled("contact-properties", "list").out] == ["age"]
    assert filled("contact-properties", "delete", "age", "--yes").out["deleted"] is True
    assert filled("contact-properties", "list").out == []
