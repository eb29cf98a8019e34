"""`postlane suppressions` as commands, on the real database."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import app
from cli.main import run as run_command
from core import settings

Postlane = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def postlane(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Postlane]:
    """Runs `postlane suppressions ...`: exit status, what it printed (read as JSON where it is), what it said."""
    monkeypatch.setenv("POSTLANE_DATABASE_URL", database_url)
    monkeypatch.setenv("POSTLANE_REDIS_URL", "redis://127.0.0.1:1/0")
    settings.load.cache_clear()

    def call(*words: str) -> tuple[int, Any, str]:
        status = run_command(lambda: app(["suppressions", *words], prog_name="postlane", standalone_mode=False))
        printed = capsys.readouterr()
        try:
            return status, json.loads(printed.out), printed.err
        except ValueError:
            return status, printed.out, printed.err

    yield call
    settings.load.cache_clear()


def test_add_get_list_remove(postlane: Postlane) -> None:
    status, added, _ = postlane("add", "Ann@Example.com", "bob@example.com", "--reason", "complaint", "--days", "3")
    assert (status, [one["email"] for one in added]) == (0, ["ann@example.com", "bob@example.com"])
    (found,) = postlane("get", "ANN@example.com")[1]["entries"]
    assert (found["reason"], found["source"], found["scope"]) == ("complaint", "cli", "all")
    assert found["expires_at"] > found["created_at"]
    assert [one["email"] for one in postlane("list", "ann")[1]] == ["ann@example.com"]
    status, first, said = postlane("list", "--limit", "1")
    assert (len(first), "--after" in said) == (1, True)
    assert [one["email"] for one in postlane("list", "--after", first[0]["id"])[1]] == ["ann@example.com"]
    gone = [{"object": "suppression", "id": added[0]["id"], "deleted": True}]
    status, _, said = postlane("remove", "ann@example.com")
    assert (status, json.loads(said)["error"]["code"]) == (1, "locked")
    why = ("--why", "pressed the wrong button")
    assert postlane("remove", "ann@example.com", "nobody@example.com", *why)[:2] == (0, gone)
    (was,) = postlane("history", "ann@example.com")[1]
    assert (was["reason"], was["ended"], was["why"]) == ("complaint", "removed", why[1])
    status, _, said = postlane("get", "ann@example.com")
    assert (status, json.loads(said)["error"]["code"]) == (1, "not_found")
    assert postlane("remove", "ann@example.com")[0] == 1
    assert postlane("add", "not an address")[0] == 1
    assert len(postlane("list")[1]) == 1


def test_a_list_is_imported_with_its_faults_named(postlane: Postlane, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(
        b"Email,Reason\na@example.com,HardBounce\nwrong,x\nb@example.com,unsubscribe\n\na@example.com,spam\n"
    )
    status, result, said = postlane("import", str(file), "--scope", "marketing")
    assert status == 0
    assert (result["added"], result["known"], result["wrong"]) == (2, 1, 1)
    assert [fault["line"] for fault in result["faults"]] == [3]
    assert "line 3" in said
    entries = {one["email"]: (one["reason"], one["scope"], one["source"]) for one in postlane("list")[1]}
    assert entries == {
        "a@example.com": ("complaint", "marketing", "import"),
        "b@example.com": ("unsubscribe", "marketing", "import"),
    }
    again = postlane("import", str(file), "--scope", "marketing")[1]
    assert (again["added"], again["known"]) == (0, 3)


def test_standard_input_is_read_and_large_lists_are_committed_in_parts(
    postlane: Postlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(f"user{n}@example.com\n" for n in range(25_000))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    done = postlane("import", "-")[1]
    assert (done["line"], done["added"], done["known"], done["wrong"], done["faults"]) == (25_000, 25_000, 0, 0, [])
    assert len(postlane("list", "@example.com", "--limit", "10000")[1]) == 10_000


def test_an_export_is_imported_back(postlane: Postlane, tmp_path: Path) -> None:
    postlane("add", "a@example.com", "--scope", "marketing", "--reason", "unsubscribe", "--detail", 'said "no, thanks"')
    postlane("add", "b@other.example")
    file = tmp_path / "out.csv"
    assert postlane("export", "--output", str(file))[0] == 0
    status, text, said = postlane("export", "@example.com")
    assert (status, "1 entries" in said) == (0, True)
    assert text.splitlines()[0].startswith("email,scope,reason")
    assert len(text.splitlines()) == 2
    lines = postlane("export", "@example.com", "--json")[1]
    assert lines["email"] == "a@example.com"
    before = postlane("list")[1]
    postlane("remove", "a@example.com", "b@other.example")
    assert postlane("import", str(file))[1]["added"] == 2
    kept = ("email", "scope", "reason", "detail", "expires_at")
    after = {tuple(one[key] for key in kept) for one in postlane("list")[1]}
    assert after == {tuple(one[key] for key in kept) for one in before}


def test_files_that_cannot_be_used(postlane: Postlane, tmp_path: Path) -> None:
    for words, code in (
        (("import", str(tmp_path / "none.csv")), "cannot_read"),
        (("import", str(tmp_path)), "cannot_read"),
        (("export", "--output", str(tmp_path / "no" / "folder.csv")), "cannot_write"),
        (("list", "@"), "invalid_search"),
    ):
        status, _, said = postlane(*words)
        assert (status, json.loads(said)["error"]["code"]) == (1, code), words


def test_an_import_that_took_nothing_is_an_error_that_says_what_it_saw(postlane: Postlane, tmp_path: Path) -> None:
    for text, told in (
        ("Name;City\nAnn;Rome\n", "2 lines"),
        ("", "an empty file"),
        ("uuid,email,name,attributes,status\n1,a@x.example,A,{},enabled\n", "1 people in it get mail"),
        ("a@x.example@y\n", "no address was found"),
        ("# Postlane\n\nSends mail.\nFor people.\nAnd more.\n", "no address was found in its 5 lines, read as one"),
    ):
        file = tmp_path / "list.csv"
        file.write_text(text)
        status, _, said = postlane("import", str(file))
        error = json.loads(said[said.index("{") :])["error"]
        assert (status, error["code"]) == (1, "nothing_imported"), text
        assert told in error["message"], error


def make_topic(capsys: pytest.CaptureFixture[str]) -> str:
    """A topic of an application `shop`; its id."""
    for words in ("keys create k -a shop", "topics create News -a shop"):
        assert run_command(lambda: app(words.split(), prog_name="postlane", standalone_mode=False)) == 0  # noqa: B023
    return str(json.loads("{" + capsys.readouterr().out.rpartition("\n{")[2])["id"])


def test_a_topic_that_no_application_has_forbids_nothing_and_is_refused(
    postlane: Postlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, unknown = make_topic(capsys), "0198f0aa-0000-7000-8000-000000000001"
    file = tmp_path / "list.txt"
    file.write_text("a@example.com\n")
    for words in (("add", "a@example.com"), ("import", str(file))):
        status, _, said = postlane(*words, "--for", "shop", "--topic", unknown)
        assert (status, "not_found" in said) == (1, True), (words, said)
    postlane("add", "b@example.com", "--for", "shop", "--topic", topic)
    lines = postlane("export")[1]
    file.write_text(f"{lines}{lines.splitlines()[1].replace(topic, unknown)}\n")
    done = postlane("import", str(file))[1]
    assert (done["known"], done["wrong"], done["faults"][0]["reason"]) == (
        1, 1, f"the application has no topic {unknown}",
    )  # fmt: skip


def test_what_was_exported_for_one_application_comes_back_for_it(
    postlane: Postlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = make_topic(capsys)
    postlane("add", "a@example.com", "--for", "shop", "--scope", "marketing", "--reason", "unsubscribe")
    postlane("add", "b@example.com", "--for", "shop", "--topic", topic, "--note", "asked twice")
    postlane("add", "@example.org")
    before = postlane("list")[1]
    assert [(one["scope"], one["topic_id"]) for one in before] == [("all", None), ("topic", topic), ("marketing", None)]
    file = tmp_path / "out.csv"
    postlane("export", "--output", str(file))
    postlane("remove", "a@example.com", "b@example.com", "@example.org")
    assert postlane("import", str(file), "--domains")[1]["added"] == 3
    kept = ("email", "scope", "only_for", "topic_id", "reason", "detail", "note", "created_at")
    after = {tuple(one[key] for key in kept) for one in postlane("list")[1]}
    assert after == {tuple(one[key] for key in kept) for one in before}
    (done, *_) = postlane("imports")[1]
    assert (done["name"], done["added"], done["finished_at"] is not None) == ("out.csv", 3, True)


def test_a_list_is_handed_on_as_hashes(postlane: Postlane, tmp_path: Path) -> None:
    plain, hashes = tmp_path / "plain.txt", tmp_path / "hashes.txt"
    plain.write_text("Ann@Example.com\n")
    hashes.write_text(postlane("hash", str(plain))[1])
    assert "ann" not in hashes.read_text()
    assert postlane("import", str(hashes))[1]["added"] == 1
    (found,) = postlane("get", "ann@example.com")[1]["entries"]
    assert found["email"].startswith("sha256:")
