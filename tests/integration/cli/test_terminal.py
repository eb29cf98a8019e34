"""Every command that prints a table, on terminals of three widths, about mail that means harm."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from _pytest.capture import CaptureIO

from alarms import repository as alarms
from alarms.model import AlarmKind
from core import settings
from messages import restored
from messages.model import NewEmail
from outcomes.record import record
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.cli.furniture import (
    AT_EVERY_WIDTH,
    AT_ONE_WIDTH,
    HOSTILE,
    WITH_IDS,
    arrange,
    arrange_more,
    listing_commands,
)
from tests.integration.messages.emails import execute, make_partitions, new_email, refs, store
from tests.integration.outcomes.facts import WORKER, attempt, bounce

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_OURS = re.compile("\x1b\\[[0-9;]*m")
"""Rich's bold, dim and colours."""


@pytest.fixture
def email(postlane: Postlane, database_url: str) -> NewEmail:
    """A mail with a harmful subject and reply, and something for every other table."""
    made = new_email("ann@one.example", subject=HOSTILE)

    async def fill(database: Database) -> None:
        await make_partitions(database)
        await store(database, made)
        await execute(database, "UPDATE delivery_queue SET claimed_by = %s WHERE email_id = %s", [WORKER, made.id])
        async with database.transaction() as connection:
            await record(connection, [bounce(refs(made)[0], at=AT, attempt=attempt(reply=HOSTILE))])
            await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "127.0.1.1", HOSTILE)
        await store(database, held := new_email("bob@one.example", subject=HOSTILE))
        await execute(database, "UPDATE delivery_queue SET hold = %s WHERE email_id = %s", [restored.HELD, held.id])

    in_database(database_url, fill)
    arrange(postlane)

    async def spoil(database: Database) -> None:
        await execute(database, "UPDATE throttles SET reply = %s", [HOSTILE])

    in_database(database_url, spoil)
    return made


