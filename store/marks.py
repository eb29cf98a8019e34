"""What was counted between days, out of running totals: how far each key had come before either day (`report_marks`).

Two rows a key and stream, however many days lie between them. Nothing is known of providers here, and of no time but
the whole days of UTC. The marks are kept by triggers on the daily sums, which `store/folding` adds to.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, repeat, zip_longest
from operator import sub
from typing import Any, Final, NamedTuple

from store.database import Connection

COLUMNS: Final = ("key", "application_id", "lane")
"""What a key of the marks consists of, within its dimension."""

_UPTO = """
SELECT k.key, k.application_id, k.lane, b.place::integer, m.upto
  FROM report_keys k CROSS JOIN unnest(%(bounds)s::date[]) WITH ORDINALITY AS b(day, place)
 CROSS JOIN LATERAL (
   SELECT upto FROM report_marks WHERE key_id = k.id AND day < b.day ORDER BY day DESC LIMIT 1) m
 WHERE k.by = %(by)s
   AND (%(key)s::text[] IS NULL OR k.key = ANY(%(key)s))
   AND (%(application_id)s::uuid[] IS NULL OR k.application_id = ANY(%(application_id)s))
   AND (%(lane)s::text[] IS NULL OR k.lane = ANY(%(lane)s))
"""

# Retention leaves of each key what it had come to before the oldest day that is kept: differences begin there.
_FORGET = """
DELETE FROM report_marks m WHERE day < %(oldest)s AND (
  EXISTS (SELECT FROM report_marks n WHERE n.key_id = m.key_id AND n.day > m.day AND n.day < %(oldest)s)
  OR NOT EXISTS (SELECT FROM report_marks n WHERE n.key_id = m.key_id AND n.day >= %(oldest)s))
"""
_FORGET_KEYS = "DELETE FROM report_keys k WHERE NOT EXISTS (SELECT FROM report_marks WHERE key_id = k.id)"

Totals = Sequence[int]
"""Of each kind, at the place of its number; the last ones may be missing."""


class Counted(NamedTuple):
    """What one group of keys counted from one bound to the next."""

    since: date
    group: tuple[Any, ...]
    counts: Sequence[tuple[tuple[str, str], int]]
    """Outcome with part, and how many."""


async def between(
    connection: Connection,
    by: str,
    filters: Mapping[str, Collection[object]],
    group: Sequence[str],
    bounds: Sequence[date],
) -> Iterator[Counted]:
    """Counts of a dimension from each of the days to the next. `filters` (empty ones do not matter) and `group` name
    `COLUMNS`."""
    chosen = {name: list(filters.get(name, ())) or None for name in COLUMNS}
    cursor = connection.cursor(binary=True)
    await cursor.execute(_UPTO, {"by": by, "bounds": list(bounds), **chosen}, prepare=False)
    upto = _summed(await cursor.fetchall(), group)
    # Read after the totals: a kind that is new is known then.
    await cursor.execute("SELECT outcome, part, id FROM report_kinds ORDER BY id")
    return _differences(upto, bounds, await cursor.fetchall())


async def forget(connection: Connection, oldest: date) -> None:
    """Retention: what lies before that day."""
    await connection.execute(_FORGET, {"oldest": oldest})
    await connection.execute(_FORGET_KEYS)


def _summed(rows: Sequence[tuple[Any, ...]], group: Sequence[str]) -> Mapping[tuple[Any, ...], Mapping[int, Totals]]:
    """By group and bound, whose places begin with 1."""
    places = [COLUMNS.index(name) for name in group]
    found: defaultdict[tuple[Any, ...], dict[int, Totals]] = defaultdict(dict)
    for row in rows:
        sums, bound, upto = found[tuple([row[place] for place in places])], row[-2], row[-1]
        sums[bound] = _added(sums[bound], upto) if bound in sums else upto
    return found


def _added(one: Totals, other: Totals) -> Totals:
    return [a + b for a, b in zip_longest(one, other, fillvalue=0)]


def _differences(
    upto: Mapping[tuple[Any, ...], Mapping[int, Totals]], bounds: Sequence[date], kinds: Sequence[tuple[str, str, int]]
) -> Iterator[Counted]:
    names = [("", "")] * max((number for _, _, number in kinds), default=0)
    for outcome, part, number in kinds:
        names[number - 1] = outcome, part
    for group, sums in upto.items():
        for place, since in enumerate(bounds[:-1], start=1):
            end, start = sums.get(place + 1, ()), sums.get(place, ())
            counts = map(sub, end, chain(start, repeat(0)))
            yield Counted(since, group, [(name, n) for name, n in zip(names, counts, strict=False) if n])
