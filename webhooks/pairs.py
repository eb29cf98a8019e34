"""Two events in one row of the outbox: `email.sent`, and what became of a mail's first try, which come together.

The row is that of the second event. Of the one ahead of it, it holds how many octets of the body both have in common
(`ahead`: what the email is about, with which the second one's `data` begins), so a pair takes no more room than one
event, and is written, found and settled as one. The last bit of such a row's id is set; cleared, it is the id of the
event ahead. Rows of before migration 0058 may have either, and are no pairs.

What befalls one of them alone parts them first: a try that was not taken at once, a replay of one of them. Then they
are two rows like any others. Whoever may part them, or counts on finding both, takes turns with all others who do: a
statement that had to wait for the row would not see the one that was made of it.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from store import arrays
from store.database import Connection
from webhooks.kinds import EventType

AHEAD: Final = EventType.EMAIL_SENT
"""The event ahead is always this one."""

_TYPE: Final = b'{"type":"'
_BEGIN: Final = _TYPE + AHEAD.value.encode()
_END: Final = b"}}"
_EVEN: Final = dict(zip("0123456789abcdef", "0022446688aaccee", strict=True))

_PART: Final = """
WITH pair AS (
  SELECT * FROM webhook_events WHERE endpoint_id = %(endpoint)s AND id = ANY(%(ids)s::uuid[]) AND ahead IS NOT NULL
     FOR UPDATE
), parted AS (
  UPDATE webhook_events e SET ahead = NULL, ahead_at = NULL, ahead_ms = NULL, once = NULL FROM pair p
   WHERE e.endpoint_id = %(endpoint)s AND e.id = p.id RETURNING p.*
)
INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, once, payload, state, tries, due_at, taken_at,
       taken_url, taken_status, taken_answer, taken_ms)
SELECT endpoint_id, webhook_id_ahead(id), 'email.sent', created_at, key, once, webhook_body_ahead(type, payload, ahead),
       state, tries, due_at, ahead_at, taken_url, taken_status, taken_answer, ahead_ms
  FROM parted
"""


def id_ahead(row: UUID) -> UUID:
    """Of the event that is told ahead of a row's own."""
    return UUID(int=row.int & ~1)


def ids_ahead(row: bytes, text: str) -> tuple[bytes, str]:
    """The same of an id as the database sends it, in both forms."""
    return row[:-1] + bytes((row[-1] & 0xFE,)), text[:-1] + _EVEN[text[-1]]


def row_of(event: UUID) -> UUID:
    """Where to look for an event that has no row of its own."""
    return UUID(int=event.int | 1)


def body_ahead(body: bytes, ahead: int) -> bytes:
    """The body of the event ahead, out of its row's."""
    return _BEGIN + body[body.index(b'"', len(_TYPE)) : ahead] + _END


async def take_turn(connection: Connection, endpoint: UUID) -> None:
    """Wait for whoever changes events of this endpoint, and have others wait until the transaction ends."""
    await connection.execute("SELECT FROM webhook_endpoints WHERE id = %s FOR NO KEY UPDATE", [endpoint])


async def part(connection: Connection, endpoint: UUID, rows: Collection[UUID]) -> None:
    """Make two rows of each of these that tells of two events. Those of one are left as they are. In one's turn."""
    if rows:
        await connection.execute(_PART, {"endpoint": endpoint, "ids": arrays.uuids(rows)})
