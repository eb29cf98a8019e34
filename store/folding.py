"""Adding up what `store/counters` wrote down: deltas become hours and days of series, each exactly once.

Taking deltas and adding them is one transaction, and one process at a time does it (an advisory lock), so neither a
kill nor two background processes count anything twice. Triggers make running totals of the hourly sums
(`store/totals`). A delta counts in each of its dimensions: for its application
as such, and for its domain, topic, pool, IP and tags. These do not cross each other: their product would be as long as
the mail itself.

Tags are text of applications and may be anything, such as an order's number. So an application has `MOST_TAGS` of its
own; what comes beyond them counts as `OTHER_TAGS`, until unused ones are forgotten.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from store import totals
from store.database import Connection, Database
from store.locks import Lock

MOST_TAGS: Final = 1000
OTHER_TAGS: Final = "*"
TAG_DAYS: Final = 30
"""After so many days without mail a tag makes room for another."""

_BATCH: Final = 5000

WAIT: Final = "EXISTS (SELECT FROM count_deltas)"
"""Condition: something is written down."""
_TAKE = """
DELETE FROM count_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM count_deltas LIMIT %s))
RETURNING hour, application_id, domain_id, topic_id, pool_id, tags, lane, provider, ip, outcome, part, n
"""

_CELLS = """
WITH cell AS (
  SELECT * FROM unnest(%(by)s::text[], %(key)s::text[], %(application_id)s::uuid[], %(lane)s::text[],
    %(provider)s::text[], %(outcome)s::text[], %(part)s::text[], %(hour)s::timestamptz[], %(n)s::bigint[])
    AS u(by, key, application_id, lane, provider, outcome, part, hour, n))
"""

# Asked for first: an insert that meets its like would use up a number each time.
_NEW_SERIES = f"""{_CELLS}
INSERT INTO report_series (by, key, application_id, lane, provider, outcome, part)
SELECT DISTINCT by, key, application_id, lane, provider, outcome, part FROM cell c
 WHERE NOT EXISTS (SELECT FROM report_series s WHERE s.by = c.by AND s.application_id = c.application_id
   AND s.key = c.key AND s.lane = c.lane AND s.provider = c.provider AND s.outcome = c.outcome AND s.part = c.part)
"""

_ADD = f"""{_CELLS}, known AS MATERIALIZED (
  SELECT s.id, c.hour, c.n FROM cell c
    JOIN report_series s USING (by, application_id, key, lane, provider, outcome, part)
), days AS (
  INSERT INTO report_days AS d (series_id, day, n)
  SELECT id, (hour AT TIME ZONE 'UTC')::date, sum(n) FROM known GROUP BY 1, 2
  ON CONFLICT (series_id, day) DO UPDATE SET n = d.n + excluded.n)
