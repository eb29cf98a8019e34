"""The table `request_log`: written in batches, read newest first, forgotten after some days.

Every function but `forget` works on the caller's connection and never commits. The id is a UUIDv7 of when the answer
was ready, which is what a range of time means here; `created_at` is when the request came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.rows import TupleRow

from core.ids import lowest_at
from core.paging import Page, Window, cut
from store.database import Connection, Database
from store.paging import newest_first

Status = Literal["failed", "2xx", "4xx", "5xx"]
STATUSES: Final[tuple[Status, ...]] = ("failed", "2xx", "4xx", "5xx")
METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")

COUNTED: Final = 10_000
"""Rows that are added up for figures at most, the newest."""
_HOUR: Final = timedelta(hours=1)
_STEP: Final = 5000
"""Rows deleted in one transaction."""

_FIELDS: Final = (
    "id, created_at, application_id, key_id, test, method, path, status, milliseconds, user_agent, error, stands_for"
)
_WRITE: Final = f"COPY request_log ({_FIELDS}, request_body, response_body) FROM STDIN"
_TAKE_BACK: Final = "DELETE FROM request_log WHERE id = ANY(%s)"
# A lost second of this log is no lost mail: its commit waits for no disk, and no commit of mail waits behind it.
_LAZILY: Final = "SET LOCAL synchronous_commit = off"
_FAILED: Final = "status >= 400"
"""As the index of failures has it."""
_OF_STATUS: Final[dict[Status, str]] = {
    "failed": _FAILED,
    "2xx": "status < 300",
    "4xx": f"{_FAILED} AND status < 500",
    "5xx": f"{_FAILED} AND status >= 500",
}
_FIGURES: Final = """
SELECT coalesce(sum(stands_for), 0)::bigint, coalesce(sum(stands_for) FILTER (WHERE status >= 400), 0)::bigint,
       CASE WHEN count(*) = %(most)s THEN min(created_at) END
  FROM (SELECT status, stands_for, created_at FROM request_log WHERE {whose} AND id >= %(since)s
         ORDER BY id DESC LIMIT %(most)s) r
"""
_FORGET: Final = """
DELETE FROM request_log WHERE id IN (SELECT id FROM request_log WHERE id < %(before)s ORDER BY id LIMIT %(limit)s)
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """One request."""

    id: UUID
    created_at: datetime
    """When it came."""
    application_id: UUID
    key_id: UUID
    test: bool
    """With a test key."""
    method: str
    path: str
    """Without parameters; an address in it is taken out."""
    status: int
    milliseconds: float
    user_agent: str
    error: str
    """The name of the error it was answered with; "" for none."""
    stands_for: int
    """How many requests like it: more than one where only some are kept."""


@dataclass(frozen=True, slots=True)
class LoggedDetail:
    """One request with what is kept of its bodies, as JSON; "" for nothing."""

    summary: Logged
    request_body: str
    response_body: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests. What is empty does not matter."""

    applications: tuple[UUID, ...] = ()
    test: bool = False
    """Only those with test keys."""
    status: Status | None = None
    method: str = ""
    path: str = ""
    """How it begins."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What was asked for in the last hour, or since then where there was too much to add up."""

    asked: int
    failed: int
    since: datetime | None = None


async def write(connection: Connection, rows: Sequence[LoggedDetail], *, again: bool = False) -> None:
    """Keep these. Within a transaction. `again`: some of them may be there, with less that they stand for."""
    await connection.execute(_LAZILY)
    if again:
        await connection.execute(_TAKE_BACK, [[one.summary.id for one in rows]])
    async with connection.cursor() as cursor, cursor.copy(_WRITE) as copy:
        for one in rows:
            s = one.summary
            await copy.write_row(
                (
                    s.id, s.created_at, s.application_id, s.key_id, s.test, s.method, s.path, s.status,
                    s.milliseconds, s.user_agent, s.error, s.stands_for, one.request_body, one.response_body,
                )
            )  # fmt: skip


async def page(connection: Connection, wanted: Wanted, window: Window[UUID]) -> Page[Logged]:
    """Requests, newest first."""
    place, order, names = newest_first(window)
    conditions = " AND ".join([place, *_conditions(wanted)])
    cursor = await connection.execute(
        f"SELECT {_FIELDS} FROM request_log WHERE {conditions} ORDER BY id {order} LIMIT %(limit)s",
        names | _names(wanted),
    )
    return cut([_logged(row) for row in await cursor.fetchall()], window)


async def find(connection: Connection, wanted: Wanted, identifier: UUID) -> LoggedDetail | None:
    """One request; None when there is none, or it is not among the wanted ones."""
    conditions = " AND ".join(["id = %(id)s", *_conditions(wanted)])
    cursor = await connection.execute(
        f"SELECT {_FIELDS}, request_body, response_body FROM request_log WHERE {conditions}",
        _names(wanted) | {"id": identifier},
    )
    row = await cursor.fetchone()
    return LoggedDetail(_logged(row[:-2]), row[-2], row[-1]) if row else None


async def between(connection: Connection, wanted: Wanted, least: UUID, largest: UUID, limit: int) -> list[Logged]:
    """Requests with an id of this range, for whoever knows its beginning."""
    conditions = " AND ".join(["id BETWEEN %(least)s AND %(largest)s", *_conditions(wanted)])
    cursor = await connection.execute(
        f"SELECT {_FIELDS} FROM request_log WHERE {conditions} ORDER BY id DESC LIMIT %(limit)s",
        _names(wanted) | {"least": least, "largest": largest, "limit": limit},
    )
    return [_logged(row) for row in await cursor.fetchall()]


async def figures(connection: Connection, applications: tuple[UUID, ...], now: datetime) -> Figures:
    """The last hour of these applications, or of all; of more than `COUNTED` kept requests the newest."""
    whose = next(_conditions(Wanted(applications)), "true")
    names = _names(Wanted(applications)) | {"since": lowest_at(now - _HOUR), "most": COUNTED}
    row = await (await connection.execute(_FIGURES.format(whose=whose), names)).fetchone()
    assert row is not None
    return Figures(*row)


async def forget(database: Database, now: datetime, days: int) -> None:
    """Retention, in steps."""
    names = {"before": lowest_at(now - timedelta(days=days)), "limit": _STEP}
    done = _STEP
    while done == _STEP:
        async with database.connection() as connection:
            done = (await connection.execute(_FORGET, names)).rowcount


def _conditions(wanted: Wanted) -> Iterator[str]:
    if wanted.applications:
        # Of one application the index gives them in their order.
        one = len(wanted.applications) == 1
        yield "application_id = %(application)s" if one else "application_id = ANY(%(applications)s)"
    if wanted.test:
        yield "test"
    if wanted.status:
        yield _OF_STATUS[wanted.status]
    if wanted.method:
        yield "method = %(method)s"
    if wanted.path:
        yield "starts_with(path, %(path)s)"
    if wanted.since:
        yield "id >= %(since)s"
    if wanted.until:
        yield "id < %(until)s"


def _names(wanted: Wanted) -> dict[str, Any]:
    return {
        "application": wanted.applications[0] if wanted.applications else None,
        "applications": list(wanted.applications),
        "method": wanted.method,
        "path": wanted.path,
        "since": wanted.since and lowest_at(wanted.since),
        "until": wanted.until and lowest_at(wanted.until),
    }


def _logged(row: TupleRow | Sequence[Any]) -> Logged:
    return Logged(*row)
