"""Bring a database to the newest schema."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError, PendingRollbackError

from core.errors import ConfigurationError
from store.database import DatabaseUnavailableError
from store.locks import Lock
from store.revisions import Tables, compare, newest

_TURN_SECONDS: Final = 0.1


def upgrade(database_url: str, to: str = "head") -> str:
    """Apply all missing migrations under an advisory lock; returns the revision reached.

    Raises DatabaseUnavailableError, ConfigurationError for a database of a newer version, and UnavailableError when a
    table is in use all the time.
    """
    with _connected(database_url) as connection:
        _take_turn(connection)
        revision = MigrationContext.configure(connection).get_current_revision() or ""
        connection.commit()
        if compare(revision) is Tables.NEWER:
            raise ConfigurationError(_newer(revision) + " Nothing was changed.")
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.commit()
        return MigrationContext.configure(connection).get_current_revision() or ""


def _take_turn(connection: Connection) -> None:
    """The lock is ours until the connection ends. Asks again and again instead of waiting in one statement: an index
    made CONCURRENTLY by whose turn it is waits until every statement of others has ended."""
    while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": Lock.MIGRATING}).scalar():
        connection.commit()
        time.sleep(_TURN_SECONDS)
    connection.commit()


def current(database_url: str) -> str:
    """The revision the database is on, "" when it is empty. Raises DatabaseUnavailableError."""
    with _connected(database_url) as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a revision to the next."""

    revision: str
    what: str
    """What it is for, in a sentence."""


def missing(revision: str) -> list[Migration]:
    """What brings tables of this revision ("" for none) to the newest, in order. Raises ConfigurationError for one of
    a newer version."""
    script = ScriptDirectory.from_config(_config())
    try:
        steps = list(script.iterate_revisions("head", revision or "base"))
    except (CommandError, RevisionError) as error:
        raise ConfigurationError(_newer(revision)) from error
    return [Migration(step.revision, _first_sentence(step.doc)) for step in reversed(steps)]


def _newer(revision: str) -> str:
    return (
        f"the tables are of revision {revision}, and this version knows {newest()}: they are of a newer version of"
        " Postlane. Use that one."
    )


def _first_sentence(text: str) -> str:
    whole = " ".join((text or "").split())
    head, dot, _ = whole.partition(". ")
    return head + dot.strip()


@contextmanager
def _connected(database_url: str) -> Iterator[Connection]:
    # libpq alone reads the URL: of several hosts, say, SQLAlchemy would make something else.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url))
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise DatabaseUnavailableError(f"PostgreSQL cannot be reached: {str(error.orig).strip()}") from error
    except PendingRollbackError as error:  # it broke outside of a transaction, and Alembic wanted to go on
        raise DatabaseUnavailableError("the connection to PostgreSQL was lost; migrate again") from error
    except CommandError as error:
        raise ConfigurationError(f"the database was made by another version of Postlane: {error}") from error
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
