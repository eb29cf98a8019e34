"""Every command that prints a table, on terminals of three widths, about mail that means harm."""

import re
from datetime import UTC, datetime

import pytest
from _pytest.capture import CaptureIO

from alarms import repository as alarms
from alarms.model import AlarmKind
from messages.model import NewEmail
from outcomes.record import record
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import execute, make_partitions, new_email, refs, store
from tests.integration.outcomes.facts import WORKER, attempt, bounce

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]0;mine\x07 \x9b31m \u202egnp.exe\nforged 2026-05-04 delivered [red]x[/red]"
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_OURS = re.compile("\x1b\\[[0-9;]*m")
"""Rich's bold, dim and colours."""

TABLES = (
    "messages list",
    "messages show EMAIL",
    "queue list",
    "suppressions list",
    "suppressions get eve@two.example",
    "alarms list",
    "throttles list",
    "pools list",
    "pools show receipts",
    "pools advice",
    "pools assignments",
    "ips list",
    "ips show 127.0.1.1",
    "ips reputation 127.0.1.1",
    "warmup list",
    "warmup show 127.0.1.1",
    "warmup history 127.0.1.1",
    "warmup presets",
    "warmup plans list",
    "warmup simulate --plan stages-29 --volume 300000/day --days 3 --mix gmail:45,microsoft:20,yahoo:15,apple:5",
    "warmup rehearse --volume 2000/day --days 1",
    "providers list",
    "providers rules",
    "providers check",
    "applications list",
    "domains list",
    "domains get shop.example",
    "keys list",
    "keys list --operators",
    "contacts list",
    "contacts show eve@two.example",
    "contacts history eve@two.example",
    "contact-properties list",
    "addresses check eve@two.example info@gmial.con",
)


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
        await store(database, new_email("bob@one.example", subject=HOSTILE))

    in_database(database_url, fill)
    for words in (
        "pools create receipts --lane transactional",
        "ips add 127.0.1.1 --ehlo m1.example.com",
        "pools attach receipts 127.0.1.1",
        "throttles rest 127.0.1.1 gmail --reason ticket",
        "warmup start 127.0.1.1 --plan stages-29",
        "keys create web --application shop",
        "keys create ops --permission operator",
        "domains create shop.example --application shop",
        "pools assign receipts --domain shop.example",
        "suppressions add eve@two.example --detail",
        "contact-properties create plan --fallback free",
        "contacts add eve@two.example --first-name Evelyn --last-name Featherstonehaugh-Cholmondeley --consent",
        "contacts update eve@two.example -p",
    ):
        hostile = [HOSTILE.replace("\n", " ")] if words.endswith(("--detail", "--consent")) else []
        hostile = [f"plan={HOSTILE}"] if words.endswith("-p") else hostile
        answer = postlane(*words.split(), *hostile)
        assert answer.status == 0, (words, answer.said)

    async def spoil(database: Database) -> None:
        await execute(database, "UPDATE throttles SET reply = %s", [HOSTILE])

    in_database(database_url, spoil)
    return made


def test_tables_fit_and_nothing_steers_the_terminal(
    postlane: Postlane, email: NewEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {
        words: {row["id"] for row in postlane(*words.split()).out}
        for words in ("keys list", "domains list", "applications list", "alarms list")
    }
    ids["messages list"] = {row["id"] for row in postlane("messages", "list").out}
    monkeypatch.setattr(CaptureIO, "isatty", lambda _self: True)
    monkeypatch.setenv("TERM", "xterm")  # with `dumb` Rich takes any terminal for 80 columns
    for width in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        for words in TABLES:
            answer = postlane(*words.replace("EMAIL", str(email.id)).split())
            out = _OURS.sub("", str(answer.out))
            where = f"{words} at {width}:\n{out}"
            assert answer.status == 0, (words, answer.said)
            assert not _UNSEEN.search(out + _OURS.sub("", answer.said)), where
            assert "…" not in out, where
            assert not [line for line in out.splitlines() if len(line) > width and _is_row(line)], where
            assert all(one in out for one in ids.get(words, ())), where


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
    "pools list": "pools show ID",
    "domains list": "domains get ID",
    "alarms list": "alarms clear ID",
    "keys list": "keys delete ID --yes",
    "keys list --operators": "keys delete ID --yes --operators",
    "applications list": "applications delete ID --yes",
}


@pytest.mark.usefixtures("email")
def test_other_things_are_named_by_the_beginning_of_their_id(postlane: Postlane) -> None:
    for listing, command in _NAMED.items():
        (before,) = postlane(*listing.split()).out
        answer = postlane(*command.replace("ID", before["id"][:20]).split())

        assert answer.status == 0, answer.said
        gone = postlane(*listing.split()).out == []
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
