"""Changing tables that are in use: what migrations call instead of a bare `ALTER TABLE` or `CREATE INDEX`.

Whoever waits for a table's strongest lock makes every later statement on that table wait behind it. So each change is
a transaction of its own, which holds the lock of one table and waits for no second one; it waits `LOCK_SECONDS` at
most, lets those behind it through, and asks again. Indexes of what may be large are built beside the running work.

A migration that was interrupted runs again from its beginning, so what is given to `change` must do no harm the second
time (IF NOT EXISTS). New tables that refer to no old one need none of this: a migration makes them in its own
transaction, after the changes.
"""

import time
from typing import Final

from alembic import op
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from core.errors import UnavailableError

LOCK_SECONDS: Final = 1.0
"""How long one try can hold up a live statement."""

PAUSE_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 600.0

_IN_USE: Final = ("55P03", "40P01")  # lock_not_available, deadlock_detected

_OLDEST: Final = """
SELECT concat('process ', pid, ' (', coalesce(nullif(application_name, ''), usename), ') since ',
              to_char(xact_start, 'HH24:MI TZ'), ', ', left(query, 80))
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
 ORDER BY xact_start LIMIT 1
"""

_VALID: Final = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"

# Partitions without a part of the index. One that is made meanwhile gets all indexes of its parent.
_LACKING: Final = """
SELECT p.inhrelid::regclass::text FROM pg_inherits p
 WHERE p.inhparent = CAST(:table AS regclass) AND NOT EXISTS (
   SELECT FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid
    WHERE i.inhparent = CAST(:name AS regclass) AND x.indrelid = p.inhrelid)
 ORDER BY 1 LIMIT 1
"""


def change(*statements: str) -> None:
    """Run each of these by itself, as soon as its table is free for a moment. Raises UnavailableError when it never is
    in `PATIENCE_SECONDS`."""
    with op.get_context().autocommit_block():
        for statement in statements:
            _patiently(op.get_bind(), statement)


def index(name: str, table: str, of: str) -> None:
    """Make an index of a table that goes on being written; `of` is what stands behind the table's name."""
    with op.get_context().autocommit_block():
        _index(op.get_bind(), name, table, of)


def index_partitions(name: str, table: str, of: str) -> None:
    """Make an index of a partitioned table, one partition after the other."""
    change(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} {of}")
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        while partition := connection.execute(text(_LACKING), {"table": table, "name": name}).scalar():
            part = f"{partition}_{name}"
            _index(connection, part, partition, of)
            _patiently(connection, f"ALTER INDEX {name} ATTACH PARTITION {part}")


def _index(connection: Connection, name: str, table: str, of: str) -> None:
    """Waits for running transactions without a limit, for nobody waits behind it. What an interrupted run left is made
    anew: PostgreSQL keeps such an index up to date, and never uses it."""
    while not (valid := connection.execute(text(_VALID), {"name": name}).scalar()):
        if valid is False:
            _done(connection, f"DROP INDEX CONCURRENTLY {name}")
        else:
            _done(connection, f"CREATE INDEX CONCURRENTLY {name} ON {table} {of}")


def _patiently(connection: Connection, statement: str) -> None:
    begun = time.monotonic()
    connection.execute(text(f"SET lock_timeout = {round(LOCK_SECONDS * 1000)}"))
    while not _done(connection, statement):
        if time.monotonic() > begun + PATIENCE_SECONDS:
            raise UnavailableError(_held_up(connection, statement))
        time.sleep(PAUSE_SECONDS)
    connection.execute(text("SET lock_timeout = 0"))


def _done(connection: Connection, statement: str) -> bool:
    try:
        connection.execute(text(statement))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in _IN_USE:
            raise
        return False
    return True


def _held_up(connection: Connection, statement: str) -> str:
    oldest = connection.execute(text(_OLDEST)).scalar()
    return (
        f"a table was in use for {round(PATIENCE_SECONDS / 60)} minutes without a pause, so this waits: {statement}."
        f" The oldest transaction that is open now: {oldest or 'none'}. Let it end, or end it, and migrate again: it"
        " goes on from there."
    )
