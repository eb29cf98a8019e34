"""Which tables this version wants, and what it means to meet others. Cheap to ask: every process does when it starts.

Tables come first, processes after: who meets older tables than it needs does not start, for its statements name columns
that are not there yet. Who meets newer ones works on; migrations only add what the version before does not need
(CONTRIBUTING.md).
"""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

import psycopg

from core.errors import ConfigurationError, UnavailableError

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"

_CONNECT_SECONDS: Final = 3
_REVISION: Final = "SELECT version_num FROM alembic_version"


class Tables(StrEnum):
    """What those of a database are to this version."""

    NONE = "none"
    OLDER = "older"
    SAME = "same"
    NEWER = "newer"


@cache
def newest() -> str:
    """The newest revision this version knows: the number that the last file of migrations begins with."""
    return max(file.name[:4] for file in VERSIONS.glob("[0-9]*.py"))


def compare(revision: str) -> Tables:
    """What tables of this revision ("" for none) are. Revisions are numbers of one length."""
    if not revision:
        return Tables.NONE
    if revision == newest():
        return Tables.SAME
    return Tables.NEWER if revision > newest() else Tables.OLDER


def told(revision: str) -> str:
    """Half a sentence with what to do; "" when they are those of this version."""
    match compare(revision):
        case Tables.SAME:
            return ""
        case Tables.NEWER:
            return (
                f"the tables are at {revision}, and this version knows {newest()}: a newer version has migrated them."
                " This one works on beside it; upgrade it next"
            )
        case _:
            return f"the tables are at {revision or 'none'}, this version needs {newest()}: `postlane migrate`"


def check(database_url: str) -> str:
    """What a process says when it starts on newer tables; "" for nothing. Raises ConfigurationError for tables that are
    older, or not there, and UnavailableError while nobody can say: a reason to ask again, and none not to start."""
    try:
        with psycopg.connect(database_url, connect_timeout=_CONNECT_SECONDS, autocommit=True) as connection:
            row = connection.execute(_REVISION).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    except psycopg.Error as error:
        raise UnavailableError(f"PostgreSQL cannot be asked which tables it has: {error}") from error
    revision = str(row[0]) if row else ""
    if compare(revision) in (Tables.NONE, Tables.OLDER):
        raise ConfigurationError(f"{told(revision)}, with this version; then start this process again")
    return told(revision)
