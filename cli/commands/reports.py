"""`postlane reports`: what happened to the mail, by provider, IP, topic, day or whatever is asked.

Works on the database directly, with the functions the API uses. Figures are a few seconds behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import typer

from cli import context
from cli.output import Column, JsonOption, print_json, print_table, say, wants_json
from cli.sessions import with_database
from core.refusal import Refused
from mta.from_settings import known_providers
from mta.providers import site_named
from store import figures
from store.database import Database
from store.figures import PERIODS, Answer, Question
from store.report_question import DIMENSIONS, NAMED, Wanted, names_of, question
from web.faces.reports import Names, report_face

Values = list[str]

_BY = f"{', '.join((*PERIODS, *DIMENSIONS))}; several times, or by commas."


@dataclass(frozen=True, slots=True)
class _Found:
    question: Question
    answer: Answer
    names: Names


def reports(
    by: Annotated[Values, typer.Option("--by", "-b", help=_BY)] = ["stream", "provider"],  # noqa: B006  # Typer's way
    since: Annotated[str, typer.Option(help="A date or a time; 6 days before the end.")] = "",
    until: Annotated[str, typer.Option(help="A date (included) or a time; now.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA time zone of dates and periods.")] = "UTC",
    provider: Annotated[Values, typer.Option(help="Only these providers.")] = [],  # noqa: B006
    stream: Annotated[Values, typer.Option(help="transactional or marketing.")] = [],  # noqa: B006
    application: Annotated[Values, typer.Option(help="Only these applications.")] = [],  # noqa: B006
    domain: Annotated[Values, typer.Option(help="Only these sender domains.")] = [],  # noqa: B006
    topic: Annotated[Values, typer.Option(help="Only these topics.")] = [],  # noqa: B006
    tag: Annotated[Values, typer.Option(help="Only these tags, NAME:VALUE.")] = [],  # noqa: B006
    pool: Annotated[Values, typer.Option(help="Only these pools.")] = [],  # noqa: B006
    ip: Annotated[Values, typer.Option(help="Only these IPs.")] = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """What was accepted, delivered, deferred, bounced, complained about, opened and clicked, and how long it took.

    Example: postlane reports --by day --by provider --stream marketing --since 2026-11-01

    Domain, topic, tag, pool and IP are counted apart from each other: one of them can be asked for at a time.
    """
    filters = {
        "provider": provider, "stream": stream, "application": application, "domain": domain, "topic": topic,
        "tag": tag, "pool": pool, "ip": ip,
    }  # fmt: skip
    group = tuple(name.strip() for text in by for name in text.split(",") if name.strip())
    wanted = Wanted(since, until, timezone, group, filters)
    _doubt(provider)
    found = with_database(partial(_ask, wanted, timedelta(days=context.settings().event_days)))
    face = report_face(found.question, found.answer, found.names)
    if wants_json(as_json):
        print_json(face)
        return
    _show(found, face)


def _doubt(providers: Values) -> None:
    """A name that no provider has is said and not refused: there may be figures of one that had it once."""
    known = known_providers(context.settings())
    for name in providers:
        try:
            site_named(known, name)
        except Refused as error:
            say(f"{error.reason[:1].upper()}{error.reason[1:]}.", style="yellow")


async def _ask(wanted: Wanted, kept: timedelta, database: Database) -> _Found:
    async with database.connection() as connection:
        meant = await question(connection, wanted, datetime.now(UTC), kept)
        answer = await figures.ask(connection, meant)
        return _Found(meant, answer, {name: await names_of(connection, name) for name in meant.group if name in NAMED})


def _show(found: _Found, face: dict[str, Any]) -> None:
    asked = found.question
    places = [*(["period"] if asked.period else []), *asked.group]
    heads = {"period": asked.period or ""}
    columns = [Column(name, heads.get(name, ""), style="bold", show=_named, drop=0) for name in places]
    rows = [_cells(row, places) for row in face["data"]]
    print_table([*rows, _cells(face["totals"], places, total=True)], [*columns, *_FIGURES])


def _cells(row: Mapping[str, Any], places: list[str], *, total: bool = False) -> dict[str, object]:
    took = row["seconds_to_deliver"]
    cells = dict.fromkeys(places, "") if total else {name: row[name] or row.get(f"{name}_id") for name in places}
    if total and places:
        cells[places[0]] = "all"
    return {**row, **cells, "p50": took["p50"], "p95": took["p95"]}


def _named(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "-" if value is None else str(value)


def _count(n: int) -> str:
    return f"{n:,}"


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2%}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2g} s" if seconds < 90 else f"{seconds / 60:.0f} min"


_FIGURES = (
    Column("accepted", justify="right", show=_count, drop=0),
    Column("delivered", justify="right", show=_count, drop=0),
    Column("deferred", justify="right", show=_count, drop=4),
    Column("bounced", justify="right", show=_count, drop=1),
    Column("bounce_rate", "%", justify="right", show=_share, drop=2),
    Column("complained", justify="right", show=_count, drop=1),
    Column("complaint_rate", "%", justify="right", show=_share, drop=2),
    Column("unsubscribed", justify="right", show=_count, drop=6),
    Column("unique_opened", "opened", justify="right", show=_count, drop=5),
    Column("unique_clicked", "clicked", justify="right", show=_count, drop=5),
    Column("p50", justify="right", show=_seconds, drop=3),
    Column("p95", justify="right", show=_seconds, drop=3),
)
