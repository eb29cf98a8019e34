"""Counters of what happened, added to in the transaction that makes the thing true, so that nobody counts rows of mail.

Two kinds. `outcome_counts` serves the machine (warm-up, reputation): by hour, lane, provider and IP, at once.
`count_deltas` serves people: by whose mail it was too. There are too many combinations of that for an upsert a commit,
so they are only written down here, and `store/folding` adds them up within seconds.

Mail that was captured counts nowhere: nobody got it.
"""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from store import arrays
from store.database import Connection

_SHARD = random.SystemRandom().randrange(16)
"""Processes add to rows of their own, so that they do not wait for each other's commits. Drawn: in containers all of
them have the same process id."""

# Both kinds in one statement: a transaction of mail is a few of them. Summed for the machine, which knows no origins.
_ADD: Final = """
WITH told AS (
  SELECT application_id, domain_id, topic_id, tags::text[] AS tags, lane, provider, ip, outcome, part, pool_id,
         coalesce(hour, date_trunc('hour', now())) AS hour, n
    FROM unnest(%(applications)s::uuid[], %(domains)s::uuid[], %(topics)s::uuid[], %(tags)s::text[], %(lanes)s::text[],
                %(providers)s::text[], %(ips)s::text[], %(outcomes)s::text[], %(parts)s::text[], %(pools)s::uuid[],
                %(hours)s::timestamptz[], %(counts)s::integer[])
         AS u(application_id, domain_id, topic_id, tags, lane, provider, ip, outcome, part, pool_id, hour, n)
), written AS (
  INSERT INTO count_deltas (application_id, domain_id, topic_id, tags, lane, provider, ip, outcome, part, pool_id, n,
                            hour)
  SELECT application_id, domain_id, topic_id, tags, lane, provider, ip, outcome, part, pool_id, n, hour FROM told
   WHERE application_id IS NOT NULL
)
INSERT INTO outcome_counts AS c (hour, lane, provider, ip, outcome, shard, n)
SELECT hour, lane, provider, ip, outcome, %(shard)s, sum(n) FROM told
 GROUP BY hour, lane, provider, ip, outcome ORDER BY lane, provider, ip, outcome, hour
ON CONFLICT (hour, lane, provider, ip, outcome, shard) DO UPDATE SET n = c.n + excluded.n
"""
_OF_WHOSE: Final = ("applications", "domains", "topics", "tags")
_OF_WHAT: Final = ("lanes", "providers", "ips", "outcomes", "parts", "pools", "hours")


class Counted(NamedTuple):
    """What is counted. `provider` and `ip` are "" where they do not apply."""

    lane: str
    provider: str
    ip: str
    outcome: str
    part: str = ""
    """Which kind of this outcome: the class of a bounce or deferral, how long a delivery took (`store/durations`), and
    `first`, `again` or `machine` for opens and clicks: the first of a recipient is unique."""
    pool_id: UUID | None = None
    """The pool it left through."""
    hour: datetime | None = None
    """Any moment of the hour it counts in, for what may be taken back later; None: the one that goes on."""


class Origin(NamedTuple):
    """Whose mail it was."""

    application_id: UUID
    domain_id: UUID
    topic_id: UUID | None = None
    tags: tuple[str, ...] = ()
    """Each `name=value`."""
    captured: bool = False


def origin(
    application_id: UUID, domain_id: UUID, topic_id: UUID | None, tags: tuple[tuple[str, str], ...], captured: bool
) -> Origin:
    """The origin of an email, its tags joined."""
    texts = tuple([f"{name}={value}" for name, value in tags])
    return Origin(application_id, domain_id, topic_id, texts, captured)


async def add(connection: Connection, counts: Mapping[tuple[Counted, Origin | None], int]) -> None:
    """Count; a number below zero takes back. Without an origin (the email is stored no longer) it counts for the
    machine only."""
    told = {pair: n for pair, n in counts.items() if pair[1] is None or not pair[1].captured}
    if told:
        await connection.execute(_ADD, _columns(told))


def _columns(counts: Mapping[tuple[Counted, Origin | None], int]) -> dict[str, object]:
    """Sorted in the statement, so that two writers never wait for each other in a circle."""
    rows = [_whose(whose) + _what(counted) for counted, whose in counts]
    names = (*_OF_WHOSE, *_OF_WHAT)
    columns: dict[str, object] = {
        name: "{" + ",".join(column) + "}" for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    return {**columns, "counts": arrays.integers(counts.values()), "shard": _SHARD}


def on_the_hour(moment: datetime) -> datetime:
    """The beginning of its hour, of UTC as all counters."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


# Elements of arrays in PostgreSQL's own text form, which come again and again: the driver would make eleven values of
# each anew.


@lru_cache(maxsize=20_000)
def _whose(whose: Origin | None) -> tuple[str, ...]:
    if whose is None:
        return (_NULL,) * len(_OF_WHOSE)
    tags = "{" + ",".join([_quoted(tag) for tag in whose.tags]) + "}"
    topic = whose.topic_id.hex if whose.topic_id else _NULL
    return whose.application_id.hex, whose.domain_id.hex, topic, _quoted(tags) if whose.tags else _NULL


@lru_cache(maxsize=20_000)
def _what(counted: Counted) -> tuple[str, ...]:
    *labels, pool, hour = counted
    at = _quoted(on_the_hour(hour).isoformat()) if hour else _NULL
    return *(_quoted(label) for label in labels), pool.hex if pool else _NULL, at


_NULL: Final = "NULL"


def _quoted(value: str) -> str:
    within = value.replace("\\", "\\\\").replace('"', '\\"').replace("\x00", "")
    return f'"{within}"'


async def forget(connection: Connection, days: int) -> None:
    """Retention: hours older than `days`."""
    await connection.execute("DELETE FROM outcome_counts WHERE hour < now() - make_interval(days => %s)", [days])
