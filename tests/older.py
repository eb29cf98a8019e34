"""A database as a former revision left it, with every kind of thing in it, as if that had been within the last hour.

The rows were made by the code of that revision (`older_0039.sql`), so they say what it really wrote. There is no
release yet: 0039 is the newest revision whose migrations are word for word what they were when its code ran.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from store import migrate

REVISION: Final = "0039"
SECRET: Final = "5a" * 32  # sealed the keys in it; nobody else's
DUMP: Final = Path(__file__).parent / "older_0039.sql"
_MADE: Final = datetime(2026, 11, 29, 3, 52, tzinfo=UTC)
_WATCHED: Final = """
SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE NOT t.tgisinternal AND t.tgparentid = 0
"""
_HOUR: Final = timedelta(hours=1)
_TIME: Final = re.compile(r"'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\+00'")
_DAY: Final = re.compile(r"'(\d{4}-\d\d-\d\d)'")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def make(url: str) -> None:
    """Tables of that revision with its rows, in an empty database."""
    migrate.upgrade(url, REVISION)
    with psycopg.connect(url) as connection:
        watched = [table for (table,) in connection.execute(_WATCHED)]
        _triggers(connection, watched, "DISABLE")  # what they would write is in the rows
        connection.execute(rows(datetime.now(UTC)))
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        _triggers(connection, watched, "ENABLE")


def _triggers(connection: "psycopg.Connection[Any]", tables: list[str], how: str) -> None:
    for table in tables:
        connection.execute(sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(sql.Identifier(table), sql.SQL(how)))


def rows(now: datetime) -> str:
    """The rows, moved by whole hours: what was put off is due in 28 minutes at the earliest. Ids of mail move too: they
    say in which day's partition it lies."""
    later = (now - _MADE) // _HOUR * _HOUR
    days = timedelta(days=((_MADE + later).date() - _MADE.date()).days)
    text = DUMP.read_text(encoding="utf-8")
    mail = set(_ids_of(text, "emails")) | set(_ids_of(text, "contents"))
    text = _ID.sub(lambda found: _moved(found[0], later) if found[0] in mail else found[0], text)
    text = _TIME.sub(_mover(later, "%Y-%m-%d %H:%M:%S.%f", "+00"), text)
    return _DAY.sub(_mover(days, "%Y-%m-%d", ""), text)


def _ids_of(text: str, table: str) -> list[str]:
    (found,) = re.findall(rf"^INSERT INTO {table} \(id, .*?;$", text, re.M | re.S)
    return re.findall(r"^  \('([0-9a-f-]{36})'", found, re.M)


def _moved(text: str, by: timedelta) -> str:
    return str(UUID(int=UUID(text).int + (by // timedelta(milliseconds=1) << 80)))


def _mover(by: timedelta, form: str, zone: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"'{datetime.fromisoformat(found[1]) + by:{form}}{zone}'"