@pytest.fixture
def furnished(
    postlane: Postlane, email: NewEmail, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> NewEmail:
    """That mail, and the nouns of marketing."""
    monkeypatch.setenv("POSTLANE_PUBLIC_URL", "https://mail.shop.example")
    monkeypatch.setenv("POSTLANE_DNS_SERVERS", '["127.0.0.1:9"]')
    settings.load.cache_clear()
    arrange_more(postlane, database_url, tmp_path)
    return email


def test_every_list_is_looked_at() -> None:
    assert listing_commands() - set(AT_EVERY_WIDTH) == set()


def test_tables_fit_and_nothing_steers_the_terminal(
    postlane: Postlane, furnished: NewEmail, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _read_only(database_url, "SET default_transaction_read_only = on")  # what prints a table changes nothing
    ids = {words: {row["id"] for row in postlane(*words.split()).out} for words in WITH_IDS}
    assert [words for words, found in ids.items() if not found] == []
    monkeypatch.setattr(CaptureIO, "isatty", lambda _self: True)
    monkeypatch.setenv("TERM", "xterm")  # with `dumb` Rich takes any terminal for 80 columns
    wrong = []
    for width in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        for words in (*AT_EVERY_WIDTH, *(AT_ONE_WIDTH if width == 80 else ())):
            answer = postlane(*words.replace("EMAIL", str(furnished.id)).split())
            out = _OURS.sub("", str(answer.out))
            fault = "fails" if answer.status else _fault(out, _OURS.sub("", answer.said), width, ids.get(words, ()))
            wrong += [f"{words} at {width} {fault}:\n{out}{answer.said}"] if fault else []
    _read_only(database_url, "RESET default_transaction_read_only")
    assert wrong == [], "\n\n".join(wrong)


def _read_only(database_url: str, what: str) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(database_url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        connection.execute(f"ALTER DATABASE {name} {what}".encode())


def _fault(out: str, said: str, width: int, ids: Collection[str]) -> str:
    """What is wrong with what a terminal shows; "" when nothing is."""
    if _UNSEEN.search(out + said):
        return "steers the terminal"
    if "…" in out or not all(one in out for one in ids):
        return "is cut"
    return "is too wide" if any(len(line) > width and _is_row(line) for line in out.splitlines()) else ""


def _is_row(line: str) -> bool:
    """Not one of the lines that are left to the terminal to wrap: records to copy, objects, what was left out."""
    return not line.startswith(("Left out", " ")) and " IN " not in line and "   " in line.strip() and "  " in line[30:]


@pytest.mark.parametrize("command", ["why", "show"])
def test_stories_show_escape_codes_and_forge_no_line(
    command: str, postlane: Postlane, email: NewEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CaptureIO, "isatty", lambda _self: True)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "xterm")  # with `dumb` Rich takes any terminal for 80 columns
    out = _OURS.sub("", str(postlane("messages", command, str(email.id)).out))

    assert postlane("messages", command, str(email.id), "--json").status == 0
    assert not _UNSEEN.search(out)
    assert r"\x1b[2J" in out
    if command == "why":
        assert not any(line.startswith("forged") for line in out.splitlines())


# --- what can be named


def test_a_message_is_named_by_the_beginning_of_its_id_or_its_only_address(
    postlane: Postlane, email: NewEmail, database_url: str
) -> None:
    text = str(email.id)
    for name in (text, text[:-4], text.upper(), f"{text}/0", "ANN@one.example"):
        assert postlane("messages", "why", name).out[0]["recipient"] == "ann@one.example", name
    assert postlane("messages", "show", "nobody@one.example").code == "not_found"
    assert postlane("messages", "show", "ffffffff").code == "not_found"
    assert postlane("messages", "show", "zz").code == "bad_id"
    another = new_email("ann@one.example", subject="Another")
    _store(database_url, another)
    several = postlane("messages", "cancel", "ann@one.example")
    assert several.code == "ambiguous"
    assert text in several.said
    assert str(another.id) in several.said
    assert postlane("messages", "why", text[:4]).code == "ambiguous"


def _store(database_url: str, email: NewEmail) -> None:
    async def put(database: Database) -> None:
        await store(database, email)

    in_database(database_url, put)


_NAMED = {
    "webhooks list": "webhooks delete ID --yes",
    "campaigns list": "campaigns show ID",
    "segments list": "segments show ID",
    "topics list": "topics update ID --name News",
    "templates list": "templates delete ID --yes",
    "images list": "images delete ID --yes",
    "forms list": "forms show ID",
    "contacts imports": "contacts show-import ID",
    "sandbox list": "sandbox show ID",
    "inbound list": "inbound show ID",
    "pools list": "pools show ID",
    "domains list": "domains get ID",
    "alarms list": "alarms clear ID",
    "keys list": "keys delete ID --yes",
    "keys list --operators": "keys delete ID --yes --operators",
    "applications list": "applications delete ID --yes --cancel",
}


@pytest.mark.usefixtures("furnished")
def test_other_things_are_named_by_the_beginning_of_their_id(postlane: Postlane) -> None:
    for listing, command in _NAMED.items():
        before = postlane(*listing.split()).out[0]["id"]
        answer = postlane(*command.replace("ID", before[:23]).split())

        assert answer.status == 0, (command, answer.said)
        gone = before not in {one["id"] for one in postlane(*listing.split()).out}
        assert gone == ("delete" in command or "clear" in command)


@pytest.mark.usefixtures("email")
def test_an_application_goes_with_keys_domains_and_pools(postlane: Postlane) -> None:
    listed = postlane("applications", "list").out
    assert [(one["name"], one["domains"], one["keys"]) for one in listed] == [("shop", ["shop.example"], 1)]
    assert postlane("applications", "delete", "shop").code == "needs_yes"
    assert postlane("applications", "delete", "shop", "--yes").out["deleted"] is True
    assert postlane("applications", "list").out == []
    assert postlane("pools", "assignments").out == []
    assert postlane("domains", "list").code == "no_application"
    assert len(postlane("messages", "list").out) == 2
