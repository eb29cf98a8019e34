"""Copying an installation while it works: one consistent dump, and what is needed to judge it later."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import psycopg

from backups import manifest, programs
from backups.manifest import DUMP, SECRET, Manifest
from core.errors import ConfigurationError
from core.secrets import InstanceSecret
from core.version import version
from store.database import DatabaseUnavailableError

_STATE: Final = """
SELECT now(), current_setting('server_version'), current_setting('server_version_num')::int / 10000,
       (SELECT version_num FROM alembic_version)
"""
_NOT_COPIED: Final = ("heartbeats",)
"""Tables whose rows say nothing of any other installation."""
_CONTENT: Final = ("contents*", "attachments*")


@dataclass(frozen=True, slots=True)
class _State:
    taken_at: datetime
    server: str
    major: int
    revision: str


def back_up(
    database_url: str,
    secret: str,
    folder: Path,
    *,
    with_secret: bool,
    with_content: bool,
    meanwhile: Callable[[int], None],
) -> Manifest:
    """Write a backup into a folder that does not exist yet. It is there when it is whole, and not before; `meanwhile`
    is told the bytes written so far, twice a second.

    Raises ConfigurationError, DatabaseUnavailableError and UnavailableError.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already: a backup is never written over another.")
    state = _state(database_url)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(mode=0o700, parents=True)
        made = _write(partial, database_url, secret, state, with_content, meanwhile)
        if with_secret:
            _keep_secret(partial / SECRET, secret)
        _sync(partial)
        partial.rename(folder)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or partial} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def _write(
    folder: Path, database_url: str, secret: str, state: _State, with_content: bool, meanwhile: Callable[[int], None]
) -> Manifest:
    dump = folder / DUMP
    left_out = (*_NOT_COPIED, *(() if with_content else _CONTENT))
    programs.run(
        [
            *(programs.program("pg_dump", state.major), "--format=custom", "--no-owner", "--no-privileges"),
            *(f"--exclude-table-data={name}" for name in left_out),
            f"--file={dump}",
        ],
        database_url,
        lambda: meanwhile(dump.stat().st_size if dump.exists() else 0),
    )
    made = Manifest(
        state.taken_at, version(), state.revision, state.server,
        manifest.fingerprint(InstanceSecret.from_text(secret)), with_content, dump.stat().st_size,
        manifest.digest(dump),
    )  # fmt: skip
    manifest.write(folder, made)
    return made


def _state(database_url: str) -> _State:
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            row = connection.execute(_STATE).fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise ConfigurationError("there is nothing to copy: the database has no tables of Postlane") from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(f"PostgreSQL cannot be reached: {str(error).strip()}") from error
    assert row is not None
    return _State(*row)


def _keep_secret(file: Path, secret: str) -> None:
    with open(file, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as out:
        out.write(secret + "\n")


def _sync(folder: Path) -> None:
    """On the disk, with the names of the files."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
