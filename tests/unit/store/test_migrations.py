"""What a migration may do to tables that are in use. Each is run against a twin that writes down what it would do.

The rule stands in CONTRIBUTING.md: a migration works beside the version before, which goes on sending meanwhile. So it
adds, waits for no lock longer than `store/online` lets it, and takes away only what the release before no longer uses.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from alembic import op

from store.revisions import VERSIONS

ROOT: Final = Path(__file__).parent.parent.parent.parent
FIRST: Final = "0040"
"""Older ones were written before the rule, and have been applied wherever there is anything to block."""

LARGE: Final = frozenset(
    {"emails", "messages", "events", "contents", "attachments", "delivery_queue", "suppressions", "contacts",
     "segment_members", "contact_history", "choice_history", "choices", "campaign_recipients", "campaign_news",
     "automation_runs", "automation_steps", "webhook_events", "webhook_attempts", "count_deltas", "report_hours",
     "report_series", "captured_mails", "request_log", "inbound_mail", "engaged"}
)  # fmt: skip
"""What may have millions of rows."""

_VOLATILE: Final = r"gen_random_uuid|uuid_generate|random|clock_timestamp|nextval|timeofday"

FORBIDDEN: Final = {
    r"\bSET NOT NULL\b": (
        "it reads the whole table under its strongest lock: ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, then"
        " VALIDATE CONSTRAINT in a change before it"
    ),
    r"\bADD COLUMN (IF NOT EXISTS )?\S+ (?!.*\bDEFAULT\b)[^,]*\bNOT NULL\b": (
        "a column that must not be NULL has a default: the version before writes rows without it"
    ),
    rf"\bADD COLUMN\b[^,]*\bDEFAULT\b[^,]*\b({_VOLATILE})\b": "a default that differs by row writes the table anew",
    r"\bADD COLUMN\b[^,]*\bGENERATED\b": "a generated column writes the whole table anew",
    r"\bALTER( COLUMN)? \S+ (SET DATA )?TYPE\b": (
        "another type may write the whole table anew, and the version before knows the old one: add a column"
    ),
    r"\bADD (CONSTRAINT \S+ )?(CHECK|FOREIGN KEY)\b(?!.*\bNOT VALID\b)": (
        "add it NOT VALID, then VALIDATE CONSTRAINT in a change of its own"
    ),
    r"\bADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*\bUSING INDEX\b)": (
        "make the index with `index`, then ADD CONSTRAINT … USING INDEX"
    ),
    r"\b(VACUUM FULL|CLUSTER|REINDEX|LOCK TABLE|REFRESH MATERIALIZED)\b": "this holds the table as long as it takes",
    r"\bDISABLE TRIGGER\b": "the version before counts on the trigger",
}
"""What blocks, or breaks the version before → what to do instead."""
TAKES_AWAY: Final = r"\bDROP (COLUMN|TABLE|FUNCTION|TRIGGER|VIEW|DEFAULT)\b|\bRENAME\b|\bTRUNCATE\b"


@dataclass
class Twin:
    """In the place of a database: what was asked for, by which way."""

    made: set[str] = field(default_factory=set)
    """Tables that are new with this migration: nobody uses them yet."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def execute(self, statement: Any, *_: object) -> "Twin":
        for one in str(statement).split(";") if "$$" not in str(statement) else [str(statement)]:
            self._note("op.execute", one)
        return self

    def change(self, *statements: str) -> None:
        for one in statements:
            self._note("change", one)

    def index(self, name: str, table: str, of: str) -> None:
        self._note("index", f"CREATE INDEX CONCURRENTLY {name} ON {table} {of}")

    def fetchall(self) -> list[object]:
        return []

    def scalar(self) -> None:
        return None

    def _note(self, way: str, statement: str) -> None:
        words = " ".join(statement.split())
        self.made |= {found[1] for found in re.finditer(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", words, re.I)}
        if words:
            self.asked.append((way, words))


def migrations() -> list[ModuleType]:
    files = [file for file in sorted(VERSIONS.glob("[0-9]*.py")) if file.name[:4] >= FIRST]
    return [import_module(f"store.migrations.versions.{file.stem}") for file in files]


def done_by(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Twin:
    twin = Twin()
    for name in ("execute", "get_bind"):
        monkeypatch.setattr(op, name, twin.execute if name == "execute" else lambda: twin)
    for name in ("change", "index", "index_partitions"):
        monkeypatch.setattr(module, name, getattr(twin, name.removesuffix("_partitions")), raising=False)
    module.upgrade()
    return twin


def faults(twin: Twin, unused_since: str = "") -> list[str]:
    """What would block those who send, or break the version before."""
    found = [fault for way, words in twin.asked for fault in _faults(way, words, twin)]
    away = [words for _, words in twin.asked if re.search(TAKES_AWAY, words, re.I) and not _of_new(words, twin.made)]
    if away and unused_since not in _released():
        found.append(
            f"takes away what the release before may use: {away[0][:80]}. First a release that no longer uses it; then"
            ' a migration with UNUSED_SINCE = "that release"'
        )
    return found


def _faults(way: str, words: str, twin: Twin) -> Iterator[str]:
    made = twin.made
    if _of_new(words, made):
        if way == "op.execute" and (old := set(re.findall(r"\bREFERENCES (\w+)", words, re.I)) - made):
            yield f"a reference locks {', '.join(sorted(old))} too: make the table by `change`"
        return
    for pattern, why in FORBIDDEN.items():
        if re.search(pattern, words, re.I) and not _checked_before(words, twin):
            yield f"{why}: {words[:80]}"
    if way == "op.execute" and re.match(r"(ALTER|DROP|CREATE (OR REPLACE )?(TRIGGER|RULE))\b", words, re.I):
        yield f"waits for its lock without an end, and others behind it: use `change`: {words[:80]}"
    if way != "index" and re.match(r"CREATE (UNIQUE )?INDEX\b", words, re.I):
        yield f"an index of a table in use is made by `index` or `index_partitions`: {words[:80]}"
    written = re.match(r"(?:WITH .*?)?\b(?:UPDATE|DELETE FROM|INSERT INTO) (?:ONLY )?(\w+)", words, re.I)
    if written and written[1] in LARGE:
        yield f"one statement over all of {written[1]} holds its rows until the end: work in slices: {words[:80]}"


def _checked_before(words: str, twin: Twin) -> bool:
    """SET NOT NULL believes a constraint that says the same, and reads nothing."""
    table = re.match(r"ALTER TABLE (\w+) ALTER COLUMN \w+ SET NOT NULL$", words, re.I)
    validated = {found[1] for _, one in twin.asked if (found := re.match(r"ALTER TABLE (\w+) VALIDATE", one, re.I))}
    return table is not None and table[1] in validated


def _of_new(words: str, made: set[str]) -> bool:
    """Whether it is about a table that this migration makes."""
    about = re.match(
        r"(?:CREATE TABLE (?:IF NOT EXISTS )?|ALTER TABLE (?:ONLY )?|INSERT INTO |UPDATE |DROP TABLE (?:IF EXISTS )?"
        r"|CREATE (?:UNIQUE )?INDEX .*? ON |CREATE (?:OR REPLACE )?TRIGGER .*? ON )(\w+)", words, re.I)  # fmt: skip
    return about is not None and about[1] in made


def _released() -> set[str]:
    """Versions that came out, with a date."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return set(re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}", text, re.M))


@pytest.mark.parametrize("module", migrations(), ids=lambda module: module.revision)
def test_a_migration_stops_nobody_who_sends(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = done_by(module, monkeypatch)

    assert twin.asked, "it does nothing that this test sees"
    assert faults(twin, getattr(module, "UNUSED_SINCE", "")) == []


@pytest.mark.parametrize(
    ("way", "statement"),
    [
        ("change", "ALTER TABLE emails ALTER COLUMN subject SET NOT NULL"),
        ("change", "ALTER TABLE emails ADD COLUMN x text NOT NULL"),
        ("change", "ALTER TABLE emails ADD COLUMN IF NOT EXISTS x uuid NOT NULL DEFAULT gen_random_uuid()"),
        ("change", "ALTER TABLE emails ADD COLUMN x text GENERATED ALWAYS AS (lower(subject)) STORED"),
        ("change", "ALTER TABLE emails ALTER COLUMN x TYPE bigint"),
        ("change", "ALTER TABLE emails ADD CONSTRAINT x CHECK (a > 0)"),
        ("change", "ALTER TABLE emails ADD CONSTRAINT x FOREIGN KEY (a) REFERENCES domains"),
        ("change", "ALTER TABLE emails ADD CONSTRAINT x UNIQUE (a)"),
        ("change", "LOCK TABLE emails"),
        ("change", "ALTER TABLE emails DROP COLUMN subject"),
        ("change", "ALTER TABLE emails RENAME COLUMN subject TO title"),
        ("change", "DROP TABLE emails"),
        ("change", "UPDATE messages SET state = 'queued'"),
        ("change", "DELETE FROM events WHERE kind = 'x'"),
        ("change", "CREATE INDEX x ON emails (subject)"),
        ("op.execute", "CREATE INDEX x ON emails (subject)"),
        ("op.execute", "ALTER TABLE emails ADD COLUMN x text"),
        ("op.execute", "CREATE TABLE new (a uuid REFERENCES applications)"),
        ("op.execute", "CREATE TRIGGER t BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION f()"),
    ],
)
def test_what_blocks_is_found(way: str, statement: str) -> None:
    twin = Twin()
    twin._note(way, statement)
    assert len(faults(twin)) == 1


@pytest.mark.parametrize(
    ("way", "statement"),
    [
        ("change", "ALTER TABLE emails ADD COLUMN IF NOT EXISTS x text"),
        (
            "change",
            "ALTER TABLE emails ADD COLUMN x boolean NOT NULL DEFAULT false, ADD COLUMN at timestamptz DEFAULT now()",
        ),
        ("change", "ALTER TABLE emails ADD CONSTRAINT x CHECK (subject IS NOT NULL) NOT VALID"),
        ("change", "ALTER TABLE emails VALIDATE CONSTRAINT x"),
        ("change", "CREATE TABLE new (a uuid REFERENCES applications)"),
        ("index", "CREATE INDEX CONCURRENTLY x ON emails (subject)"),
        ("op.execute", "CREATE TABLE new (a uuid PRIMARY KEY, b text NOT NULL)"),
        ("op.execute", "UPDATE console_users SET name = ''"),
    ],
)
def test_what_blocks_nobody_is_let_through(way: str, statement: str) -> None:
    twin = Twin()
    twin._note(way, statement)
    assert faults(twin) == []


def test_a_check_that_was_validated_makes_not_null_cheap() -> None:
    twin = Twin()
    twin.change(
        "ALTER TABLE emails ADD CONSTRAINT x CHECK (subject IS NOT NULL) NOT VALID",
        "ALTER TABLE emails VALIDATE CONSTRAINT x",
        "ALTER TABLE emails ALTER COLUMN subject SET NOT NULL",
    )
    assert faults(twin) == []


def test_what_no_release_uses_any_more_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Twin()
    twin._note("change", "ALTER TABLE emails DROP COLUMN subject")
    monkeypatch.setitem(globals(), "_released", lambda: {"0.2.0"})
    assert faults(twin, "0.2.0") == []
    assert len(faults(twin, "0.3.0")) == 1
