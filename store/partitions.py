"""Daily partitions of the tables of mail: made ahead, dropped when their time is over.

The partition key is the UUIDv7 of the email, so a partition holds the mail *accepted* on that day (UTC) with all
that happened to it later.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import psycopg
from psycopg import sql

from core.ids import lowest_at
from core.logs import get_logger
from store.database import Connection
from store.locks import Lock

_log = get_logger(__name__)

CONTENT_TABLES = ("contents", "attachments")
EVENT_TABLES = ("emails", "messages", "events")

_KEYS = {"contents": "id", "attachments": "content_id", "emails": "id", "messages": "email_id", "events": "email_id"}
"""The partition key of each table."""

# A day's partition grows all day, and would be looked through anew for each twentieth that comes, for statistics that
# hardly change: twice as much as at the last time is soon enough.
_ANALYZED = "autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 1000"

_UNMAPPED = "autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_insert_threshold = -1"

_OPTIONS = {
    # Mail bodies are read once, soon: keep a usual one in its row, and do not spend time on compressing it. By their id
    # only, for which no statistics are needed, nor a map of what all may see: to make it, each page would be read and
    # written once more on the day it came.
    "contents": "toast_tuple_target = 8160, autovacuum_analyze_scale_factor = 9,"
    f" autovacuum_analyze_threshold = 1000000, {_UNMAPPED}",
    "attachments": _UNMAPPED,
    # A message's state is updated in place, two or three times: leave room for HOT updates.
    "messages": f"fillfactor = 75, {_ANALYZED}",
    "emails": _ANALYZED,
    "events": _ANALYZED,
}

_MAKE = (
    "LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
    "CREATE TABLE {name} (LIKE {table} INCLUDING ALL){options}",
    "WITH stray AS (DELETE FROM {default} WHERE {key} >= {low} AND {key} < {high} RETURNING *)"
    " INSERT INTO {name} SELECT * FROM stray",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
)
"""Advisory lock: two that make partitions at once take turns."""

STORY_DAYS = 400
"""The story of an IP (rests, warm-up, alarms) is kept for more than a year: last season's rests are what this season's
plan is made from."""

SCHEDULE_DAYS = 30
"""Mail may be scheduled so far ahead."""

LOCK_SECONDS = 2.0
"""How long to wait for a table that is in use; mail that needs it waits behind."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days partitions live."""

    content_days: int
    event_days: int


def retention(content_days: int, event_days: int) -> Retention:
    """Retention from settings, in days: events at least as long as content, and for the longest schedule ahead."""
    return Retention(content_days, max(event_days, content_days, SCHEDULE_DAYS))


async def keep(connection: Connection, today: date, kept: Retention) -> None:
    """Make the partitions of the coming days, drop those past retention."""
    made = await ensure(connection, today)
    dropped = await drop_old(connection, today, kept)
    if made or dropped:
        _log.info("partitions", made=len(made), dropped=dropped)


def bounds(day: date) -> tuple[str, str]:
    """Lower (inclusive) and upper (exclusive) id of one day's partition."""
    start = datetime.combine(day, time.min, UTC)
    return str(lowest_at(start)), str(lowest_at(start + timedelta(days=1)))


async def ensure(connection: Connection, today: date, ahead: int = 3) -> list[str]:
    """Make the partitions from yesterday to `ahead` days from now; returns the names made. Leaves off when a table is
    in use for long, by a backup for instance: there are days left to try again."""
    existing = await _existing(connection)
    made = []
    for offset in range(-1, ahead + 1):
        day = today + timedelta(days=offset)
        for table in CONTENT_TABLES + EVENT_TABLES:
            name = f"{table}_{day:%Y%m%d}"
            if name in existing:
                continue
            try:
                if await _make(connection, table, name, day):
                    made.append(name)
            except psycopg.errors.LockNotAvailable:
                _log.warning("partition_waits", partition=name)
                return made
    return made


async def _make(connection: Connection, table: str, name: str, day: date) -> bool:
    """Make one partition, False when somebody else has. Rows of that day that went into the default partition, because
    nobody had made this one in time, move to where they belong: PostgreSQL refuses the partition otherwise.

    It is made by itself and then attached: that locks the parent for changes of its structure only, and the default
    partition alone for writing. `CREATE TABLE … PARTITION OF` would lock the parent against all mail, in the opposite
    order than a transaction that accepts mail.
    """
    low, high = bounds(day)
    names = {
        "table": sql.Identifier(table),
        "name": sql.Identifier(name),
        "default": sql.Identifier(f"{table}_default"),
        "key": sql.Identifier(_KEYS[table]),
        "low": sql.Literal(low),
        "high": sql.Literal(high),
        "options": sql.SQL(f" WITH ({_OPTIONS[table]})") if table in _OPTIONS else sql.SQL(""),
    }
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [Lock.MAKING_PARTITIONS])
        cursor = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if (await cursor.fetchone() or [False])[0]:
            return False
        await _limit_waiting(connection)
        for statement in _MAKE:
            await connection.execute(sql.SQL(statement).format(**names))
    return True


async def _limit_waiting(connection: Connection) -> None:
    """Whoever asks for a strong lock makes all others wait behind it: do not ask for long."""
    await connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{round(LOCK_SECONDS * 1000)}ms"])


async def drop_old(connection: Connection, today: date, retention: Retention) -> list[str]:
    """Drop what is past its retention, unless mail of that day is still on its way; returns the names dropped.

    A message scheduled 30 days ahead keeps its day's partitions until it has ended; the content of the finished mail
    of such a day is deleted row by row instead.
    """
    dropped = []
    for name in sorted(await _existing(connection)):
        table, _, stamp = name.rpartition("_")
        day = datetime.strptime(stamp, "%Y%m%d").replace(tzinfo=UTC).date()
        days = retention.content_days if table in CONTENT_TABLES else retention.event_days
        if day >= today - timedelta(days=days):
            continue
        if await _still_queued(connection, day):
            if table in CONTENT_TABLES:
                await _delete_finished(connection, table, name, bounds(day)[1])
            continue
        try:
            async with connection.transaction():
                await _limit_waiting(connection)
                await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        except psycopg.errors.LockNotAvailable:
            _log.warning("partition_waits", partition=name)
            break
        dropped.append(name)
    for table in CONTENT_TABLES + EVENT_TABLES:
        days = retention.content_days if table in CONTENT_TABLES else retention.event_days
        await _delete_finished(connection, table, f"{table}_default", bounds(today - timedelta(days=days))[0])
    return dropped


async def _existing(connection: Connection) -> set[str]:
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_inherits i"
        " JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent"
        " WHERE p.relname = ANY(%s) AND p.relnamespace = current_schema()::regnamespace AND c.relname ~ '_[0-9]{8}$'",
        [list(CONTENT_TABLES + EVENT_TABLES)],
    )
    return {str(name) for (name,) in await cursor.fetchall()}


async def _still_queued(connection: Connection, day: date) -> bool:
    low, high = bounds(day)
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM delivery_queue WHERE email_id >= %s::uuid AND email_id < %s::uuid)", [low, high]
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _delete_finished(connection: Connection, table: str, name: str, before: str) -> None:
    """Delete rows below an id, but for those of mail on its way."""
    await connection.execute(
        sql.SQL(
            "DELETE FROM {name} c WHERE c.{key} < {before}"
            " AND NOT EXISTS (SELECT FROM delivery_queue q WHERE q.email_id = c.{key})"
        ).format(name=sql.Identifier(name), key=sql.Identifier(_KEYS[table]), before=sql.Literal(before))
    )
