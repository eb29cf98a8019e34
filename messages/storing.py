"""Emails into their tables, in the caller's transaction: a few by one statement, many by COPY (`store/inserting`)."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from messages import rows
from messages.model import NewEmail
from store import copying
from store.database import Connection
from store.inserting import Insert, Row, Table

FEW: Final = 50
"""Messages. For so many both ways cost the server the same; requests of one mail share a commit with fewer."""
_FEW_BYTES: Final = 1024 * 1024
"""Of their contents: the server keeps the values of a statement in memory until it ends."""

_WRITE: Final = Insert(rows.EMAILS, rows.CONTENTS, rows.MESSAGES, rows.QUEUE)


async def store(connection: Connection, emails: Sequence[NewEmail], topics: Sequence[UUID | None]) -> None:
    """Write all rows of these emails. `topics`: of which each one is."""
    if sum(len(e.recipients) for e in emails) < FEW and sum(e.size for e in emails) < _FEW_BYTES:
        made = rows.rows_of(emails, topics, rows.TO_INSERT)
        given = made.emails, list(rows.contents(emails)), made.messages, made.queue
        await connection.execute(_WRITE.statement, _WRITE.parameters(given))
    else:
        made = rows.rows_of(emails, topics, rows.TO_COPY)
        await _copy(connection, rows.EMAILS, made.emails)
        await _copy(connection, rows.CONTENTS, rows.contents(emails))
        await _copy(connection, rows.MESSAGES, made.messages)
        await _copy(connection, rows.QUEUE, made.queue)
    if any(e.attachments for e in emails):
        await _copy(connection, rows.ATTACHMENTS, rows.attachments(emails))


async def _copy(connection: Connection, table: Table, given: Iterable[Row]) -> None:
    async with connection.cursor() as cursor, cursor.copy(table.copy) as copy:
        await copying.send(copy, table.lines(given))
