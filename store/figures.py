"""The figures of reports, out of running totals (`store/totals`). No row of mail is counted, and no hour is added up.

A question goes to one dimension (`by`): that of its domain, topic, tag, pool or IP, or of the application as such.
Application, stream and provider are labels of every line, so they combine with each. A row of the answer is what the
lines of one group came to between the two hours that a period begins and ends with.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from core.refusal import Refused
from store import totals
from store.database import Connection
from store.partitions import STORY_DAYS
from store.tally import Kinds, Tally, total
from store.totals import Counts, Group

LABELS: Final = {"application": "application_id", "stream": "lane", "provider": "provider"}
"""Dimensions that combine with every other one, and their columns."""
APART: Final = ("domain", "topic", "tag", "pool", "ip")
"""Dimensions that do not combine with each other."""
PERIODS: Final = ("hour", "day", "week", "month")

MOST_ROWS: Final = 10_000
"""Rows of one answer."""
_MOST_PLACES: Final = 500_000
"""Periods times groups that are looked at for one answer: a few seconds."""
_FEWEST_READ: Final = 250
"""Places read at a time: of many only a few may be rows."""

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


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


Keys = tuple[str, ...]
"""Of the dimensions asked for, ids where they have ids."""
Label = date | datetime | None
"""The hour (aware), or the day a period begins with; None when the whole time was asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of a row in the order of the answer: by period, then by keys."""

    period: Label
    keys: Keys


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the answer."""

    period: Label
    keys: Keys
    tally: Tally


@dataclass(frozen=True, slots=True)
class Answer:
    """Totals of everything, and rows in order when something was grouped by."""

    totals: Tally
    rows: Sequence[Row]
    last: Place | None = None
    """The last row, when more follow."""


@dataclass(frozen=True, slots=True)
class _Field:
    """Where rows can be: each period by each group."""

    labels: Sequence[Any]
    bounds: Sequence[datetime]
    """The beginning of each period, and the end of the last."""
    groups: Sequence[Group]

    def __len__(self) -> int:
        return len(self.labels) * len(self.groups)

    def behind(self, place: Place | None) -> int:
        """The number of the first place behind this one."""
        if place is None:
            return 0
        period = 0 if place.period is None else bisect_left(self.labels, place.period)
        there = period < len(self.labels) and self.labels[period] == place.period
        group = bisect_right(self.groups, place.keys, key=attrgetter("keys")) if there else 0
        return period * len(self.groups) + group


_Found = tuple[int, Counts]
"""Number of a place, and what was counted there."""


async def ask(connection: Connection, question: Question) -> Answer:
    """All figures. Raises Refused when the answer would be too long to be one."""
    answer = await ask_page(connection, question, MOST_ROWS)
    if answer.last:
        raise too_long()
    return answer


def too_long() -> Refused:
    """For an answer with more than `MOST_ROWS`."""
    hint = "Ask for a shorter time, longer periods or less of it."
    return Refused("invalid", f"the answer would have more than {MOST_ROWS:,} rows", hint=hint)


async def ask_page(connection: Connection, question: Question, limit: int, after: Place | None = None) -> Answer:
    """The figures, with at most so many rows, those behind `after`. Raises Refused when there is too much to look
    through."""
    field = await _field(connection, question)
    if len(field) > _MOST_PLACES:
        raise Refused("invalid", "there is too much of it for one answer", hint="Ask for a shorter time or less of it.")
    found = await _read(connection, field, field.behind(after), limit + 1)
    whole: Sequence[Counts] = [counts for _, counts in found]
    if after is not None or len(found) > limit:
        whole = await _whole(connection, question, field)
    kinds = await totals.kinds(connection)
    return _answer(question, field, kinds, found, whole, limit)


@dataclass(frozen=True, slots=True)
class Largest:
    """The rows with most mail, and how many rows there are."""

    rows: Sequence[Row]
    count: int


async def largest(connection: Connection, question: Question, limit: int) -> Largest:
    """Rows of the whole time: most delivered and refused mail first, then most accepted. Accepted mail has no provider,
    pool or IP yet, so what has no key counts only when something was decided."""
    field = await _field(connection, question)
    since, until = field.bounds
    measures = (await totals.kinds(connection)).measures
    decided = [*measures["delivered"], *measures["bounced"]]
    weighed = await totals.heaviest(connection, field.groups, since, until, [decided, measures["accepted"]])
    places = [place for place, weight in weighed if weight or all(field.groups[place].keys)]
    groups = [field.groups[place] for place in places[:limit]]
    [counted] = await totals.between(connection, groups, field.bounds)
    kinds = await totals.kinds(connection)
    rows = [Row(None, group.keys, Tally(kinds, counts)) for group, counts in zip(groups, counted, strict=True)]
    return Largest(rows, len(places))


