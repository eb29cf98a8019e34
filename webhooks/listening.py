"""A listener: an endpoint that needs no URL, because whoever made it fetches its events from the database.

For local work, where nothing on the internet can reach the machine. It lives as long as it is heard of, and for
`_LIFE` after that; then `webhooks/retention` sweeps it away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from core.ids import uuid7
from store.database import Connection
from webhooks import pairs

_LIFE: Final = timedelta(seconds=60)
_MOST: Final = 500

# What is told once is marked and stays: without its row it would be told again. Nothing else is kept of it.
_FETCH = """
WITH chosen AS (
  SELECT id, type, created_at, payload, ahead, once FROM webhook_events
   WHERE endpoint_id = %(listener)s AND state = 'pending' AND due_at <= now()
   ORDER BY due_at, id LIMIT %(most)s FOR UPDATE
), marked AS (
  UPDATE webhook_events e SET state = 'success', payload = '', ahead = NULL FROM chosen c
   WHERE e.endpoint_id = %(listener)s AND e.id = c.id AND c.once IS NOT NULL
), gone AS (
  DELETE FROM webhook_events e USING chosen c
   WHERE e.endpoint_id = %(listener)s AND e.id = c.id AND c.once IS NULL
)
SELECT id, type, created_at, payload, ahead FROM chosen ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that a listener was told of."""

    id: UUID
    type: str
    created_at: datetime
    payload: str
    """The body as an endpoint would get it."""

    @property
    def data(self) -> dict[str, Any]:
        """What it is about."""
        found: dict[str, Any] = orjson.loads(self.payload)["data"]
        return found


async def begin(connection: Connection, application_id: UUID | None, events: Sequence[str] | None) -> UUID:
    """A listener, told of all that is written from the commit on."""
    identifier = uuid7()
    await connection.execute(
        "INSERT INTO webhook_endpoints (id, application_id, url, events, served_by, served_until)"
        " VALUES (%s, %s, '', %s, %s, now() + %s)",
        [identifier, application_id, list(events) if events is not None else None, identifier, _LIFE],
    )
    return identifier


async def fetch(connection: Connection, listener: UUID) -> list[Heard]:
    """What is new, in order; it is told once. Raises LookupError when the listener was swept away, which happens when
    nothing was heard of it for a minute."""
    cursor = await connection.execute(
        "UPDATE webhook_endpoints SET served_until = now() + %s WHERE id = %s", [_LIFE, listener]
    )
    if not cursor.rowcount:
        raise LookupError(listener)
    cursor = await connection.execute(_FETCH, {"listener": listener, "most": _MOST})
    return [heard for row in await cursor.fetchall() for heard in _heard(*row)]


def _heard(identifier: UUID, kind: str, created_at: datetime, payload: str, ahead: int | None) -> Iterator[Heard]:
    if ahead is not None:
        first = pairs.body_ahead(payload.encode(), ahead).decode()
        yield Heard(pairs.id_ahead(identifier), pairs.AHEAD, created_at, first)
    yield Heard(identifier, kind, created_at, payload)


async def finish(connection: Connection, listener: UUID) -> None:
    """Nobody listens any more."""
    await connection.execute("DELETE FROM webhook_endpoints WHERE id = %s AND url = ''", [listener])
