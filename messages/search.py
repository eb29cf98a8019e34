"""Questions of operators about messages of several applications: which ones, and what happened to this one.

Reads only. What one application may see of its own mail is `messages/repository`.
Whoever asks for more than an address should name a time: what has no index is looked for message by message.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Select,
    Text,
    any_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
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


def _asking(m: FromClause, source: FromClause) -> Select[*tuple[Any, ...]]:
    """A row of the list, of messages that are called `m`."""
    return select(
        func.concat(m.c.email_id, "/", m.c.position), _E.c.created_at, _E.c.lane, _E.c.sender, m.c.recipient,
        _E.c.subject, m.c.state, m.c.attempts, literal_column(NEXT_ATTEMPT), _Q.c.hold, m.c.capture,
    ).select_from(source)  # fmt: skip


_ROWS: Final = _asking(
    _M,
    _M.join(_E, _E.c.id == _M.c.email_id).outerjoin(
        _Q, (_Q.c.email_id == _M.c.email_id) & (_Q.c.position == _M.c.position)
    ),
)
# What is on its way is found through the queue, which is small, message by message: OFFSET 0 keeps the planner from
# walking over all messages, of which it believes that many are in such a state.
_ON_WAY_M: Final = (
    select(_M)
    .where(_M.c.email_id == _Q.c.email_id, _M.c.position == _Q.c.position)
    .correlate(_Q)
    .offset(0)
    .lateral("w")
)
_ON_WAY: Final = _asking(_ON_WAY_M, _Q.join(_ON_WAY_M, literal(value=True)).join(_E, _E.c.id == _ON_WAY_M.c.email_id))

_WAITING = f"""
SELECT lane, destination, count(*), count(*) FILTER (WHERE q.due_at <= now() AND {FREE}), min(due_at),
       max(q.hold)
  FROM delivery_queue q GROUP BY lane, destination ORDER BY count(*) DESC, destination LIMIT %(limit)s
