"""What somebody asks of the figures, out of the address of the page; and the answers.

The meaning of names and what combines with what is `store/report_question`'s, as for the API and the command line.
Whoever is limited to some applications asks about one of them at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from console.choosing import is_id
from console.owners import asked_for, owners
from console.sites import shown_site
from console.spans import Span, Step, span, steps
from console.visit import Visit
from core.refusal import conflict
from store import figures
from store.database import Connection
from store.figures import APART, LABELS, PERIODS, Answer, Question, Row
from store.report_question import DIMENSIONS, Wanted, names_of, question
from store.tally import RATES, Tally

BY: Final = ("provider", "ip", "pool", "stream", "topic", "tag", "domain", "application")
"""In the order of the page."""
SERIES: Final = 4
"""Rows whose rate is drawn, the largest."""
_USUAL: Final = ("provider", "complaint_rate")
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the page."""

    by: str
    rate: str
    span: Span
    filters: Mapping[str, str]
    """Dimension → the only value that is looked at."""
    application_id: UUID | None
    """The only application that may be seen; None: all."""
    applications: Mapping[UUID, str]
    """Names of those that may be chosen."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came out."""

    steps: Sequence[Step]
    totals: Tally
    before: Tally
    rows: Sequence[Row]
    """By what was asked, the largest first; as many as were wanted."""
    count: int
    """Of all rows."""
    lines: Sequence[tuple[str, Sequence[Tally]]]
    """The largest rows step by step: name, and what was counted in each step."""
    names: Mapping[str, str]


async def asked(connection: Connection, visit: Visit) -> Asked:
    """What the address says; what it does not say, or cannot, is as usual. Raises Refused: there is no application, and
    Unclear."""
    known = await owners(connection, visit)
    mine = _mine(visit, known)
    by, rate, period = visit.asked("by"), visit.asked("rate"), visit.asked("steps")
    filters = {name: visit.asked(name, _LONGEST) for name in DIMENSIONS}
    if mine is not None:
        filters.pop("application")
    elif not is_id(filters["application"]):  # one that is gone has figures still
        filters["application"] = "".join(map(str, asked_for(visit, known)))
    return Asked(
        by if by in BY else _USUAL[0],
        rate if rate in RATES else _USUAL[1],
        span(visit.asked("span"), visit.now, visit.zone, period if period in PERIODS[1:] else ""),
        {name: text for name, text in filters.items() if text},
        mine,
        known,
    )


def _mine(visit: Visit, known: Mapping[UUID, str]) -> UUID | None:
    if not visit.applications:
        return None
    if not known:
        raise conflict("there is no application of yours any more", "An admin can give you another one.")
    return next(iter(asked_for(visit, known)), next(iter(known)))


async def find(connection: Connection, visit: Visit, wanted: Asked, most: int = figures.MOST_ROWS) -> Found:
    """The answers. Raises Refused for what does not combine, is not there, or is too long."""
    meant = await _question(connection, visit, wanted)
    whole = replace(meant, group=(), by=meant.by if meant.keys else "application")
    by_step = await figures.ask(connection, replace(whole, period=wanted.span.period))
    before = await figures.ask(connection, replace(whole, since=wanted.span.before, until=wanted.span.since))
    found = await figures.largest(connection, meant, most)
    names = await names_of(connection, wanted.by, wanted.application_id)
    largest = [row.keys[0] for row in found.rows if row.keys[0]][:SERIES]
    lines = await _lines(connection, meant, wanted, largest) if largest else {}
    return Found(
        steps(wanted.span, by_step), by_step.totals, before.totals, found.rows, found.count,
        [(shown(wanted.by, key, names), lines[key]) for key in largest], names,
    )  # fmt: skip


async def every_step(connection: Connection, visit: Visit, wanted: Asked) -> Answer:
    """Step by step and by what was asked, in the order of time."""
    meant = await _question(connection, visit, wanted)
    return await figures.ask(connection, replace(meant, period=wanted.span.period))


async def _question(connection: Connection, visit: Visit, wanted: Asked) -> Question:
    one = wanted.span
    text = Wanted(
        one.since.isoformat(), one.until.isoformat(), one.zone.key, (wanted.by,),
        {name: (value,) for name, value in wanted.filters.items()}, wanted.application_id,
    )  # fmt: skip
    return await question(connection, text, visit.now, timedelta(days=visit.given.settings.event_days))


async def _lines(
    connection: Connection, meant: Question, wanted: Asked, largest: Sequence[str]
) -> Mapping[str, Sequence[Tally]]:
    answer = await figures.ask(connection, _only(replace(meant, period=wanted.span.period), wanted.by, largest))
    found = {}
    for key in largest:
        of_key = [row for row in answer.rows if row.keys[0] == key]
        found[key] = [one.tally for one in steps(wanted.span, Answer(Tally(), of_key))]
    return found


def _only(meant: Question, by: str, values: Sequence[str]) -> Question:
    keys = tuple(values)
    if by in APART:
        return replace(meant, keys=keys)
    assert by in LABELS
    if by == "application":
        return replace(meant, applications=tuple(UUID(key) for key in keys))
    return replace(meant, streams=keys) if by == "stream" else replace(meant, providers=keys)


def shown(by: str, key: str, names: Mapping[str, str]) -> str:
    """What a row is called."""
    if by == "provider":
        return shown_site(key) if key else "not known"
    if by == "tag":
        return key.replace("=", ": ", 1) if key != "*" else "further tags"
    return names.get(key, key) or "not known"
