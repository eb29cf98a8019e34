"""Databases for tests: each test gets one that is as new, most of them one that an earlier test had.

Copying and dropping a database costs about 150 ms, emptying one 10. What a test left behind are rows as a rule; a
database whose tables are no longer those of the template (partitions made, columns added) is dropped instead.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from tests.servers import copy_template, disconnect_all, drop_database

# What DDL changes: relations, their columns and types, constraints, functions, triggers.
_SCHEMA: Final = """
SELECT md5(concat_ws('/',
  (SELECT string_agg(concat(c.oid, c.relname, c.relkind, c.reloptions), ',' ORDER BY c.oid)
     FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace),
  (SELECT string_agg(concat(a.attrelid, a.attname, a.atttypid, a.attnotnull, a.attisdropped), ','
                     ORDER BY a.attrelid, a.attnum)
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0),
  (SELECT string_agg(concat(oid, conname), ',' ORDER BY oid) FROM pg_constraint),
  (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_db_role_setting)))
"""

_TABLES: Final = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version' ORDER BY relname
"""


@dataclass(slots=True)
class _Kept:
    name: str
    url: str
    schema: str


class Databases:
    """Those of one pytest process. One test at a time takes one and gives it back."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._kept: _Kept | None = None
        self._taken: _Kept | None = None

    def take(self) -> str:
        """URL of a migrated, empty database."""
        taken, self._kept = self._kept or self._new(), None
        self._taken = taken
        return taken.url

    def give_back(self) -> None:
        """The test is over: empty the database for the next one, or drop it."""
        given = self._taken
        assert given is not None
        with contextlib.suppress(psycopg.Error):
            self._disconnect(given)
            if _emptied(given):
                self._kept, self._taken = given, None
                return
        drop_database(self._server_url, given.name)

    def close(self) -> None:
        """Drop what is kept."""
        if self._kept is not None:
            drop_database(self._server_url, self._kept.name)

    def _new(self) -> _Kept:
        name = f"postlane_test_{uuid.uuid4().hex}"
        url = copy_template(self._server_url, name)
        with psycopg.connect(url, autocommit=True) as connection:
            return _Kept(name, url, _text(connection, _SCHEMA))

    def _disconnect(self, given: _Kept) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            disconnect_all(connection, given.name)


def _emptied(given: _Kept) -> bool:
    """Whether its schema is the template's still; then no table has a row left."""
    with psycopg.connect(given.url, autocommit=True, options="-c lock_timeout=2s") as connection:
        if _text(connection, _SCHEMA) != given.schema:
            return False
        tables = [row[0] for row in connection.execute(_TABLES).fetchall()]
        one = "SELECT {} WHERE EXISTS (SELECT FROM {})"
        asked = sql.SQL(" UNION ALL ").join(sql.SQL(one).format(name, sql.Identifier(name)) for name in tables)
        used = [sql.Identifier(row[0]) for row in connection.execute(asked).fetchall()]
        if used:
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(sql.SQL(", ").join(used)))
    return True


def _text(connection: "psycopg.Connection[tuple[object, ...]]", query: str) -> str:
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


async def cut_off_at(database_url: str, table: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do something, and end the first session that comes to this table with it: what a server's death looks like."""
    waits = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
        working = asyncio.ensure_future(work())
        async with (
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
            asyncio.timeout(20),
        ):
            while not working.done() and not (await connection.execute(waits)).rowcount:
                await asyncio.sleep(0.01)
        await holder.rollback()
        await working
