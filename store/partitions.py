"""Daily partitions of the tables of mail: made ahead, dropped when their time is over. Called by the scheduler.

The partition key is the UUIDv7 of the email, so a partition holds the mail *accepted* on that day (UTC) with all
that happened to it later.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from psycopg import sql

from core.ids import lowest_at
from store.database import Connection

CONTENT_TABLES = ("contents", "attachments")
EVENT_TABLES = ("emails", "messages", "events")

_KEYS = {"contents": "id", "attachments": "content_id", "emails": "id", "messages": "email_id", "events": "email_id"}
"""The partition key of each table."""

_OPTIONS = {
    # Mail bodies are read once, soon: keep a usual one in its row, and do not spend time on compressing it.
    "contents": "toast_tuple_target = 8160",
    # A message's state is updated in place, two or three times: leave room for HOT updates.
    "messages": "fillfactor = 75",
}


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days partitions live."""

    content_days: int
    event_days: int


def bounds(day: date) -> tuple[str, str]:
    """Lower (inclusive) and upper (exclusive) id of one day's partition."""
    start = datetime.combine(day, time.min, UTC)
    return str(lowest_at(start)), str(lowest_at(start + timedelta(days=1)))


async def ensure(connection: Connection, today: date, ahead: int = 3) -> list[str]:
    """Make the partitions from yesterday to `ahead` days from now; returns the names made."""
    existing = await _existing(connection)
    made = []
    for offset in range(-1, ahead + 1):
        day = today + timedelta(days=offset)
        for table in CONTENT_TABLES + EVENT_TABLES:
            name = f"{table}_{day:%Y%m%d}"
            if name not in existing:
                await _make(connection, table, name, day)
                made.append(name)
    return made


async def _make(connection: Connection, table: str, name: str, day: date) -> None:
    """Make one partition. Rows of that day that went into the default partition, because nobody had made this one in
    time, move to where they belong: PostgreSQL refuses the partition otherwise."""
    low, high = bounds(day)
    key = sql.Identifier(_KEYS[table])
    default = sql.Identifier(f"{table}_default")
    stray = sql.SQL("{} >= {} AND {} < {}").format(key, sql.Literal(low), key, sql.Literal(high))
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(default))
        await connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE stray ON COMMIT DROP AS SELECT * FROM {} WHERE {}").format(default, stray)
        )
        await connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(default, stray))
        await connection.execute(_create(table, name, day))
        await connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM stray").format(sql.Identifier(table)))


def _create(table: str, name: str, day: date) -> sql.Composed:
    low, high = bounds(day)
    options = sql.SQL(f" WITH ({_OPTIONS[table]})") if table in _OPTIONS else sql.SQL("")
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({}){}").format(
        sql.Identifier(name), sql.Identifier(table), sql.Literal(low), sql.Literal(high), options
    )


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
                await _delete_finished(connection, table, name)
            continue
        await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        dropped.append(name)
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


async def _delete_finished(connection: Connection, table: str, name: str) -> None:
    await connection.execute(
        sql.SQL("DELETE FROM {} c WHERE NOT EXISTS (SELECT FROM delivery_queue q WHERE q.email_id = c.{})").format(
            sql.Identifier(name), sql.Identifier(_KEYS[table])
        )
    )
