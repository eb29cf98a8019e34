"""Counters of what happened, added to in the transaction that makes the thing true, so that nobody counts rows of mail.

Two kinds. `outcome_counts` serves the machine (warm-up, reputation): by hour, lane, provider and IP, at once.
`count_deltas` serves people: by whose mail it was too. There are too many combinations of that for an upsert a commit,
so they are only written down here, and `store/folding` adds them up within seconds.

Mail that was captured counts nowhere: nobody got it.
"""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from store.database import Connection

_SHARD = random.SystemRandom().randrange(16)
"""Processes add to rows of their own, so that they do not wait for each other's commits. Drawn: in containers all of
them have the same process id."""

# Summed here too: the hour that is said and the one that goes on can be the same.
_ADD = """
INSERT INTO outcome_counts AS c (hour, lane, provider, ip, outcome, shard, n)
SELECT coalesce(u.hour, date_trunc('hour', now())), lane, provider, ip, outcome, %s, sum(n)
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[])
       AS u(lane, provider, ip, outcome, hour, n)
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 2, 3, 4, 5, 1
ON CONFLICT (hour, lane, provider, ip, outcome, shard) DO UPDATE SET n = c.n + excluded.n
"""

_DELTA: Final = "application_id, domain_id, topic_id, tags, lane, provider, ip, outcome, part, pool_id, n"
_WRITE_DOWN: Final = f"COPY count_deltas ({_DELTA}) FROM STDIN"
_WRITE_DOWN_THEN: Final = f"COPY count_deltas ({_DELTA}, hour) FROM STDIN"


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
    return Origin(application_id, domain_id, topic_id, tuple(f"{name}={value}" for name, value in tags), captured)


async def add(connection: Connection, counts: Mapping[tuple[Counted, Origin | None], int]) -> None:
    """Count; a number below zero takes back. Without an origin (the email is stored no longer) it counts for the
    machine only."""
    told = {pair: n for pair, n in counts.items() if pair[1] is None or not pair[1].captured}
    if told:
        await _add_up(connection, told)
        await _write_down(connection, told)


async def _add_up(connection: Connection, counts: Mapping[tuple[Counted, Origin | None], int]) -> None:
    """Sorted, so that two writers never wait for each other in a circle."""
    sums: Counter[tuple[str, str, str, str, datetime | None]] = Counter()
    for (counted, _), n in counts.items():
        sums[(*counted[:4], counted.hour and on_the_hour(counted.hour))] += n
    columns = [list(column) for column in zip(*sums, strict=True)]
    await connection.execute(_ADD, [_SHARD, *columns, list(sums.values())])


async def _write_down(connection: Connection, counts: Mapping[tuple[Counted, Origin | None], int]) -> None:
    known = [(counted, whose, n) for (counted, whose), n in counts.items() if whose is not None]
    now = [f"{_whose(whose)}\t{_what(counted)}\t{n}\n" for counted, whose, n in known if counted.hour is None]
    then = [
        f"{_whose(whose)}\t{_what(counted)}\t{n}\t{on_the_hour(counted.hour).isoformat()}\n"
        for counted, whose, n in known
        if counted.hour is not None
    ]
    for statement, lines in ((_WRITE_DOWN, now), (_WRITE_DOWN_THEN, then)):
        if lines:
            async with connection.cursor() as cursor, cursor.copy(statement) as copy:
                await copy.write("".join(lines))


def on_the_hour(moment: datetime) -> datetime:
    """The beginning of its hour, of UTC as all counters."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


# Lines in COPY's own text form, whose parts come again and again: the driver would make eleven values of each anew.


@lru_cache(maxsize=20_000)
def _whose(whose: Origin) -> str:
    tags = ",".join([f'"{_within_quotes(tag)}"' for tag in whose.tags])
    topic = whose.topic_id.hex if whose.topic_id else _NULL
    return "\t".join((whose.application_id.hex, whose.domain_id.hex, topic, _text(f"{{{tags}}}") if tags else _NULL))


@lru_cache(maxsize=20_000)
def _what(counted: Counted) -> str:
    *labels, pool, _ = counted
    return "\t".join((*(_text(label) for label in labels), pool.hex if pool else _NULL))


_NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": ""})


def _text(value: str) -> str:
    return value.translate(_ESCAPES)


def _within_quotes(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


async def forget(connection: Connection, days: int) -> None:
    """Retention: hours older than `days`."""
    await connection.execute("DELETE FROM outcome_counts WHERE hour < now() - make_interval(days => %s)", [days])
