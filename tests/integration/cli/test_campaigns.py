"""`postlane campaigns`: from a draft to its report, in a terminal's words and in JSON."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from _pytest.capture import CaptureIO

from campaigns import work
from campaigns.report import Recipient, csv_header, csv_rows
from campaigns.states import RowState
from core import settings
from store.database import Database
from tests.integration.cli.commands import Postlane


@pytest.fixture
def filled(postlane: Postlane, database_url: str, tmp_path: Path) -> Postlane:
    """An application with a verified domain, a list with one person whose name is a formula, and a mail in a file."""
    postlane("keys", "create", "web", "--application", "shop")
    assert postlane("domains", "create", "shop.example").status == 0
    assert postlane("segments", "create", "all").status == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE domains SET status = 'verified'")
        connection.execute(
            "INSERT INTO contacts (id, application_id, address, email, status)"
            " SELECT gen_random_uuid(), id, '=cmd@one.example', '=cmd@one.example', 'confirmed' FROM applications"
            " WHERE name = 'shop'"
        )
        connection.execute(
            "INSERT INTO segment_members (segment_id, contact_id, status) SELECT s.id, c.id, 'confirmed'"
            " FROM segments s, contacts c"
        )
    (tmp_path / "mail.html").write_text("<p>Hello {{ first_name | default('you') }}</p>")
    return postlane


def in_background(database_url: str, duty: Callable[[Database], Awaitable[object]]) -> None:
    """What a background process does in its turn."""

    async def once() -> None:
        database = Database(database_url, size=2)
        await database.open()
        try:
            await duty(database)
        finally:
            await database.close()

    asyncio.run(once())


def test_a_campaign_from_its_draft_to_its_report(filled: Postlane, tmp_path: Path, database_url: str) -> None:
    mail = str(tmp_path / "mail.html")
    words = ("--from", "news@shop.example", "--segment", "all", "--subject", "Hi", "--html", mail)
    made = filled("campaigns", "create", "--name", "Spring", *words).out
    assert (made["state"], made["name"], made["subject"]) == ("draft", "Spring", "Hi")
    assert filled("campaigns", "create", *words[:2], "--segment", "none", *words[4:]).code == "not_found"
    assert filled("campaigns", "start", "Spring").code == "needs_yes"
    assert len(filled("campaigns", "test", "Spring", "me@one.example").out["emails"]) == 1
    assert filled("campaigns", "test", "Spring", "me@one.example", "--as", "no@one.example").code == "not_found"
    assert filled("campaigns", "test", "Spring", "me@one.example", "--as", "=cmd@one.example").status == 0
    assert filled("campaigns", "preview", "Spring").out["subject"] == "Hi"
    assert filled("campaigns", "preview", "Spring", "--as", "=cmd@one.example").out["subject"] == "Hi"
    assert filled("campaigns", "preview", "Spring", "--as", "no@one.example").code == "not_found"
    assert filled("campaigns", "archive", "Spring", "link").code == "invalid"  # this server has no public pages
    tagged = filled("campaigns", "create", "--name", "Tagged", *words, "--utm", "source=news").out
    assert tagged["utm"] == {"source": "news"}
    assert filled("campaigns", "delete", "Tagged", "--yes").out["deleted"] is True
    later = filled("campaigns", "schedule", "Spring", "--at", "in 2 days", "--hours", "00:00-00:00").out
    assert (later["state"], later["plan"]["window"]["from"]) == ("scheduled", "00:00")
    assert filled("campaigns", "cancel", "Spring", "--yes").out["state"] == "draft"
    assert filled("campaigns", "schedule", "Spring", "--hours", "9-9").code == "invalid"
    assert filled("campaigns", "duplicate", "Spring").out["name"] == "Spring (copy)"
    assert filled("campaigns", "delete", "Spring (copy)", "--yes").out["deleted"] is True
    assert filled("campaigns", "start", "Spring", "--yes").out["state"] == "sending"
    assert filled("campaigns", "start", "Spring").code == "conflict"  # and no question first
    in_background(database_url, work.begin)
    assert filled("campaigns", "pause", "Spring").out["people"]["waiting"] == 1
    assert filled("campaigns", "resume", "Spring").out["state"] == "sending"
    in_background(database_url, lambda database: work.feed_all(database, "sandbox.example"))
    found = filled("campaigns", "report", "Spring").out
    assert (found["people"]["queued"], found["whole"]["sent"]) == (1, 1)
    (row,) = filled("campaigns", "recipients", "Spring").out
    assert (row["email"], row["state"]) == ("=cmd@one.example", "queued")
    head, line = filled("campaigns", "recipients", "Spring", "--csv").out.splitlines()
    assert (head.split(",")[0], line.split(",")[0]) == ("email", " =cmd@one.example")
    assert filled("campaigns", "cancel", "Spring", "--yes").out["state"] == "cancelled"
    in_background(database_url, work.finish)
    in_background(database_url, work.settle_all)
    assert [one["people"]["cancelled"] for one in filled("campaigns", "list").out] == [1]
    watched = filled("campaigns", "show", "Spring", "--watch")
    assert (watched.status, "cancelled: 100% of 1 people done; 1 cancelled" in watched.said) == (0, True)
    assert filled("campaigns", "show", "Summer").code == "not_found"
    assert filled("campaigns", "retry", "Spring").code == "conflict"
    again = filled("campaigns", "again", "Spring", "--to", "missed").out
    assert (again["name"], again["state"], again["follows"]["to"]) == ("Spring (missed)", "draft", "missed")
    assert filled("campaigns", "again", "Spring", "--to", "unopened").code == "opens_not_tracked"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE campaigns SET plan = '[]' WHERE name = 'Spring (missed)'")
    listed = {one["name"]: one["reason"] for one in filled("campaigns", "list").out}
    assert listed["Spring"] == "" and listed["Spring (missed)"].startswith("it cannot be read, and waits: Attr")
    assert filled("campaigns", "show", "Spring (missed)").out["reason"] == listed["Spring (missed)"]
    assert filled("campaigns", "start", "Spring (missed)", "--yes").code == "unreadable"


def test_what_somebody_calls_himself_is_no_formula() -> None:
    person = Recipient(
        UUID(int=1), "=cmd@one.example", RowState.FAILED, '@SUM(1)"x"', None, 0, None, None, None, None, None, None,
        None, None, None, "one.example",
    )  # fmt: skip
    (line,) = csv_rows([person])

    assert csv_header().startswith("email,contact_id,state,reason")
    assert line.startswith(" =cmd@one.example,")
    assert '" @SUM(1)""x"""' in line


