"""What was counted between hours, out of running totals: how far each line had come before either of them.

A line is one key of a dimension and stream, by one provider or by all of them. Two rows of it tell any span of time,
however long. Triggers on the hourly sums, which `store/folding` adds to, keep the totals.

Old hours are thinned out to days of UTC: after as long as hours are kept, and after `FINE_DAYS` where providers of
domains, topics or tags are told apart, of which there are as many as all others together.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, repeat
from operator import add, sub
from typing import Any, Final
from uuid import UUID

from store import arrays
from store.database import Connection
from store.tally import Kinds

COLUMNS: Final = ("key", "application_id", "lane", "provider")
"""What names a line within its dimension."""
EVERY_APPLICATION: Final = UUID(int=0)
"""Stands in lines of all of them. Those of all providers have `*`."""
FEW: Final = ("application", "pool", "ip")
"""Dimensions that have few keys, and lines of all applications too."""
FINE_DAYS: Final = 8

# In the order of bytes, which is Python's too.
_TEXTS: Final = {name: f'{name}::text COLLATE "C"' for name in COLUMNS}
_GROUPS = """
SELECT {columns}array_agg(id) FROM report_lines
 WHERE by = %(by)s AND (application_id = %(every)s) = %(all_applications)s AND (provider = '*') = %(all_providers)s
   AND (%(key)s::text[] IS NULL OR key = ANY(%(key)s))
   AND (%(application_id)s::uuid[] IS NULL OR application_id = ANY(%(application_id)s))
   AND (%(lane)s::text[] IS NULL OR lane = ANY(%(lane)s))
   AND (%(provider)s::text[] IS NULL OR provider = ANY(%(provider)s))
"""

_UPTO = """
SELECT l.place::integer, b.place::integer, t.upto
  FROM unnest(%(lines)s::integer[], %(places)s::integer[]) AS l(id, place)
 CROSS JOIN unnest(%(bounds)s::timestamptz[]) WITH ORDINALITY AS b(at, place)
 CROSS JOIN LATERAL (
   SELECT upto FROM report_totals WHERE line_id = l.id AND before <= b.at ORDER BY before DESC LIMIT 1) t
"""

# Only what rows are ordered by leaves the database: of a thousand domains a page shows a few.
_WEIGHTS = """
SELECT l.place::integer, bool_or(e.upto IS DISTINCT FROM b.upto), sum({first})::bigint, sum({second})::bigint
  FROM unnest(%(lines)s::integer[], %(places)s::integer[]) AS l(id, place)
 CROSS JOIN LATERAL (
   SELECT upto FROM report_totals WHERE line_id = l.id AND before <= %(until)s ORDER BY before DESC LIMIT 1) e
  LEFT JOIN LATERAL (
   SELECT upto FROM report_totals WHERE line_id = l.id AND before <= %(since)s ORDER BY before DESC LIMIT 1) b ON true
 GROUP BY 1 ORDER BY 3 DESC, 4 DESC, 1
"""

# Of each day its last total stays. A month back: what was thinned out before that is not looked at every time.
_THIN = """
DELETE FROM report_totals t USING report_lines l
 WHERE l.id = t.line_id AND t.before <= %(until)s::timestamptz AND t.before > %(until)s - interval '32 days'
   AND (l.by = ANY(%(few)s) OR l.provider = '*') <> %(fine)s
   AND EXISTS (SELECT FROM report_totals n WHERE n.line_id = t.line_id AND n.before > t.before
     AND n.before <= date_trunc('day', t.before - interval '1 microsecond', 'UTC') + interval '1 day')
"""

# Retention leaves of each line what it had come to before the oldest day that is kept: differences begin there.
_FORGET = """
DELETE FROM report_totals t WHERE before <= %(oldest)s AND (
  EXISTS (SELECT FROM report_totals n WHERE n.line_id = t.line_id AND n.before > t.before AND n.before <= %(oldest)s)
  OR NOT EXISTS (SELECT FROM report_totals n WHERE n.line_id = t.line_id AND n.before > %(oldest)s))
"""
_FORGET_LINES = "DELETE FROM report_lines l WHERE NOT EXISTS (SELECT FROM report_totals WHERE line_id = l.id)"

Counts = Sequence[int]
"""Of each kind, at its place; the last ones may be missing."""
_NONE: Final[Counts] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that one row of a report is about."""

    keys: tuple[str, ...]
    """Of the columns that were grouped by."""
    lines: Sequence[int]


