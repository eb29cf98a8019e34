"""`postlane contacts import`, from first to last. DNS does not answer here: nothing is said against any domain."""

from pathlib import Path

import pytest

from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import rows

PROOF = ("--consent-source", "trade fair", "--consent-date", "2026-05-01", "--consent-text", "I want the letter")


@pytest.fixture
def people(postlane: Postlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application, and a list."""
    monkeypatch.setenv("POSTLANE_DNS_SERVERS", '["127.0.0.1:9"]')
    postlane("keys", "create", "web", "--application", "shop")
    postlane("contact-properties", "create", "city", "--type", "string")
    file = tmp_path / "people.csv"
    file.write_text("Email,Vorname,Town,Shoe\nann@example.com,Ann,Bonn,38\nnobody,,,\ninfo@example.com,,,\n")
    return file


def stored(database_url: str) -> list[tuple[object, ...]]:
    async def ask(database: Database) -> list[tuple[object, ...]]:
        return await rows(database, "SELECT address, first_name, properties, status FROM contacts ORDER BY address")

    return in_database(database_url, ask)


def test_a_dry_run_then_without_mail_then_with_proof(postlane: Postlane, people: Path, database_url: str) -> None:
    words = ("contacts", "import", str(people), "--map", "city=Town", "--no-mail")
    dry = postlane(*words, "--dry-run")
    assert (dry.out["created"], dry.out["failed"], dry.out["reasons"]) == (1, 2, {"syntax": 1, "role": 1})
    assert "Nothing was kept" in dry.said
    assert stored(database_url) == []

    done = postlane(*words)
    assert (done.status, done.out["created"]) == (0, 1)
    assert "line 3: nobody" in done.said
    assert stored(database_url) == [("ann@example.com", "Ann", {"city": "Bonn"}, "unconfirmed")]

    proved = postlane("contacts", "import", str(people), "--upsert", *PROOF)
    assert (proved.out["created"], proved.out["updated"], proved.out["confirmations"]) == (1, 1, 0)
    assert [status for *_, status in stored(database_url)] == ["confirmed", "confirmed"]
    done = postlane("contacts", "imports").out
    assert [one["status"] for one in done] == ["completed", "completed"]
    assert postlane("contacts", "show-import", done[0]["id"]).out["asking"]["waiting"] == 0
    assert postlane("contacts", "stop-import", done[0]["id"], "--yes").status == 0


def test_mistakes_are_named(postlane: Postlane, people: Path) -> None:
    asked = postlane("contacts", "import", str(people))
    assert asked.code == "no_confirmation_pool"
    assert "pools create confirmations --lane transactional --reserved" in asked.said
    assert postlane("contacts", "import", str(people), *PROOF[:2]).code == "needs_proof"
    assert postlane("contacts", "import", str(people), "--no-mail", "--map", "city").code == "invalid_map"
    assert (
        "there are Email, Vorname" in postlane("contacts", "import", str(people), "--no-mail", "--map", "city=X").said
    )
    assert postlane("contacts", "import", "/nowhere.csv", "--no-mail").code == "cannot_read"
    assert postlane("contacts", "import", str(people), "--no-mail", "-s", "News").code == "not_found"
    empty = people.with_name("empty.csv")
    empty.write_text("EMAIL,UNSUB_TIME\na@example.com,2026-01-01\n")
    assert postlane("contacts", "import", str(empty), "--no-mail").code == "not_contacts"