def test_a_campaign_is_looked_at_before_it_begins(
    filled: Postlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTLANE_DNS_SERVERS", '["127.0.0.1:9"]')
    settings.load.cache_clear()
    mail = str(tmp_path / "mail.html")
    Path(mail).write_text("<p>Hello {{ first_name }}</p><a href='http://127.0.0.1:1/'>x</a>")
    words = ("--from", "news@shop.example", "--segment", "all", "--subject", "Hi")
    assert filled("campaigns", "create", "--name", "Spring", *words, "--html", mail).status == 0
    assert filled("campaigns", "create", *words[2:], "--html", mail).code == "invalid", "nobody sends it"
    found = filled("campaigns", "check", "Spring").out
    assert (found["can_start"], found["people"]["reached"]) == (False, 1), "its only person has no name"
    codes = {one["code"] for one in found["findings"]}
    assert codes >= {"missing_variables", "dead_links", "unsubscribe_link", "never_ends"}
    assert filled("campaigns", "test", "Spring").code == "invalid"
    assert filled("campaigns", "test", "Spring", "--seeds").code == "conflict"

    monkeypatch.setattr(CaptureIO, "isatty", lambda _self: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    shown = filled("campaigns", "check", "Spring")
    lines = re.sub("\x1b\\[[0-9;]*m", "", str(shown.out)).splitlines()
    assert shown.status == 0 and all(len(line) <= 80 for line in lines[:-2]), shown.out
    assert "1 people, of whom 1 may get it." in str(shown.out)
    assert "This is not out within 90 days, held by no IP that may send." in str(shown.out)
    assert filled("campaigns", "start", "Spring", "--yes").status != 0
    assert filled("contacts", "update", "=cmd@one.example", "--first-name", "Ann").status == 0
    started = filled("campaigns", "start", "Spring", "--yes")
    assert started.status == 0 and "dead_links" in str(started.out)
