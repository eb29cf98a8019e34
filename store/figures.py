"""The figures of reports, out of what `store/folding` keeps. No row of mail is counted.

A question goes to one dimension (`by`): that of its domain, topic, tag, pool or IP, or of the application as such.
Application, stream and provider are labels of every series, so they combine with each. Where nobody asks for hours, or
for days of another time zone, whole days come from the daily sums, which are some twenty times fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    any_,
    cast,
    func,
    literal_column,
    select,
    union_all,
)

from core.refusal import Refused
from store.database import Connection
from store.tables import compiled, report_days, report_hours, report_series
from store.tally import Tally

LABELS: Final = {"application": "application_id", "stream": "lane", "provider": "provider"}
"""Dimensions that combine with every other one, and their columns."""
APART: Final = ("domain", "topic", "tag", "pool", "ip")
"""Dimensions that do not combine with each other."""
PERIODS: Final = ("hour", "day", "week", "month")

MOST_ROWS: Final = 10_000
"""Rows of one answer."""
_MOST_READ: Final = 400_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. Empty filters do not matter."""

    since: datetime
    until: datetime
    """Not included."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    period: str = ""
    """One of `PERIODS`, or "" for the whole time."""
    group: tuple[str, ...] = ()
    """Dimensions, in the order of the answer."""
    by: str = "application"
    """`application`, or the one of `APART` that is grouped or filtered by."""
    keys: tuple[str, ...] = ()
    applications: tuple[UUID, ...] = ()
    streams: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    hours_kept: timedelta = timedelta(days=90)
    """What is older is there by UTC's days only."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the answer."""

    period: date | datetime | None
    """The hour (aware), or the day it begins with; None when the whole time was asked for."""
    keys: tuple[str, ...]
    """Of the dimensions asked for, ids where they have ids."""
    tally: Tally


@dataclass(frozen=True, slots=True)
class Answer:
    """Totals, and rows in order when something was grouped by."""

    totals: Tally
    rows: Sequence[Row]


async def ask(connection: Connection, question: Question) -> Answer:
    """The figures. Raises Refused when the answer would be too long to be one."""
    # With so many parameters and such different sizes a plan for all of them is a bad one for each.
    cursor = await connection.execute(*compiled(_asked(question)), prepare=False)
    totals, rows = Tally(), dict[tuple[Any, ...], Tally]()
    for *place, outcome, part, n in await cursor.fetchall():
        totals.add(outcome, part, int(n))
        rows.setdefault(tuple(place), Tally()).add(outcome, part, int(n))
        if len(rows) > MOST_ROWS:
            raise Refused(
                "invalid",
                f"the answer would have more than {MOST_ROWS:,} rows",
                hint="Ask for a shorter time, longer periods or less of it.",
            )
    grouped = bool(question.period or question.group)
    return Answer(totals, [_row(question, place, rows[place]) for place in sorted(rows)] if grouped else [])


def _row(question: Question, place: tuple[Any, ...], tally: Tally) -> Row:
    keys = tuple(str(key) for key in place[1:] if key is not None) if question.period else tuple(map(str, place))
    return Row(_shown(question, place[0]) if question.period else None, keys, tally)


def _shown(question: Question, moment: datetime) -> date | datetime:
    return moment.astimezone(question.zone) if question.period == "hour" else moment.date()


def _asked(q: Question) -> Select[*tuple[Any, ...]]:
    counts, s = _counts(q), report_series
    columns: list[ColumnElement[Any]] = [_period(q, counts)] if q.period else []
    columns += [s.c[LABELS[name]] if name in LABELS else s.c.key for name in q.group]
    labels = [*columns, s.c.outcome, s.c.part]
    return (
        select(*labels, func.sum(counts.c.n))
        .select_from(s.join(counts, counts.c.series_id == s.c.id))
        .where(*_which(q))
        .group_by(*(literal_column(str(n + 1)) for n in range(len(labels))))
        .limit(_MOST_READ)
    )


def _which(q: Question) -> list[ColumnElement[bool]]:
    s = report_series.c
    given = ((s.key, q.keys), (s.application_id, q.applications), (s.lane, q.streams), (s.provider, q.providers))
    return [
        s.by == q.by,
        *(column == any_(cast(list(values), ARRAY(column.type))) for column, values in given if values),
    ]


def _period(q: Question, counts: FromClause) -> ColumnElement[Any]:
    if q.period == "hour":
        return counts.c.at
    return func.date_trunc(q.period, func.timezone(q.zone.key, counts.c.at))


def _counts(q: Question) -> FromClause:
    """What was counted in this time, as `series_id, at, n`: of one series, where few are asked about. By itself the
    planner would rather read all hours of all series than those."""
    first, last = _whole_days(q)
    parts = [_hours(q, q.since, q.until)]
    if first < last:
        parts = [_days(q, first, last), _hours(q, q.since, _at(first)), _hours(q, _at(last), q.until)]
    counts = union_all(*parts)
    return counts.subquery() if _many_series(q) else counts.lateral()


def _many_series(q: Question) -> bool:
    """Of all domains, topics or tags: then reading the time from one end to the other is less work."""
    return q.by in ("domain", "topic", "tag") and not q.keys


def _whole_days(q: Question) -> tuple[date, date]:
    """The days of UTC that may be read from the daily sums, the last not included."""
    since, until = q.since.astimezone(UTC), q.until.astimezone(UTC)
    first = since.date() if since.time() == time() else since.date() + timedelta(days=1)
    last = until.date()
    if not q.period or (q.period != "hour" and _is_utc(q)):
        return first, last
    return first, min(last, (datetime.now(UTC) - q.hours_kept).date())


def _is_utc(q: Question) -> bool:
    return all(moment.astimezone(q.zone).utcoffset() == timedelta(0) for moment in (q.since, q.until))


def _at(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _days(q: Question, first: date, last: date) -> Select[*tuple[Any, ...]]:
    d = report_days.c
    at = func.timezone("UTC", cast(d.day, DateTime(timezone=False)))
    return select(d.series_id, at.label("at"), d.n.label("n")).where(*_of(q, d), d.day >= first, d.day < last)


def _hours(q: Question, since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    h = report_hours.c
    return select(h.series_id, h.hour.label("at"), h.n.label("n")).where(*_of(q, h), h.hour >= since, h.hour < until)


def _of(q: Question, columns: Any) -> list[ColumnElement[bool]]:
    return [] if _many_series(q) else [columns.series_id == report_series.c.id]
