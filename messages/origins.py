"""Whose mail it was, for what is counted: from the stored email, for writers that do not know it.

A worker knows it of the mail it sends; reports, opens and clicks come days later and know a message's name only. Late
news counts for the pool that the mail left through.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from store.counters import Counted, Origin, origin
from store.database import Connection

_ORIGINS: Final = """
SELECT id, application_id, domain_id, topic_id, tags, capture FROM emails WHERE id = ANY(%s)
"""

_POOLS: Final = """
SELECT email_id, position, pool_id FROM events
 WHERE email_id = ANY(%s) AND kind = 'delivered' AND pool_id IS NOT NULL
"""

Message = tuple[UUID, int]
Counts = Sequence[tuple[Message, Counted, Origin | None]]


async def complete(connection: Connection, counts: Counts) -> list[tuple[Counted, Origin | None]]:
    """What is counted with its origin; None where the email is no longer stored."""
    unknown = [message for message, _, whose in counts if whose is None]
    if not unknown:
        return [(counted, whose) for _, counted, whose in counts]
    emails = list({email for email, _ in unknown})
    origins = await origins_of(connection, emails)
    pools = await _pools(connection, emails) if any(counted.ip for _, counted, _ in counts) else {}
    return [
        (counted._replace(pool_id=pools.get(message)), origins.get(message[0])) if whose is None else (counted, whose)
        for message, counted, whose in counts
    ]


async def origins_of(connection: Connection, emails: Sequence[UUID]) -> dict[UUID, Origin]:
    """Origins of these emails; one that is no longer stored is left out."""
    cursor = await connection.execute(_ORIGINS, [list(emails)])
    return {
        email: origin(application, domain, topic, tuple((name, value) for name, value in tags), capture)
        for email, application, domain, topic, tags, capture in await cursor.fetchall()
    }


async def _pools(connection: Connection, emails: Sequence[UUID]) -> dict[Message, UUID]:
    cursor = await connection.execute(_POOLS, [list(emails)])
    return {(email, position): pool for email, position, pool in await cursor.fetchall()}
