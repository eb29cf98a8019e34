"""`/logs`: requests of applications to the API, newest first, with one of them open at the side.

Thin: `requestlog/repository`, as for the API and the command line. What is kept of bodies is their shape
(`requestlog/redaction`); paths, user agents and names of fields are others' words, and are shown as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

import orjson
import psycopg
from fastapi import APIRouter, Response

from accounts import repository as accounts
from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.listing import ROWS, Listed, listed, opened, window
from console.logs import words
from console.menu import Entry
from console.noun import Noun
from console.owners import asked_for, options_of, owners
from console.rendering import page
from console.visit import Visit, Visiting
from core.paging import Page, Window
from core.refusal import Refused, conflict
from requestlog import repository
from requestlog.gathering import FAILURES
from requestlog.repository import METHODS, STATUSES, Logged, LoggedDetail, Status, Wanted
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)

_SECONDS: Final = 4
"""After so long a search is given up: somebody waits for it, and others for the database."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it was filled in."""

    status: str
    method: str
    path: str
    period: str
    application: str

    @property
    def narrowed(self) -> bool:
        """Something but the time was asked for."""
        return any((self.status, self.method, self.path, self.application))


@router.get("/logs")
@needs(Right.SENDING_SEE)
async def list_logs(visit: Visiting) -> Response:
    """What was asked for, how long it took, what was answered."""
    form = _asked(visit)
    async with visit.given.database.connection() as connection:
        names = await owners(connection, visit)
        wanted = _wanted(visit, form, names)
        rows, error = await _rows(connection, visit, wanted)
        figures = await repository.figures(connection, wanted.applications, visit.now)
        failed = Wanted(wanted.applications, status="failed")
        last = (await repository.page(connection, failed, Window(1))).entries
        shown = await _open(connection, visit)
        key = await _key(connection, shown)
    settings = visit.given.settings
    return page(
        visit, "logs/list.html", 422 if error else 200, list=rows, form=form, names=names,
        options=options_of(names), words=words, error=error,
        methods=METHODS, shown=shown, key_name=key, opened=opened, pretty=_pretty, kept=settings.request_log_days,
        answered=words.overall(figures, last[0] if last else None, visit.now),
        most=settings.request_log_per_second, most_failures=FAILURES,
    )  # fmt: skip


def _asked(visit: Visit) -> Asked:
    status, method, period = visit.asked("status"), visit.asked("method"), visit.asked("period")
    return Asked(
        status=status if status in STATUSES else "",
        method=method if method in METHODS else "",
        path=visit.asked("path"),
        period=period if period in words.PERIODS else words.DEFAULT,
        application=visit.asked("application"),
    )


def _wanted(visit: Visit, form: Asked, names: Mapping[UUID, str]) -> Wanted:
    """The question, about what this person sees."""
    lasting = words.PERIODS[form.period][1]
    chosen = next(iter(asked_for(visit, names)), None)
    return Wanted(
        applications=(chosen,) if chosen else visit.applications,
        status=cast(Status, form.status) if form.status else None,
        method=form.method,
        path=form.path,
        since=visit.now - lasting if lasting else None,
    )


async def _rows(connection: Connection, visit: Visit, wanted: Wanted) -> tuple[Listed[Logged], Refused | None]:
    part = window(visit, ROWS)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
            found = await repository.page(connection, wanted, part)
    except psycopg.errors.QueryCanceled:
        return listed(visit, Page([]), part, str), conflict(
            f"this search took longer than {_SECONDS} s and was given up", "Take a shorter time, or less of the search."
        )
    return listed(visit, found, part, lambda one: one.id), None


async def _open(connection: Connection, visit: Visit) -> LoggedDetail | None:
    try:
        identifier = UUID(visit.asked("open"))
    except ValueError:
        return None
    return await repository.find(connection, Wanted(visit.applications), identifier)


async def _key(connection: Connection, shown: LoggedDetail | None) -> str:
    """The name of the key that a request came with; "" when it is gone."""
    if shown is None:
        return ""
    keys = (await accounts.keys(connection, shown.summary.application_id)).entries
    return next((one.name for one in keys if one.id == shown.summary.key_id), "")


async def _jump(visit: Visit, text: str) -> str | None:
    """An id leads to its request."""
    if not visit.may(Right.SENDING_SEE):
        return None
    try:
        wanted = UUID(text.strip())
    except ValueError:
        return None
    async with visit.given.database.connection() as connection:
        found = await repository.find(connection, Wanted(visit.applications), wanted)
    return f"/logs?period=all&open={found.summary.id}" if found else None


def _pretty(body: str) -> str:
    """What is kept of a body, laid out for people."""
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode() if body else ""


NOUN: Final = Noun(router, [Entry("Send", 60, "Request log", "/logs", "logs", Right.SENDING_SEE)], _jump)
