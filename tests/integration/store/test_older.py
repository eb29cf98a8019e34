"""Data of a former revision comes through the migrations whole, and so does a backup of it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from backups import making, restoring
from campaigns.restored import WHY
from store import migrate, revisions
from store.ready import make_ready
from tests import older
from tests.servers import TestServers, drop_database, with_database

_TABLES = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition AND c.relname <> 'alembic_version' ORDER BY 1
"""


@contextmanager
def database(servers: TestServers) -> Iterator[str]:
    """An empty one."""
    name = f"postlane_older_{uuid.uuid4().hex}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield with_database(servers.database_url, name)
    drop_database(servers.database_url, name)


@pytest.fixture
def old(servers: TestServers) -> Iterator[str]:
    """What an installation of the former revision holds."""
    with database(servers) as url:
        older.make(url)
        yield url


@pytest.fixture
def empty(servers: TestServers) -> Iterator[str]:
    with database(servers) as url:
        yield url


def told(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that has some."""
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(_TABLES)]
        found = {
            name: [
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY t::text").format(sql.Identifier(name))
                )
            ]
            for name in names
        }
    return {name: rows for name, rows in found.items() if rows}


def one(url: str, question: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
        return row[0] if row else None


def all_of(url: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(question).fetchall()


def without(rows: list[dict[str, Any]], keys: set[str]) -> list[tuple[Any, ...]]:
    return sorted(tuple(sorted((key, str(row[key])) for key in keys)) for row in rows)


def test_every_row_is_what_it_was_and_every_kind_is_there(old: str) -> None:
    before = told(old)
    assert {row["state"] for row in before["campaigns"]} == {
        "draft", "scheduled", "sending", "paused", "stopped", "finished", "cancelled",
    }  # fmt: skip
    assert {row["state"] for row in before["messages"]} >= {
        "queued", "scheduled", "deferred", "delivered", "bounced", "suppressed", "cancelled",
    }  # fmt: skip
    assert [row["recipient"] for row in before["delivery_queue"] if row["claimed_by"]] == ["slow+3@small-001.sim"]
    assert before.keys() >= {
        "suppressions", "contacts", "segments", "topics", "webhook_events", "warmups", "console_users",
        "automation_runs", "templates", "api_keys", "dkim_keys", "report_totals", "audit_log",
    }  # fmt: skip

    assert migrate.upgrade(old) == revisions.newest()

    after = told(old)
    for table, rows in before.items():
        assert without(after[table], set(rows[0])) == without(rows, set(rows[0])), table


def test_an_old_backup_is_restored_and_nothing_of_it_is_at_work_meanwhile(
    old: str, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    made = making.back_up(old, older.SECRET, copy, with_secret=False, with_content=True, meanwhile=lambda _: None)
    assert made.revision == older.REVISION
    due = one(old, "SELECT due_at FROM automation_runs WHERE state = 'running'")
    at_work: list[tuple[Any, ...]] = []
    monkeypatch.setattr(restoring, "make_ready", _looking(at_work, make_ready))

    restored = restoring.restore(empty, older.SECRET, copy, lambda: None)

    assert at_work == [("0039", 0, 0, 0, 0)], "a background process that began now would find work"
    assert restored.revision == revisions.newest() == one(empty, "SELECT version_num FROM alembic_version")
    assert (restored.aside.campaigns, restored.aside.automations, restored.aside.runs) == (1, 0, 0)
    assert all_of(empty, "SELECT state, reason FROM campaigns WHERE name = 'sending'") == [("paused", WHY)]
    states = "SELECT name, state FROM campaigns WHERE name <> 'sending' ORDER BY 1"
    assert all_of(empty, states) == all_of(old, states)
    assert one(empty, "SELECT due_at FROM automation_runs WHERE state = 'running'") == due
    assert one(empty, "SELECT state FROM automations") == "enabled"
    # All but what is scheduled, and what its server put off.
    waiting = one(old, "SELECT count(*) FROM delivery_queue WHERE due_at <= now() OR claimed_by IS NOT NULL")
    assert restored.held == waiting == one(old, "SELECT count(*) - 2 FROM delivery_queue")
    assert one(empty, "SELECT to_regclass('restored_parked')") is None
    left = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'restored%'"
    assert all_of(empty, left) == []


def test_automations_that_had_something_due_do_not_go_on_from_an_old_backup(
    old: str, empty: str, tmp_path: Path
) -> None:
    with psycopg.connect(old) as connection:
        connection.execute("UPDATE automation_runs SET due_at = now() - interval '1 minute' WHERE state = 'running'")
        connection.execute("UPDATE automations SET next_at = now() - interval '1 minute'")
    making.back_up(old, older.SECRET, tmp_path / "copy", with_secret=False, with_content=True, meanwhile=lambda _: None)

    restored = restoring.restore(empty, older.SECRET, tmp_path / "copy", lambda: None)

    assert (restored.aside.automations, restored.aside.runs) == (1, 1)
    assert all_of(empty, "SELECT state, reason FROM automation_runs") == [("cancelled", WHY)]
    assert one(empty, "SELECT state FROM automations") == "disabled"


def _looking(at_work: list[tuple[Any, ...]], then: Callable[[str], str]) -> Callable[[str], str]:
    """Looks at what is there right before the tables are migrated."""

    def look(url: str) -> str:
        at_work.extend(
            all_of(
                url,
                "SELECT (SELECT version_num FROM alembic_version),"
                " (SELECT count(*) FROM campaigns WHERE state IN ('sending', 'scheduled')),"
                " (SELECT count(*) FROM automations WHERE state = 'enabled'),"
                " (SELECT count(*) FROM automation_runs WHERE due_at < now() + interval '1 year'),"
                " (SELECT count(*) FROM delivery_queue WHERE due_at <= now())",
            )
        )
        return then(url)

    return look
