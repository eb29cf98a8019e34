"""Questions of operators about messages of all applications: which ones, and what happened to this one.

Reads only. Called by the command line; the API asks `messages/repository`, which sees one application.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, literal_column, select

from messages.held import FREE, NEXT_ATTEMPT
from store.database import Connection
from store.tables import compiled, delivery_queue, emails, messages


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
    captured: bool = False
    """It ends in the sandbox, and never leaves."""


@dataclass(frozen=True, slots=True)
class DueRow:
    """What waits for one destination of a lane."""

    lane: str
    destination: str
    messages: int
    due: int
    first_due_at: datetime
    waits_for: str | None = None
    """Why no IP could take some of it when that was looked at last: one reason of those there are."""


_M, _E, _Q = messages.alias("m"), emails.alias("e"), delivery_queue.alias("q")

_ROWS: Final[Select[*tuple[Any, ...]]] = select(
    func.concat(_M.c.email_id, "/", _M.c.position), _E.c.created_at, _E.c.lane, _E.c.sender, _M.c.recipient,
    _E.c.subject, _M.c.state, _M.c.attempts, literal_column(NEXT_ATTEMPT), _Q.c.hold, _M.c.capture,
).select_from(
    _M.join(_E, _E.c.id == _M.c.email_id).outerjoin(
        _Q, (_Q.c.email_id == _M.c.email_id) & (_Q.c.position == _M.c.position)
    )
)  # fmt: skip

_WAITING = f"""
SELECT lane, destination, count(*), count(*) FILTER (WHERE q.due_at <= now() AND {FREE}), min(due_at),
       max(q.hold)
  FROM delivery_queue q GROUP BY lane, destination ORDER BY count(*) DESC, destination LIMIT %(limit)s
"""


async def find(connection: Connection, wanted: Filter) -> list[MessageRow]:
    """Messages of any application, newest first."""
    given = ((_M.c.address, wanted.address), (_M.c.state, wanted.state), (_E.c.lane, wanted.lane))
    asked = _ROWS.where(*[column == value for column, value in given if value])
    return await _rows(connection, asked.order_by(_M.c.email_id.desc(), _M.c.position).limit(wanted.limit))


async def of_email(connection: Connection, email_id: UUID) -> list[MessageRow]:
    """All messages of one email; [] when there is no such email."""
    # Both tables are told, so that each finds its partition.
    asked = _ROWS.where(_M.c.email_id == email_id, _E.c.id == email_id)
    return await _rows(connection, asked.order_by(_M.c.position))


async def _rows(connection: Connection, asked: Select[*tuple[Any, ...]]) -> list[MessageRow]:
    cursor = await connection.execute(*compiled(asked))
    return [MessageRow(*row) for row in await cursor.fetchall()]


async def waiting(connection: Connection, limit: int = 30) -> Sequence[DueRow]:
    """The longest queues, by lane and destination. Reads the whole queue: some 0.2 s per million messages."""
    cursor = await connection.execute(_WAITING, {"limit": limit})
    return [DueRow(*row) for row in await cursor.fetchall()]
