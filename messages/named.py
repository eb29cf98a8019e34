"""Which emails an operator may mean by the beginning of an id."""

from uuid import UUID

from store.database import Connection

_BEGINNING = """
SELECT e.id, e.created_at, e.subject FROM emails e WHERE e.id BETWEEN %s AND %s ORDER BY e.id DESC LIMIT %s
"""
"""A range of ids and no LIKE: ids order partitions and the index, their text orders nothing."""


async def emails_between(connection: Connection, least: UUID, largest: UUID, limit: int) -> list[tuple[UUID, str]]:
    """Ids with time and subject, newest first."""
    cursor = await connection.execute(_BEGINNING, [least, largest, limit])
    return [(row[0], f"{row[1]:%Y-%m-%d %H:%M:%S}  {row[2]}") for row in await cursor.fetchall()]