"""


_STANDING: Final = """
SELECT count(*), count(*) FILTER (WHERE attempts > 0)
  FROM (SELECT attempts FROM delivery_queue LIMIT %(limit)s) AS counted
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a quick look found."""

    page: Page[MessageRow]
    reached: UUID | None = None
    """The email that it went as far as; None: it saw all there is."""
    through: int = 0
    """So many messages it looked at, if it did not see all."""


LOOKED: Final = 20_000
"""Messages that a quick look goes through: some 30 ms. What fits oftener than that is found whatever is asked."""
_EVENTS: Final = 4
"""A message whose timeline is looked at takes so many times as long."""
_PLAIN: Final = 200
"""The same where every message fits: more than a page has."""

_Side = Callable[[ColumnElement[UUID]], ColumnElement[bool]]
"""A bound of ids. All tables get it, so that each is read, and planned, in a few of its partitions only."""


async def find(connection: Connection, wanted: Filter) -> list[MessageRow]:
    """Messages of any application, newest first."""
    return list((await page(connection, wanted, Window(wanted.limit))).entries)


async def page(connection: Connection, wanted: Filter, window: Window[str]) -> Page[MessageRow]:
    """The same in parts; entries are named as `MessageRow.message` is. Raises ValueError for what names none."""
    return await _page(connection, wanted, window, [])


async def look(connection: Connection, wanted: Filter, window: Window[str], most: int = LOOKED) -> Look:
    """The same, but of what no index finds only as much as a quick look through `most` messages reaches."""
    if wanted.address or wanted.state in _ON_THEIR_WAY:
        return Look(await page(connection, wanted, window))
    if wanted.provider:
        most //= _EVENTS
    reached = await _reach(connection, wanted, window, most if _is_narrow(wanted) else _PLAIN)
    if reached is None:
        return Look(await page(connection, wanted, window))
    side: _Side = (lambda ids: ids <= reached) if window.before else (lambda ids: ids >= reached)
    found = await _page(connection, wanted, window, [side])
    return Look(found) if found.has_more else Look(found, reached, most)


def _is_narrow(wanted: Filter) -> bool:
    """Not every message fits."""
    given = (wanted.domain, wanted.state, wanted.lane, wanted.subject, wanted.tag, wanted.provider)
    return any(given) or len(wanted.applications) > 1


async def _reach(connection: Connection, wanted: Filter, window: Window[str], most: int) -> UUID | None:
    """The email that a quick look ends with; None when there are fewer. Of one application its own are looked at."""
    ids = _E.c.id if len(wanted.applications) == 1 else _M.c.email_id
    asked = select(ids).where(*(side(ids) for side in (*_in_time(wanted), *_from(window))))
    if len(wanted.applications) == 1:
        asked = asked.where(_E.c.application_id == wanted.applications[0])
    asked = asked.order_by(ids if window.before else ids.desc()).offset(most).limit(1)
    row = await (await connection.execute(*compiled(asked))).fetchone()
    return row[0] if row else None


async def _page(
    connection: Connection, wanted: Filter, window: Window[str], sides: Sequence[_Side]
) -> Page[MessageRow]:
    on_way = wanted.state in _ON_THEIR_WAY
    m, key = (_ON_WAY_M, _Q) if on_way else (_M, _M)
    asked = (_ON_WAY if on_way else _ROWS).where(*_which(wanted, m, key, [*sides, *_in_time(wanted), *_from(window)]))
    if window.before is not None:
        asked = asked.where(_beside(key, window.before, newer=True)).order_by(key.c.email_id, key.c.position.desc())
    else:
        behind = [_beside(key, window.after, newer=False)] if window.after else []
        asked = asked.where(*behind).order_by(key.c.email_id.desc(), key.c.position)
    return cut(await _rows(connection, asked.limit(window.limit and window.limit + 1)), window)


def _from(window: Window[str]) -> list[_Side]:
    """The side of the place that a part is counted from, with the email of that place."""
    place = window.before or window.after
    if not place:
        return []
    email_id = UUID(place.partition("/")[0])
    return [(lambda ids: ids >= email_id) if window.before else (lambda ids: ids <= email_id)]


def _beside(key: FromClause, message: str, *, newer: bool) -> ColumnElement[bool]:
    """What comes before or behind a message in a list."""
    email, _, place = message.partition("/")
    email_id, position = UUID(email), int(place)
    if newer:
        return or_(key.c.email_id > email_id, key.c.position < position)
    return or_(key.c.email_id < email_id, key.c.position > position)


def _which(wanted: Filter, m: FromClause, key: FromClause, sides: Sequence[_Side]) -> list[ColumnElement[bool]]:
    given = ((m.c.address, wanted.address), (m.c.state, wanted.state), (_E.c.lane, wanted.lane))
    found = [column == value for column, value in given if value]
    found += [side(ids) for ids in (key.c.email_id, _E.c.id) for side in sides]
    if wanted.applications:
        found.append(_E.c.application_id == any_(cast(list(wanted.applications), ARRAY(UUIDs))))
    if wanted.domain:
        found.append(m.c.address.endswith(f"@{wanted.domain}", autoescape=True))
    if wanted.subject:
        found.append(_E.c.subject.icontains(wanted.subject, autoescape=True))
    if wanted.tag:
        found.append(_tagged(wanted.tag))
    if wanted.provider:
        tried = exists().where(_V.c.email_id == m.c.email_id, _V.c.position == m.c.position)
        found.append(tried.where(_V.c.provider == wanted.provider, *(side(_V.c.email_id) for side in sides)))
    return found


def _tagged(tag: str) -> ColumnElement[bool]:
    name, _, value = tag.partition("=")
    if value:
        pair = func.jsonb_build_array(cast(name, Text), cast(value, Text))
        return _E.c.tags.op("@>")(func.jsonb_build_array(pair))
    named = func.jsonb_build_object("name", cast(name, Text))
    return func.jsonb_path_exists(_E.c.tags, cast("$[*][0] ? (@ == $name)", JSONPATH), named)


def _in_time(wanted: Filter) -> list[_Side]:
    """Ids are in the order of time."""
    found: list[_Side] = []
    if wanted.since is not None:
        least = lowest_at(wanted.since)
        found.append(lambda ids: ids >= least)
    if wanted.until is not None:
        most = lowest_at(wanted.until)
        found.append(lambda ids: ids < most)
    return found


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
