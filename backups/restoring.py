"""An installation made of a backup, in an empty database, before any process of it runs.

What left between the backup and the loss is not known in the copy. So that nothing of it leaves twice, mail that may
have left is held until a person decides (`messages/restored`), campaigns that were sending or about to are paused, and
automations do not go on with what was due. What is to happen at a time still ahead goes on by itself.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from backups import manifest, programs
from backups.manifest import DUMP, SECRET, Manifest
from campaigns import restored as campaigns
from campaigns.restored import PutAside
from core.errors import ConfigurationError
from core.secrets import InstanceSecret
from messages import restored as messages
from store.database import Database, DatabaseUnavailableError
from store.ready import make_ready

_EMPTY: Final = """
SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')),
       current_setting('server_version_num')::int / 10000
"""


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
    major = _check_empty(database_url)
    manifest.check(folder, backup)
    jobs = max(1, min(4, os.cpu_count() or 1))
    programs.run(
        [
            *(programs.program("pg_restore", major), "--no-owner", "--no-privileges", "--no-comments"),
            *("--exit-on-error", f"--jobs={jobs}", f"--dbname={_name(database_url)}", folder / DUMP),
        ],
        database_url,
        meanwhile,
    )
    held, aside = asyncio.run(_put_aside(database_url))
    return Restored(backup, make_ready(database_url), held, aside)


def _name(database_url: str) -> str:
    return programs.environment(database_url).get("PGDATABASE", "postgres")


def _check_empty(database_url: str) -> int:
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            row = connection.execute(_EMPTY).fetchone()
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(f"PostgreSQL cannot be reached: {str(error).strip()}") from error
    assert row is not None
    empty, major = row
    if not empty:
        raise ConfigurationError(
            "the database is not empty, and a backup is restored into an empty one only. Make a new one"
            " (createdb --owner postlane NAME) and name it in POSTLANE_DATABASE_URL, or begin in an empty data folder."
        )
    return int(major)


async def _put_aside(database_url: str) -> tuple[int, PutAside]:
    """All of it or nothing: no process finds mail that is due before that which may have left is held."""
    database = Database(database_url, size=1, name="postlane-restore")
    await database.open()
    try:
        async with database.transaction() as connection:
            return await messages.hold(connection), await campaigns.put_aside(connection)
    finally:
        await database.close()
