"""The figures of reports, out of what `store/folding` keeps. No row of mail is counted.

A question goes to one dimension (`by`): that of its domain, topic, tag, pool or IP, or of the application as such.
Application, stream and provider are labels of every series, so they combine with each. Where nobody asks for hours, or
for days of another time zone, whole days come from the running totals (`store/marks`), or from the daily sums where
providers are told apart. Both are a small part of the hours.
"""

from collections.abc import Iterator, Mapping, Sequence
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
from store import marks
from store.database import Connection
from store.partitions import STORY_DAYS
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

_DAY: Final = timedelta(days=1)


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
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


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
    first, last = _whole_days(question)
    parts, rows = _edges(question, first, last), _Rows()
    if first < last and _marked(question):
        for counted in await marks.between(connection, *_of_marks(question, first, last)):
            rows.at(_place(question, counted)).add_all(counted.counts)
    elif first < last:
        parts.append(_days(question, first, last))
    if parts:
        # With so many parameters and such different sizes a plan for all of them is a bad one for each.
        cursor = await connection.execute(*compiled(_asked(question, parts)), prepare=False)
        for *place, outcome, part, n in await cursor.fetchall():
            rows.at(tuple(place)).add(outcome, part, int(n))
    return _answer(question, {place: tally for place, tally in rows.tallies.items() if tally})


class _Rows:
    """The rows of an answer while they are added up."""

    def __init__(self) -> None:
        self.tallies: dict[tuple[Any, ...], Tally] = {}

    def at(self, place: tuple[Any, ...]) -> Tally:
        """The row of this place. Raises Refused when there are too many."""
        found = self.tallies.get(place)
        if found is None:
            if len(self.tallies) == MOST_ROWS:
                raise Refused(
                    "invalid",
                    f"the answer would have more than {MOST_ROWS:,} rows",
                    hint="Ask for a shorter time, longer periods or less of it.",
                )
            found = self.tallies[place] = Tally()
        return found


def _answer(question: Question, rows: Mapping[tuple[Any, ...], Tally]) -> Answer:
    totals = Tally()
    for tally in rows.values():
        totals.merge(tally)
    grouped = bool(question.period or question.group)
    return Answer(totals, [_row(question, place, rows[place]) for place in sorted(rows)] if grouped else [])


def _row(question: Question, place: tuple[Any, ...], tally: Tally) -> Row:
    keys = tuple(str(key) for key in place[1:] if key is not None) if question.period else tuple(map(str, place))
    return Row(_shown(question, place[0]) if question.period else None, keys, tally)


def _shown(question: Question, moment: datetime) -> date | datetime:
    return moment.astimezone(question.zone) if question.period == "hour" else moment.date()


def _marked(q: Question) -> bool:
    """The running totals know the answer for whole days."""
    return "provider" not in q.group and not q.providers and _by_utc_days(q)


def _of_marks(q: Question, first: date, last: date) -> tuple[Any, ...]:
    filters = {"key": q.keys, "application_id": q.applications, "lane": q.streams}
    return q.by, filters, [LABELS.get(name, "key") for name in q.group], [*_starts(q.period, first, last), last]


def _starts(period: str, first: date, last: date) -> Iterator[date]:
    """The first day, and each on which another period begins."""
    yield first
    if period:
        for day in (first + timedelta(days=n) for n in range(1, (last - first).days)):
            if period == "day" or day == _beginning(period, day):
                yield day


def _beginning(period: str, day: date) -> date:
    """As `date_trunc` has it."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def _place(q: Question, counted: marks.Counted) -> tuple[Any, ...]:
    if not q.period:
        return counted.group
    return datetime.combine(_beginning(q.period, counted.since), time()), *counted.group


def _asked(q: Question, parts: Sequence[Select[*tuple[Any, ...]]]) -> Select[*tuple[Any, ...]]:
    counts, s = _counts(q, parts), report_series
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


def _counts(q: Question, parts: Sequence[Select[*tuple[Any, ...]]]) -> FromClause:
    """What was counted in this time, as `series_id, at, n`: of one series, where few are asked about. By itself the
    planner would rather read all hours of all series than those."""
    counts = union_all(*parts)
    return counts.subquery() if _many_series(q) else counts.lateral()


def _many_series(q: Question) -> bool:
    """Of all domains, topics or tags: then reading the time from one end to the other is less work."""
    return q.by in ("domain", "topic", "tag") and not q.keys


def _whole_days(q: Question) -> tuple[date, date]:
    """The days of UTC that are read as such, the last not included. They begin and end at the midnights nearest to the
    time asked for, where hours are kept to make up the difference."""
    since, until = q.since.astimezone(UTC), q.until.astimezone(UTC)
    kept_from = q.now - q.hours_kept
    first = _nearest(since) if since - _DAY > kept_from else (since + _DAY - timedelta.resolution).date()
    last = _nearest(until) if until - _DAY > kept_from else until.date()
    if _until_now(q):
        last = until.date() + _DAY
    if not _by_utc_days(q):
        last = min(last, kept_from.date())
    return max(first, (q.now - timedelta(days=STORY_DAYS)).date()), last


def _nearest(moment: datetime) -> date:
    return (moment + _DAY / 2).date()


def _edges(q: Question, first: date, last: date) -> list[Select[*tuple[Any, ...]]]:
    """Hours of the time that are in none of these days; and, to be taken off, hours of these days that are not in the
    time."""
    if first >= last:
        return [_hours(q, q.since, q.until)]
    edges = [(q.since, _at(first)), *([] if _until_now(q) else [(_at(last), q.until)])]
    return [
        *(_hours(q, start, end) for start, end in edges if start < end),
        *(_hours(q, end, start, sign=-1) for start, end in edges if start > end),
    ]


def _until_now(q: Question) -> bool:
    """Nothing later than what is asked about is counted yet."""
    return q.until > q.now.replace(minute=0, second=0, microsecond=0)


def _by_utc_days(q: Question) -> bool:
    return not q.period or (q.period != "hour" and _is_utc(q))


def _is_utc(q: Question) -> bool:
    return all(moment.astimezone(q.zone).utcoffset() == timedelta(0) for moment in (q.since, q.until))


def _at(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _days(q: Question, first: date, last: date) -> Select[*tuple[Any, ...]]:
    d = report_days.c
    at = func.timezone("UTC", cast(d.day, DateTime(timezone=False)))
    return select(d.series_id, at.label("at"), d.n.label("n")).where(*_of(q, d), d.day >= first, d.day < last)


def _hours(q: Question, since: datetime, until: datetime, *, sign: int = 1) -> Select[*tuple[Any, ...]]:
    h = report_hours.c
    n = h.n if sign > 0 else -h.n
    return select(h.series_id, h.hour.label("at"), n.label("n")).where(*_of(q, h), h.hour >= since, h.hour < until)


def _of(q: Question, columns: Any) -> list[ColumnElement[bool]]:
    return [] if _many_series(q) else [columns.series_id == report_series.c.id]
