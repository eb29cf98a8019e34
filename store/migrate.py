"""Bring a database to the newest schema. Called by `postlane migrate`, `postlane up` and the test fixtures."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

_LOCK = 0x706F73746C616E65  # "postlane": two processes that migrate at once take turns


def upgrade(database_url: str) -> str:
    """Apply all missing migrations under an advisory lock; returns the revision reached."""
    engine = create_engine(_sqlalchemy_url(database_url))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        try:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
        reached = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return reached or ""


def current(database_url: str) -> str:
    """The revision the database is on, "" when it is empty."""
    engine = create_engine(_sqlalchemy_url(database_url))
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return revision or ""


def newest() -> str:
    """The newest revision this version of Postlane knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _sqlalchemy_url(url: str) -> str:
    """libpq URL → SQLAlchemy URL for psycopg 3."""
    return "postgresql+psycopg://" + url.split("://", 1)[1]