async def groups(
    connection: Connection, by: str, filters: Mapping[str, Collection[object]], columns: Sequence[str]
) -> list[Group]:
    """The lines of a dimension by some of `COLUMNS`, in order; those of everything together for none. `filters` name
    `COLUMNS` too; empty ones do not matter."""
    apart = {*columns, *(name for name, values in filters.items() if values)}
    named: dict[str, object] = {name: list(filters.get(name, ())) or None for name in COLUMNS}
    named |= {
        "by": by, "every": EVERY_APPLICATION, "all_applications": by in FEW and "application_id" not in apart,
        "all_providers": "provider" not in apart,
    }  # fmt: skip
    texts = [_TEXTS[name] for name in columns]
    grouped = f"GROUP BY {', '.join(texts)} ORDER BY {', '.join(texts)}" if texts else "HAVING count(*) > 0"
    statement = _GROUPS.replace("{columns}", "".join([f"{text}, " for text in texts])) + grouped
    cursor = await connection.execute(statement, named, prepare=False)
    return [Group(tuple(keys), lines) for *keys, lines in await cursor.fetchall()]


async def between(
    connection: Connection, groups: Sequence[Group], bounds: Sequence[datetime]
) -> Sequence[Sequence[Counts]]:
    """What each group counted from each bound to the next: by period, then by group."""
    named: dict[str, Any] = {**_placed(groups), "bounds": list(bounds)}
    cursor = connection.cursor(binary=True)
    await cursor.execute(_UPTO, named, prepare=False)
    upto: dict[tuple[int, int], Counts] = {}
    for group, bound, counts in await cursor.fetchall():
        place = bound - 1, group
        upto[place] = added(upto[place], counts) if place in upto else counts
    return [
        [
            _difference(upto.get((bound + 1, group), _NONE), upto.get((bound, group), _NONE))
            for group in range(len(groups))
        ]
        for bound in range(len(bounds) - 1)
    ]


async def heaviest(
    connection: Connection, groups: Sequence[Group], since: datetime, until: datetime, by: Sequence[Sequence[int]]
) -> list[tuple[int, int]]:
    """Places of the groups for which something was counted between the two, the heaviest first: by the sum of the first
    places of counts, which is given too, then by that of the second."""
    first, second = map(_weight, by)
    statement = _WEIGHTS.replace("{first}", first).replace("{second}", second)
    cursor = await connection.execute(statement, {**_placed(groups), "since": since, "until": until}, prepare=False)
    return [(place, weight) for place, anything, weight, _ in await cursor.fetchall() if anything]


def _weight(places: Sequence[int]) -> str:
    """The sum of these places, as an expression: a sub-query for each line takes three times as long."""
    sums = [f"coalesce(e.upto[{place + 1}], 0) - coalesce(b.upto[{place + 1}], 0)" for place in map(int, places)]
    return " + ".join(sums) or "0"


def _placed(groups: Sequence[Group]) -> dict[str, str]:
    """Lines, each with the place of its group."""
    return {
        "lines": arrays.integers([line for group in groups for line in group.lines]),
        "places": arrays.integers([place for place, group in enumerate(groups) for _ in group.lines]),
    }


async def kinds(connection: Connection) -> Kinds:
    """What the places of counts mean. Asked for after them, a kind that is new meanwhile is known."""
    cursor = await connection.execute("SELECT id, outcome, part FROM report_kinds")
    named = {number: (outcome, part) for number, outcome, part in await cursor.fetchall()}
    return Kinds([named.get(place, ("", "")) for place in range(1, max(named, default=0) + 1)])


def added(one: Counts, other: Counts) -> Counts:
    """Both together."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    return list(map(add, longer, chain(shorter, repeat(0))))


def _difference(end: Counts, start: Counts) -> Counts:
    return list(map(sub, end, chain(start, repeat(0))))


def hours_kept(by: str, by_provider: bool, kept: timedelta) -> timedelta:
    """How far back hours of such lines reach, where all hours are kept for `kept`."""
    return kept if by in FEW or not by_provider else min(kept, timedelta(days=FINE_DAYS))


async def thin(connection: Connection, until: datetime, fine_until: datetime) -> None:
    """Hours before these midnights of UTC become days: those of all lines, and those of the many."""
    for moment, fine in ((until, False), (fine_until, True)):
        await connection.execute(_THIN, {"until": moment, "fine": fine, "few": list(FEW)})


async def forget(connection: Connection, oldest: datetime) -> None:
    """Retention: what lies before that midnight."""
    await connection.execute(_FORGET, {"oldest": oldest})
    await connection.execute(_FORGET_LINES)
