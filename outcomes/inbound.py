"""The table `inbound_mail`: what came to our return paths, from the moment it is taken until it is forgotten.

A row without `result` is still to be worked through; the raw mail stays for `KEPT`, so that a person can look at what
no rule understood.
Every function works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.ids import uuid7
from mta.inbound_reports import ReceivedMail
from store.database import Connection

KEPT: Final = timedelta(days=7)
GIVEN_UP: Final = timedelta(days=2)
"""A row that still has no result by then is not picked up again: something about it is a bug, and it stays to be
looked at until `KEPT` is over."""


@dataclass(frozen=True, slots=True)
class InboundMail:
    """One received mail that waits."""

    id: UUID
    received_at: datetime
    envelope_to: str
    """The signed return path it was sent to."""
    raw: bytes


async def store_inbound(connection: Connection, mails: Sequence[ReceivedMail]) -> list[UUID]:
    """Insert mails; returns their ids in order."""
    ids = [uuid7() for _ in mails]
    await connection.execute(
        "INSERT INTO inbound_mail (id, envelope_to, mail_from, peer, raw)"
        " SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::bytea[])",
        [
            ids,
            [mail.to for mail in mails],
            [_printable(mail.sender) for mail in mails],
            [mail.peer for mail in mails],
            [mail.content for mail in mails],
        ],
    )
    return ids


async def load_inbound(connection: Connection, identifier: UUID) -> InboundMail | None:
    """The mail, or None when it is gone or has been worked through."""
    cursor = await connection.execute(
        "SELECT id, received_at, envelope_to, raw FROM inbound_mail WHERE id = %s AND result IS NULL", [identifier]
    )
    row = await cursor.fetchone()
    return InboundMail(row[0], row[1], row[2], bytes(row[3])) if row else None


async def finish_inbound(connection: Connection, identifier: UUID, result: str) -> bool:
    """Set the result; False when another transaction has done so. Locks the row: call it first, then act."""
    cursor = await connection.execute(
        "UPDATE inbound_mail SET result = %s WHERE id = %s AND result IS NULL", [result, identifier]
    )
    return cursor.rowcount == 1


async def waiting_inbound(connection: Connection, limit: int) -> list[UUID]:
    """Mails without a result, oldest first."""
    cursor = await connection.execute(
        "SELECT id FROM inbound_mail WHERE result IS NULL AND received_at > now() - %s ORDER BY received_at LIMIT %s",
        [GIVEN_UP, limit],
    )
    return [row[0] for row in await cursor.fetchall()]


async def forget_inbound(connection: Connection) -> int:
    """Delete what is older than `KEPT`; returns how many."""
    cursor = await connection.execute("DELETE FROM inbound_mail WHERE received_at < now() - %s", [KEPT])
    return cursor.rowcount


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
