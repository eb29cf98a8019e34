"""Questions of operators about messages of all applications: which ones, and what happened to this one.

Reads only. Called by the command line; the API asks `messages/repository`, which sees one application.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from messages.held import FREE, NEXT_ATTEMPT
from store.database import Connection


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages. Empty fields do not matter; `address` is folded (`core.addresses.fold_address`)."""

    address: str = ""
    state: str = ""
    lane: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message in a list, newest first."""

    message: str
    """`<email id>/<position>`."""
    accepted_at: datetime
    lane: str
    sender: str
    recipient: str
    subject: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    """When it is due, None when it has ended or is being worked on."""
    waits_for: str | None = None
    """Why no IP could take it when it was looked at last."""


@dataclass(frozen=True, slots=True)
class DueRow:
    """What waits for one destination of a lane."""

    lane: str
    destination: str
    messages: int
    due: int
    first_due_at: datetime


_LIST = f"""
SELECT m.email_id || '/' || m.position, e.created_at, e.lane, e.sender, m.recipient, e.subject, m.state, m.attempts,
       {NEXT_ATTEMPT}, q.hold
  FROM messages m JOIN emails e ON e.id = m.email_id
  LEFT JOIN delivery_queue q ON q.email_id = m.email_id AND q.position = m.position
 WHERE (%(address)s = '' OR m.address = %(address)s) AND (%(state)s = '' OR m.state = %(state)s)
   AND (%(lane)s = '' OR e.lane = %(lane)s)
 ORDER BY m.email_id DESC, m.position LIMIT %(limit)s
"""

_ONE = f"""
SELECT m.email_id || '/' || m.position, e.created_at, e.lane, e.sender, m.recipient, e.subject, m.state, m.attempts,
       {NEXT_ATTEMPT}, q.hold
  FROM messages m JOIN emails e ON e.id = m.email_id
  LEFT JOIN delivery_queue q ON q.email_id = m.email_id AND q.position = m.position
 WHERE m.email_id = %(email)s AND e.id = %(email)s ORDER BY m.position
"""

_WAITING = f"""
SELECT lane, destination, count(*), count(*) FILTER (WHERE q.due_at <= now() AND {FREE}), min(due_at)
  FROM delivery_queue q GROUP BY lane, destination ORDER BY count(*) DESC, destination LIMIT %(limit)s
"""


async def find(connection: Connection, wanted: Filter) -> list[MessageRow]:
    """Messages of any application, newest first."""
    cursor = await connection.execute(
        _LIST, {"address": wanted.address, "state": wanted.state, "lane": wanted.lane, "limit": wanted.limit}
    )
    return [MessageRow(*row) for row in await cursor.fetchall()]


async def of_email(connection: Connection, email_id: UUID) -> list[MessageRow]:
    """All messages of one email; [] when there is no such email."""
    cursor = await connection.execute(_ONE, {"email": email_id})
    return [MessageRow(*row) for row in await cursor.fetchall()]


async def waiting(connection: Connection, limit: int = 30) -> Sequence[DueRow]:
    """The longest queues, by lane and destination. Reads the whole queue: some 0.2 s per million messages."""
    cursor = await connection.execute(_WAITING, {"limit": limit})
    return [DueRow(*row) for row in await cursor.fetchall()]
