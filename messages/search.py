"""Questions of operators about messages of several applications: which ones, and what happened to this one.

Reads only. What one application may see of its own mail is `messages/repository`.
Whoever asks for more than an address should name a time: what has no index is looked for message by message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Text, and_, any_, cast, exists, func, literal_column, or_, select
from sqlalchemy import UUID as UUIDs
from sqlalchemy.dialects.postgresql import JSONPATH

from core.ids import lowest_at
from core.paging import Page, Window, cut
from messages.held import FREE, NEXT_ATTEMPT
from messages.states import TERMINAL, State
from store.database import Connection
from store.tables import compiled, delivery_queue, emails, events, messages

_ON_THEIR_WAY: Final = frozenset(State) - TERMINAL


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages. Empty fields do not matter; `address` is folded (`core.addresses.fold_address`)."""

    address: str = ""
    state: str = ""
    lane: str = ""
    limit: int = 20
    applications: tuple[UUID, ...] = ()
    domain: str = ""
    """Of the recipient, in ASCII and lower case."""
    subject: str = ""
    """A part of it, in any case."""
    tag: str = ""
    """`name=value`, or a name with any value."""
    provider: str = ""
    """One that it was tried at."""
    since: datetime | None = None
    """When it was accepted, at the earliest."""
    until: datetime | None = None


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


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a queue waits, counted as far as `COUNTED`."""

    waiting: int
    put_off: int
    """Tried at least once: it comes again by itself."""

    @property
    def more(self) -> bool:
        """There is more than was counted."""
        return self.waiting > COUNTED


COUNTED: Final = 10_000
"""Mails of a queue that a page counts; of a longer one it says that it is longer."""

_M, _E, _Q, _V = messages.alias("m"), emails.alias("e"), delivery_queue.alias("q"), events.alias("v")

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


_STANDING: Final = """
SELECT count(*), count(*) FILTER (WHERE attempts > 0)
  FROM (SELECT attempts FROM delivery_queue LIMIT %(limit)s) AS counted
"""


async def find(connection: Connection, wanted: Filter) -> list[MessageRow]:
    """Messages of any application, newest first."""
    asked = _ROWS.where(*_which(wanted)).order_by(_M.c.email_id.desc(), _M.c.position)
    return await _rows(connection, asked.limit(wanted.limit))


async def page(connection: Connection, wanted: Filter, window: Window[str]) -> Page[MessageRow]:
    """The same in parts; entries are named as `MessageRow.message` is. Raises ValueError for what names none."""
    asked = _ROWS.where(*_which(wanted))
    if window.before is not None:
        asked = asked.where(_beside(window.before, newer=True)).order_by(_M.c.email_id, _M.c.position.desc())
    else:
        behind = [_beside(window.after, newer=False)] if window.after else []
        asked = asked.where(*behind).order_by(_M.c.email_id.desc(), _M.c.position)
    return cut(await _rows(connection, asked.limit(window.limit and window.limit + 1)), window)


def _beside(message: str, *, newer: bool) -> ColumnElement[bool]:
    """What comes before or behind a message in a list. The first condition finds the place in the index."""
    email, _, place = message.partition("/")
    email_id, position = UUID(email), int(place)
    if newer:
        return and_(_M.c.email_id >= email_id, or_(_M.c.email_id > email_id, _M.c.position < position))
    return and_(_M.c.email_id <= email_id, or_(_M.c.email_id < email_id, _M.c.position > position))


def _which(wanted: Filter) -> list[ColumnElement[bool]]:
    given = ((_M.c.address, wanted.address), (_M.c.state, wanted.state), (_E.c.lane, wanted.lane))
    found = [column == value for column, value in given if value]
    if wanted.state in _ON_THEIR_WAY:  # the queue is small: begin there
        found.append(_Q.c.email_id.is_not(None))
    if wanted.applications:
        found.append(_E.c.application_id == any_(cast(list(wanted.applications), ARRAY(UUIDs))))
    if wanted.domain:
        found.append(_M.c.address.endswith(f"@{wanted.domain}", autoescape=True))
    if wanted.subject:
        found.append(_E.c.subject.icontains(wanted.subject, autoescape=True))
    if wanted.tag:
        found.append(_tagged(wanted.tag))
    if wanted.provider:
        tried = exists().where(_V.c.email_id == _M.c.email_id, _V.c.position == _M.c.position)
        found.append(tried.where(_V.c.provider == wanted.provider))
    return found + _in_time(wanted)


def _tagged(tag: str) -> ColumnElement[bool]:
    name, _, value = tag.partition("=")
    if value:
        pair = func.jsonb_build_array(cast(name, Text), cast(value, Text))
        return _E.c.tags.op("@>")(func.jsonb_build_array(pair))
    named = func.jsonb_build_object("name", cast(name, Text))
    return func.jsonb_path_exists(_E.c.tags, cast("$[*][0] ? (@ == $name)", JSONPATH), named)


def _in_time(wanted: Filter) -> list[ColumnElement[bool]]:
    """Ids are in the order of time, so that a time finds the partitions of both tables."""
    bounds = []
    for ids in (_M.c.email_id, _E.c.id):
        if wanted.since is not None:
            bounds.append(ids >= lowest_at(wanted.since))
        if wanted.until is not None:
            bounds.append(ids < lowest_at(wanted.until))
    return bounds


async def of_email(connection: Connection, email_id: UUID) -> list[MessageRow]:
    """All messages of one email; [] when there is no such email."""
    # Both tables are told, so that each finds its partition.
    asked = _ROWS.where(_M.c.email_id == email_id, _E.c.id == email_id)
    return await _rows(connection, asked.order_by(_M.c.position))


async def _rows(connection: Connection, asked: Select[*tuple[Any, ...]]) -> list[MessageRow]:
    cursor = await connection.execute(*compiled(asked))
    return [MessageRow(*row) for row in await cursor.fetchall()]


async def standing(connection: Connection) -> Standing:
    """How much waits. Reads no more rows of the queue than it counts."""
    row = await (await connection.execute(_STANDING, {"limit": COUNTED + 1})).fetchone()
    return Standing(*row) if row else Standing(0, 0)


async def waiting(connection: Connection, limit: int = 30) -> Sequence[DueRow]:
    """The longest queues, by lane and destination. Reads the whole queue: some 0.2 s per million messages."""
    cursor = await connection.execute(_WAITING, {"limit": limit})
    return [DueRow(*row) for row in await cursor.fetchall()]
