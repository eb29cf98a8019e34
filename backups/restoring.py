"""An installation made of a backup, in an empty database, before any process of it runs.

What left between the backup and the loss is not known in the copy. So that nothing of it leaves twice, mail that may
have left is held until a person decides (`messages/restored`), campaigns that were sending or about to are paused, and
automations do not go on with what was due. What is to happen at a time still ahead goes on by itself.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import psycopg

from backups import manifest, programs
from backups.manifest import DUMP, SECRET, Manifest
from campaigns import restored as campaigns
from campaigns.restored import PutAside
from core.errors import ConfigurationError
from core.secrets import InstanceSecret
from messages import restored as messages
from store import migrate
from store.database import Connection, Database, DatabaseUnavailableError
from store.ready import make_ready

_EMPTY: Final = """
SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')),
       current_database(), current_setting('server_version_num')::int / 10000,
       (SELECT string_agg(DISTINCT application_name, ', ') FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'postlane-%' AND pid <> pg_backend_pid())
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Restored:
    """What is there now, and what waits for a decision."""

    backup: Manifest
    revision: str
    held: int
    """Messages."""
    aside: PutAside


def kept_secret(folder: Path) -> str:
    """The instance secret that lies in a backup; "" where none does."""
    try:
        return (folder / SECRET).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"{folder / SECRET} cannot be read: {error.strerror}") from error


def check_secret(backup: Manifest, secret: str) -> None:
    """Raises ConfigurationError unless it is the one that sealed what lies in the backup."""
    if manifest.fingerprint(InstanceSecret.from_text(secret)) != backup.secret:
        raise ConfigurationError(
            "this is not the instance secret of the installation that was copied: its DKIM keys could not be read, and"
            " links in mail that was sent would lead nowhere. Set POSTLANE_SECRET to what it was there."
        )


def restore(database_url: str, secret: str, folder: Path, meanwhile: Callable[[], None]) -> Restored:
    """Make the database what it was, with this version's tables. Raises ConfigurationError, DatabaseUnavailableError
    and UnavailableError; an interrupted one leaves a database that must be made anew."""
    backup = manifest.read(folder)
    check_secret(backup, secret)
    migrate.missing(backup.revision)  # of a later version it would be refused when all is loaded
    name, major = _check_empty(database_url)
    manifest.check(folder, backup)
    program = programs.program("pg_restore", major)

    def run(section: str) -> None:
        jobs = max(1, min(4, os.cpu_count() or 1))
        words = "--no-owner", "--no-privileges", "--no-comments", "--exit-on-error", f"--jobs={jobs}"
        programs.run(
            [program, *words, f"--dbname={name}", f"--section={section}", folder / DUMP], database_url, meanwhile
        )

    run("pre-data")
    asyncio.run(_do(database_url, _watch))
    run("data")
    run("post-data")
    revision = make_ready(database_url)  # first: what follows is written for this version's tables
    held, aside = asyncio.run(_do(database_url, _put_aside))
    return Restored(backup, revision, held, aside)


def _check_empty(database_url: str) -> tuple[str, int]:
    """Its name, and the server's version."""
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            row = connection.execute(_EMPTY).fetchone()
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(f"PostgreSQL cannot be reached: {str(error).strip()}") from error
    assert row is not None
    empty, name, major, running = row
    if running:
        raise ConfigurationError(
            f"processes of Postlane use this database ({running}): stop them first, or they find half of it."
        )
    if not empty:
        raise ConfigurationError(
            "the database is not empty, and a backup is restored into an empty one only. Make a new one"
            " (createdb --owner postlane NAME) and name it in POSTLANE_DATABASE_URL, or begin in an empty data folder."
        )
    return str(name), int(major)


async def _watch(connection: Connection) -> None:
    await messages.watch(connection)
    await campaigns.watch(connection)


async def _put_aside(connection: Connection) -> tuple[int, PutAside]:
    return await messages.watched(connection), await campaigns.put_aside(connection)


async def _do(database_url: str, what: Callable[[Connection], Awaitable[T]]) -> T:
    """In one transaction."""
    database = Database(database_url, size=1, name="postlane-restore")
    await database.open()
    try:
        async with database.transaction() as connection:
            return await what(connection)
    finally:
        await database.close()