def _answer(
    q: Question, field: _Field, kinds: Kinds, found: Sequence[_Found], whole: Sequence[Counts], limit: int
) -> Answer:
    rows = [_row(field, place, Tally(kinds, counts)) for place, counts in found[:limit]]
    last = None
    if len(found) > limit:
        period, group = divmod(found[limit - 1][0], len(field.groups))
        last = Place(field.labels[period], field.groups[group].keys)
    return Answer(total(kinds, whole), rows if q.period or q.group else [], last)


def _row(field: _Field, place: int, tally: Tally) -> Row:
    period, group = divmod(place, len(field.groups))
    return Row(field.labels[period], field.groups[group].keys, tally)


async def _read(connection: Connection, field: _Field, place: int, limit: int) -> list[_Found]:
    """What is at the places from this one on, without those where nothing was counted."""
    found: list[_Found] = []
    while place < len(field) and len(found) < limit:
        periods, groups = _stretch(field, place, max(limit - len(found), _FEWEST_READ))
        bounds = field.bounds[periods.start : periods.stop + 1]
        counted = await totals.between(connection, field.groups[groups.start : groups.stop], bounds)
        for period, of_period in zip(periods, counted, strict=True):
            first = period * len(field.groups) + groups.start
            found += [(first + n, counts) for n, counts in enumerate(of_period) if any(counts)]
        place = (periods.stop - 1) * len(field.groups) + groups.stop
    return found[:limit]


def _stretch(field: _Field, place: int, wanted: int) -> tuple[range, range]:
    """Periods and groups of about so many places from this one on: whole periods, or a part of one."""
    groups = len(field.groups)
    period, group = divmod(place, groups)
    if group or wanted < groups:
        return range(period, period + 1), range(group, min(group + wanted, groups))
    return range(period, min(period + wanted // groups, len(field.labels))), range(groups)


async def _whole(connection: Connection, q: Question, field: _Field) -> Sequence[Counts]:
    """What was counted in the whole time. A mail has one domain, so that of all domains is that of all mail."""
    by = "application" if q.by == "domain" and not q.keys else q.by
    groups = await totals.groups(connection, by, _filters(q), ())
    [counts] = await totals.between(connection, groups, [field.bounds[0], field.bounds[-1]])
    return counts


def _by_provider(q: Question) -> bool:
    return "provider" in q.group or bool(q.providers)


def _filters(q: Question) -> dict[str, Collection[object]]:
    return {"key": q.keys, "application_id": q.applications, "lane": q.streams, "provider": q.providers}


async def _field(connection: Connection, q: Question) -> _Field:
    """The periods and groups of a question."""
    columns = [LABELS.get(name, "key") for name in q.group]
    groups = await totals.groups(connection, q.by, _filters(q), columns)
    periods = list(_periods(q))
    bounds = [*(_kept(q, begins) for _, begins in periods), _end(q)]
    return _Field([label for label, _ in periods], bounds, groups)


def _periods(q: Question) -> Iterator[tuple[Label, datetime]]:
    """What each period is called, and when it begins. The first is the rest of the one that goes on then."""
    if not q.period:
        yield None, q.since
    elif q.period == "hour":
        hour = _whole_hour(q.since)
        while hour < q.until:
            yield hour.astimezone(q.zone), hour
            hour += _HOUR
    else:
        day = q.since.astimezone(q.zone).date()
        yield beginning(q.period, day), q.since
        while (begins := datetime.combine(day := day + _DAY, time(), q.zone)) < q.until:
            if day == beginning(q.period, day):
                yield day, begins


def beginning(period: str, day: date) -> date:
    """The day that the period of this day begins with."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def _end(q: Question) -> datetime:
    """Where nothing later is counted yet, well behind it: clocks of other machines may be ahead."""
    if q.until > q.now.replace(minute=0, second=0, microsecond=0):
        return max(q.until, q.now).astimezone(UTC) + _DAY
    return _kept(q, q.until)


def _kept(q: Question, moment: datetime) -> datetime:
    """The hour that totals are known of for this moment: hours count as a whole, and what is old by days of UTC."""
    hour, today = _whole_hour(moment), datetime.combine(q.now.astimezone(UTC), time(), UTC)
    if hour < today + _DAY - totals.hours_kept(q.by, _by_provider(q), q.hours_kept):
        # Days of another zone are told by the days of UTC that are most of them.
        hour += _DAY - timedelta.resolution if q.period == "hour" else _DAY / 2
        hour = datetime.combine(hour, time(), UTC)
    return max(hour, today - timedelta(days=STORY_DAYS))


def _whole_hour(moment: datetime) -> datetime:
    """The first hour of UTC that begins then or later."""
    up = moment.astimezone(UTC) + _HOUR - timedelta.resolution
    return up.replace(minute=0, second=0, microsecond=0)
