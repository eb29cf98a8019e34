"""Who meets tables of another version says so, and starts on newer ones only."""

import psycopg
import pytest
from alembic.script import ScriptDirectory

from core.errors import ConfigurationError, UnavailableError
from store import migrate, revisions
from store.revisions import Tables


def set_revision(url: str, revision: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


def test_the_newest_is_what_alembic_takes_for_it() -> None:
    assert ScriptDirectory.from_config(migrate._config()).get_current_head() == revisions.newest()


@pytest.mark.parametrize(
    ("revision", "tables"),
    [("", Tables.NONE), ("0001", Tables.OLDER), (revisions.newest(), Tables.SAME), ("9999", Tables.NEWER)],
)
def test_what_tables_are(revision: str, tables: Tables) -> None:
    assert revisions.compare(revision) is tables


def test_a_process_starts_on_its_own_tables_without_a_word(database_url: str) -> None:
    assert revisions.check(database_url) == ""


def test_a_process_does_not_start_on_older_tables_and_says_what_to_do(database_url: str) -> None:
    set_revision(database_url, "0039")
    with pytest.raises(ConfigurationError, match=r"tables are at 0039, this version needs .*`postlane migrate`"):
        revisions.check(database_url)


def test_a_process_does_not_start_without_tables(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE alembic_version")
    with pytest.raises(ConfigurationError, match=r"tables are at none, .*`postlane migrate`"):
        revisions.check(database_url)


def test_a_process_of_the_version_before_starts_on_newer_tables_and_says_so(database_url: str) -> None:
    set_revision(database_url, "9999")
    assert "a newer version has migrated them. This one works on beside it" in revisions.check(database_url)


def test_a_database_that_is_away_says_nothing_of_its_tables() -> None:
    with pytest.raises(UnavailableError, match="cannot be asked which tables it has"):
        revisions.check("postgresql://somebody@127.0.0.1:1/nowhere")
