"""Databases for tests: each test gets one that is as new, most of them one that an earlier test had.

Copying and dropping a database costs about 150 ms, truncating four tables with all that refer to them 40, deleting a
few rows 5. What a test left behind are a few rows as a rule; a database whose tables are no longer the template's
(partitions made, columns added) is dropped instead.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Final

import psycopg
from psycopg import sql

from tests.servers import copy_template, disconnect_all, drop_database

# What DDL changes: relations, their columns and types, constraints, functions, triggers, settings of this database
# (that table is shared by all of the server), and the revision that is written down.
_SCHEMA: Final = """
SELECT concat_ws('/',
  (SELECT sum(hashtextextended(concat(c.oid, c.relname, c.relkind, c.reloptions), 0))
     FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace),
  (SELECT sum(hashtextextended(concat(a.attrelid, a.attname, a.attnum, a.atttypid, a.attnotnull, a.attisdropped), 0))
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind <> 'i' AND a.attnum > 0),
  (SELECT sum(hashtextextended(concat(oid, conname), 0)) FROM pg_constraint),
  (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_trigger),
  (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()), (SELECT version_num FROM alembic_version))
"""

# Emptied tables have no page left: `_EMPTIED` sees to that, and the order of rows in a page is as in a new one.
_USED: Final = """
SELECT relname, pg_relation_size(oid) FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
   AND pg_relation_size(oid) > 0
"""
_REFERENCES: Final = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
_SEQUENCES: Final = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""

MANY_BYTES: Final = 1 << 20
"""Rows of a larger table take longer to delete than the table to truncate."""


@dataclass(slots=True)
class _Kept:
    name: str
    url: str
    schema: str
    order: tuple[str, ...]
    """Tables that refer to others, and those others, in the order in which rows may go."""
    connection: "psycopg.Connection[tuple[object, ...]]"


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
        given, self._taken = self._taken, None
        assert given is not None
        with contextlib.suppress(psycopg.Error):
            disconnect_all(given.connection, given.name)
            if _emptied(given):
                self._kept = given
                return
        self._drop(given)

    def close(self) -> None:
        """Drop what is kept."""
        if self._kept is not None:
            self._drop(self._kept)

    def _drop(self, one: _Kept) -> None:
        one.connection.close()
        drop_database(self._server_url, one.name)

    def _new(self) -> _Kept:
        name = f"postlane_test_{uuid.uuid4().hex}"
        url = copy_template(self._server_url, name)
        connection = psycopg.connect(url, autocommit=True, options="-c lock_timeout=2s", application_name="tests")
        return _Kept(name, url, _text(connection, _SCHEMA), _in_order(connection), connection)


def _in_order(connection: "psycopg.Connection[tuple[object, ...]]") -> tuple[str, ...]:
    sorter = TopologicalSorter[str]()
    for table, other in connection.execute(_REFERENCES).fetchall():
        if table != other:
            sorter.add(str(other), str(table))
    return tuple(sorter.static_order())


def _emptied(given: _Kept) -> bool:
    """Whether its schema is the template's still; then no table has a row left, and sequences begin anew."""
    connection = given.connection
    if _text(connection, _SCHEMA) != given.schema:
        return False
    used = {str(name): int(str(size)) for name, size in connection.execute(_USED).fetchall()}
    if not used:
        return True
    in_order = [name for name in given.order if name in used]
    names = [sql.Identifier(name) for name in (*in_order, *(used.keys() - in_order))]
    if max(used.values()) > MANY_BYTES:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(names)))
    else:
        connection.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(name) for name in names))
        connection.execute(sql.SQL("VACUUM (SKIP_DATABASE_STATS) {}").format(sql.SQL(", ").join(names)))
    connection.execute(_SEQUENCES)
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
