"""The operator's own rule file: in force when whole, left out when wrong, read again when it changes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import ConfigurationError
from mta.model import Phase, Response
from mta.providers import load_providers
from mta.replies import shipped_rules
from mta.rule_book import LOOK_SECONDS, RuleBook

PROVIDERS = load_providers().names | {"acme"}
REPLY = Response(Phase.DOT, 554, "5.7.1", "Refused by the Acme filter")
RULE = """
[[rule]]
id = "acme-filter"
provider = "acme"
code = "5xx"
text = 'acme filter'
action = "block"
class = "{klass}"
scope = "message"
source = "our own logs"
matches = ["dot: 554 refused by the acme filter"]
near_miss = ["dot: 554 refused"]
"""


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def written(file: Path, text: str) -> Path:
    """Writes as an editor does: a new file in place of the old one, never with the same time."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    age = file.stat().st_mtime_ns + 1 if file.exists() else 1
    os.utime(fresh, ns=(age, age))
    fresh.replace(file)
    return file


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def edit(tmp_path: Path, clock: Clock) -> Callable[[str], Path]:
    def change(text: str) -> Path:
        clock.seconds += LOOK_SECONDS
        return written(tmp_path / "own.toml", text)

    return change


@pytest.fixture
def book(edit: Callable[[str], Path], clock: Clock) -> RuleBook:
    return RuleBook(edit(RULE.format(klass="spam_content")), PROVIDERS, now=clock)


def klass(book: RuleBook) -> str:
    return book.classify(REPLY, "acme").klass


def test_without_a_file_the_shipped_rules_are_in_force(clock: Clock) -> None:
    book = RuleBook(None, PROVIDERS, now=clock)
    clock.seconds += 1000
    assert not book.refresh()
    assert book.table is shipped_rules()
    assert book.trouble == ""


def test_own_rules_go_first_and_only_for_their_provider(book: RuleBook) -> None:
    assert klass(book) == "spam_content"
    rule = book.deciding_rule(REPLY, "acme")
    assert rule is not None
    assert rule.id == "acme-filter"
    assert book.classify(REPLY, "yahoo") == shipped_rules().classify(REPLY, "yahoo")


def test_a_change_is_in_force_at_the_next_look(book: RuleBook, edit: Callable[[str], Path], clock: Clock) -> None:
    edit(RULE.format(klass="policy"))
    assert klass(book) == "spam_content"
    clock.seconds += LOOK_SECONDS
    with capture_logs() as logs:
        assert book.refresh()
    assert klass(book) == "policy"
    assert [line["event"] for line in logs] == ["rules_file_read"]
    clock.seconds += LOOK_SECONDS
    assert not book.refresh()


def test_looks_only_every_few_seconds(book: RuleBook, tmp_path: Path, clock: Clock) -> None:
    clock.seconds += LOOK_SECONDS
    book.refresh()
    written(tmp_path / "own.toml", RULE.format(klass="policy"))
    clock.seconds += LOOK_SECONDS - 0.1
    assert not book.refresh()
    clock.seconds += 0.2
    assert book.refresh()


WRONG = {
    "broken pattern": (RULE.replace("'acme filter'", "'acme ('"), ("acme-filter", "'text'", "regular expression")),
    "unknown provider": (RULE.replace('"acme"\n', '"acmee"\n'), ("acme-filter", "'provider'", "acmee")),
    "unknown field": (RULE + 'colour = "red"\n', ("acme-filter", "'colour'", "not a field")),
    "not TOML": ("[[rule", ("cannot be read",)),
    "wrong sample": (RULE.replace("by the acme filter", "by nobody"), ("acme-filter", "'matches'")),
    "a shipped rule's id": (RULE.replace("acme-filter", "no-such-mailbox"), ("no-such-mailbox", "'id'")),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_file_leaves_the_rules_in_force_and_says_so_once(
    name: str, book: RuleBook, edit: Callable[[str], Path], clock: Clock
) -> None:
    text, said = WRONG[name]
    file = edit(text.format(klass="policy"))
    with capture_logs() as logs:
        for _ in range(3):
            clock.seconds += LOOK_SECONDS
            assert not book.refresh()
    assert klass(book) == "spam_content"
    assert [(line["event"], line["log_level"]) for line in logs] == [("rules_file_wrong", "error")]
    for part in (str(file), *said):
        assert part in book.trouble
        assert part in logs[0]["error"]
    edit(RULE.format(klass="policy"))
    clock.seconds += LOOK_SECONDS
    assert book.refresh()
    assert book.trouble == ""


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_file_at_the_start_is_an_error(name: str, tmp_path: Path) -> None:
    text, said = WRONG[name]
    with pytest.raises(ConfigurationError) as error:
        RuleBook(written(tmp_path / "own.toml", text.format(klass="policy")), PROVIDERS)
    assert all(part in str(error.value) for part in said)


def test_a_file_that_vanishes_leaves_the_rules_in_force(book: RuleBook, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "own.toml").unlink()
    clock.seconds += LOOK_SECONDS
    assert not book.refresh()
    assert klass(book) == "spam_content"
    assert "cannot be read" in book.trouble
    written(tmp_path / "own.toml", RULE.format(klass="policy"))
    clock.seconds += LOOK_SECONDS
    assert book.refresh()
    assert klass(book) == "policy"


def test_a_file_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RuleBook(tmp_path / "nowhere.toml", PROVIDERS)


def test_a_trouble_ends_with_its_cause_when_the_stamp_stays_the_same(
    book: RuleBook, tmp_path: Path, clock: Clock
) -> None:
    """A permission given back changes no time of the file, and two edits within one tick have the same."""
    file = tmp_path / "own.toml"
    before = file.stat()
    good = file.read_text()
    file.write_text("[" * len(good))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    clock.seconds += LOOK_SECONDS
    assert not book.refresh()
    assert book.trouble
    file.write_text(good)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    clock.seconds += LOOK_SECONDS
    assert book.refresh()
    assert book.trouble == ""
