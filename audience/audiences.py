"""Who is in a segment: a question of contacts, composed, for whoever counts them, shows them or writes to them.

A list has its members, but those who left it. A segment with a filter has whoever the filter holds for now, confirmed
or not. Whether mail may go to somebody is another question (`eligibility`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.errors import QueryCanceled
from sqlalchemy import Select, func, select

from audience.filters.condition import CONTACT, composed
from audience.filters.tree import Filter
from core.paging import Page, Window, cut
from core.refusal import conflict
from store.database import Connection
from store.tables import compiled, segment_members

Question = Select[*tuple[Any, ...]]

_C: Final = CONTACT.c
_M: Final = segment_members.alias("m")
_BEFORE_ALL, _BEHIND_ALL = UUID(int=0), UUID(int=(1 << 128) - 1)


# Elsewhere a statement is short, and parallel workers or large hash tables cost more than they give; here they are what
# brings a million people under a second. They end with the transaction, and so does a filter that is too much.
FOR_A_COUNT: Final = """
SELECT set_config('max_parallel_workers_per_gather', '2', true), set_config('work_mem', '64MB', true),
       set_config('statement_timeout', '20s', true)
"""


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a segment means."""

    list_id: UUID | None = None
    """The members of this list."""
    filter: Filter | None = None
    """Whoever this holds for; neither of the two: everybody of the application."""


@dataclass(frozen=True, slots=True)
class Found:
    """One of them, as a preview shows."""

    id: UUID
    email: str
    first_name: str | None
    last_name: str | None
    status: str
    created_at: datetime


def people(application_id: UUID, audience: Audience, now: datetime, more: Sequence[str] = ()) -> Question:
    """The contacts, `id` and `address` of each and these `more` of its columns, in no order; for others to build on
    (`store.tables.compiled`)."""
    return _among(select(_C.id, _C.address, *(_C[name] for name in more)), application_id, audience, now)


async def count(connection: Connection, application_id: UUID, audience: Audience, now: datetime) -> int:
    """How many they are now. Raises Refused: that takes too long."""
    asked = _among(select(func.count()), application_id, audience, now)
    try:
        async with connection.transaction():
            await connection.execute(FOR_A_COUNT)
            cursor = await connection.execute(*compiled(asked))
            row = await cursor.fetchone()
    except QueryCanceled:
        raise conflict("counting takes longer than 20 seconds", "Ask with fewer rules, or at a quieter time.") from None
    return int(row[0]) if row else 0


async def page(
    connection: Connection, application_id: UUID, audience: Audience, now: datetime, window: Window[UUID]
) -> Page[Found]:
    """Some of them, the newest first."""
    shown = select(_C.id, _C.email, _C.first_name, _C.last_name, _C.status, _C.created_at)
    asked = _among(shown, application_id, audience, now).where(
        _C.id > (window.before or _BEFORE_ALL), _C.id < (window.after or _BEHIND_ALL)
    )
    ordered = asked.order_by(_C.id if window.before else _C.id.desc()).limit(window.limit and window.limit + 1)
    cursor = await connection.execute(*compiled(ordered))
    rows: Sequence[Sequence[Any]] = await cursor.fetchall()
    return cut(rows, window).map(lambda row: Found(*row))


def _among(asked: Question, application_id: UUID, audience: Audience, now: datetime) -> Question:
    source: Any = CONTACT
    conditions = [_C.application_id == application_id]
    if audience.list_id is not None:
        source = source.join(_M, _M.c.contact_id == _C.id)
        conditions += [_M.c.segment_id == audience.list_id, _M.c.status != "unsubscribed"]
    if audience.filter is not None:
        made = composed(audience.filter, now)
        source = made.joined(source)
        conditions.append(made.condition)
    return asked.select_from(source).where(*conditions)