INSERT INTO report_hours AS h (series_id, hour, n) SELECT id, hour, n FROM known
ON CONFLICT (series_id, hour) DO UPDATE SET n = h.n + excluded.n
"""

# Those of an application that are known, or that it has room for.
_ADMIT = """
WITH asked AS (
  SELECT * FROM unnest(%(applications)s::uuid[], %(tags)s::text[]) AS u(application_id, tag)
), known AS (
  UPDATE report_tags t SET seen = current_date FROM asked a
   WHERE t.application_id = a.application_id AND t.tag = a.tag AND t.seen < current_date
), fresh AS (
  SELECT a.application_id, a.tag, row_number() OVER (PARTITION BY a.application_id ORDER BY a.tag) AS place
    FROM asked a LEFT JOIN report_tags t USING (application_id, tag) WHERE t.tag IS NULL
), admitted AS (
  INSERT INTO report_tags (application_id, tag, seen)
  SELECT f.application_id, f.tag, current_date FROM fresh f
   WHERE f.place + (SELECT count(*) FROM report_tags t WHERE t.application_id = f.application_id) <= %(most)s
  RETURNING application_id, tag
)
SELECT application_id, tag FROM admitted
UNION ALL SELECT t.application_id, t.tag FROM report_tags t JOIN asked USING (application_id, tag)
"""


class Delta(NamedTuple):
    """One row of `count_deltas`."""

    hour: datetime
    application_id: UUID
    domain_id: UUID
    topic_id: UUID | None
    pool_id: UUID | None
    tags: list[str] | None
    lane: str
    provider: str
    ip: str
    outcome: str
    part: str
    n: int


class Cell(NamedTuple):
    """One hour of one series."""

    by: str
    key: str
    application_id: UUID
    lane: str
    provider: str
    outcome: str
    part: str
    hour: datetime


Tag = tuple[UUID, str]


async def fold(database: Database, batch: int = _BATCH) -> int:
    """Add up everything written down so far; returns how many deltas that were. 0 while another process does it."""
    folded = 0
    while True:
        async with database.transaction() as connection:
            taken = await _fold_some(connection, batch)
        folded += taken
        if taken < batch:
            return folded


async def _fold_some(connection: Connection, batch: int) -> int:
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [Lock.FOLDING_COUNTS])
    row = await cursor.fetchone()
    if not row or not row[0]:
        return 0
    cursor = await connection.execute(_TAKE, [batch])
    deltas = [Delta(*row) for row in await cursor.fetchall()]
    if deltas:
        admitted = await _admitted(connection, {(d.application_id, tag) for d in deltas for tag in d.tags or ()})
        await _add(connection, summed(deltas, admitted))
    return len(deltas)


def summed(deltas: Collection[Delta], admitted: Collection[Tag]) -> Counter[Cell]:
    """The deltas by series and hour."""
    cells: Counter[Cell] = Counter()
    for delta in deltas:
        labels = (delta.application_id, delta.lane, delta.provider, delta.outcome, delta.part, delta.hour)
        for by, key in _dimensions(delta, admitted):
            cells[Cell(by, key, *labels)] += delta.n
    return cells


def _dimensions(delta: Delta, admitted: Collection[Tag]) -> Iterator[tuple[str, str]]:
    yield "application", ""
    yield "domain", str(delta.domain_id)
    if delta.topic_id is not None:
        yield "topic", str(delta.topic_id)
    if delta.pool_id is not None:
        yield "pool", str(delta.pool_id)
    if delta.ip:
        yield "ip", delta.ip
    # A mail with two tags that are not counted apart is still one mail.
    for tag in {tag if (delta.application_id, tag) in admitted else OTHER_TAGS for tag in delta.tags or ()}:
        yield "tag", tag


async def _admitted(connection: Connection, tags: Collection[Tag]) -> set[Tag]:
    if not tags:
        return set()
    names = {"applications": [a for a, _ in tags], "tags": [t for _, t in tags], "most": MOST_TAGS}
    cursor = await connection.execute(_ADMIT, names)
    return {(application, tag) for application, tag in await cursor.fetchall()}


async def _add(connection: Connection, cells: Mapping[Cell, int]) -> None:
    columns = zip(*cells, strict=True)
    names: dict[str, object] = dict(zip(Cell._fields, map(list, columns), strict=True))
    names["n"] = list(cells.values())
    await connection.execute(_NEW_SERIES, names)
    await connection.execute(_ADD, names)


async def forget(connection: Connection, hour_days: int, day_days: int) -> None:
    """Retention of hours and days, each in days; series of which nothing is left, and tags nobody uses."""
    # Not while deltas are being added: that touches the same rows in another order.
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", [Lock.FOLDING_COUNTS])
    await connection.execute("DELETE FROM report_hours WHERE hour < now() - make_interval(days => %s)", [hour_days])
    await connection.execute("DELETE FROM report_days WHERE day < current_date - %s", [day_days])
    midnight = datetime.combine(datetime.now(UTC), time(), UTC)
    await totals.thin(connection, midnight - timedelta(days=hour_days), midnight - timedelta(days=totals.FINE_DAYS))
    await totals.forget(connection, midnight - timedelta(days=day_days))
    await connection.execute("DELETE FROM report_tags WHERE seen < current_date - %s", [TAG_DAYS])
    await connection.execute(
        "DELETE FROM report_series s WHERE NOT EXISTS (SELECT FROM report_days WHERE series_id = s.id)"
        " AND NOT EXISTS (SELECT FROM report_hours WHERE series_id = s.id)"
    )
