"""`/reports`: what happened to the mail, by provider, IP, pool, stream, topic, tag, domain or application, over time.

The address holds the whole question. `/reports/figures.csv` is the same for spreadsheets. Thin: `asked` reads the
question, `store/figures` answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.listing import here
from console.menu import Entry
from console.noun import Noun
from console.overview.words import change
from console.rendering import page
from console.reports import words
from console.reports.asked import BY, Asked, Found, asked, every_step, find, shown
from console.spans import CHOICES
from console.visit import Visit, Visiting
from core import csv_lines
from core.queues import Lane
from core.refusal import Refused
from store.database import Connection
from store.figures import APART, Row, too_long
from store.report_question import names_of
from store.tally import RATES, SUMS

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 70, "Reports", "/reports", "reports", Right.REPORTS_SEE)])

_MOST_ROWS: Final = 25
"""Of the table; the file has all."""
_MEASURES: Final = (*SUMS, "unique_opened", "unique_clicked")


@router.get("/reports")
@needs(Right.REPORTS_SEE)
async def show(visit: Visiting) -> Response:
    """The page."""
    found, error = None, None
    async with visit.given.database.connection() as connection:
        wanted = await asked(connection, visit)
        try:
            found = await find(connection, visit, wanted, _MOST_ROWS)
        except Refused as refused:
            error = refused
        chips = [(name, value, await _value(connection, wanted, name, value)) for name, value in wanted.filters.items()]
    return page(
        visit, "reports/reports.html", 422 if error else 200, asked=wanted, found=found, error=error, words=words,
        chips=chips, change=change, spans=CHOICES, lanes=[lane.value for lane in Lane], most=_MOST_ROWS,
        by=[(name, f"by {words.DIMENSIONS[name]}") for name in BY], shown=partial(_shown, wanted, found),
        deeper=partial(_deeper, visit, wanted), without=partial(_without, visit),
        rates=[(name, f"{what}, {of}") for name, (what, of) in words.RATES.items()], file=_file(visit),
    )  # fmt: skip


@router.get("/reports/figures.csv")
@needs(Right.REPORTS_SEE)
async def download(visit: Visiting) -> Response:
    """The rows as a table for spreadsheets; with `each` step by step."""
    each = bool(visit.asked("each"))
    async with visit.given.database.connection() as connection:
        wanted = await asked(connection, visit)
        if each:
            rows = (await every_step(connection, visit, wanted)).rows
            names: Mapping[str, str] = await names_of(connection, wanted.by, wanted.application_id)
        else:
            found = await find(connection, visit, wanted)
            if found.count > len(found.rows):
                raise too_long()
            rows, names = found.rows, found.names
    headers = {"content-disposition": f'attachment; filename="report-by-{wanted.by}.csv"'}
    return Response("".join(_lines(wanted, rows, names, each=each)), headers=headers, media_type="text/csv")


def _lines(wanted: Asked, rows: Sequence[Row], names: Mapping[str, str], *, each: bool) -> Iterator[str]:
    first = [wanted.span.period] if each else []
    yield csv_lines.line([*first, wanted.by, *_MEASURES, *RATES, "seconds_p50", "seconds_p95"])
    for row in rows:
        found, rates = row.tally.measures(), row.tally.rates()
        at = [row.period] if each else []
        cells = [*(found[name] for name in _MEASURES), *(rates[name] for name in RATES), *row.tally.seconds(0.5, 0.95)]
        yield csv_lines.line([*at, shown(wanted.by, row.keys[0], names), *cells])


async def _value(connection: Connection, wanted: Asked, name: str, value: str) -> str:
    """A filter as it is shown."""
    names = await names_of(connection, name, wanted.application_id)
    return shown(name, value, names)


def _shown(wanted: Asked, found: Found | None, key: str) -> str:
    return shown(wanted.by, key, found.names if found else {})


def _deeper(visit: Visit, wanted: Asked, key: str) -> str:
    """The page about this row alone, by something else."""
    apart = wanted.by in APART or any(name in APART for name in wanted.filters)
    further = "provider" if wanted.by != "provider" else "stream" if apart else "ip"
    return here(visit, **{wanted.by: key, "by": further})


def _without(visit: Visit, name: str) -> str:
    return here(visit, **{name: ""})


def _file(visit: Visit) -> str:
    """The address of the file, without `each`."""
    kept = {name: value for name, value in visit.request.query_params.items() if value and name != "each"}
    return f"/reports/figures.csv?{urlencode(kept)}"
