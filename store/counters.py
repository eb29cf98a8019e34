"""Counters of what happened, per hour, lane, provider and IP, so that nobody has to count rows of mail.

Added to in the transaction that makes the thing true.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from store.database import Connection

_SHARD = os.getpid() % 16
"""Processes add to rows of their own, so that they do not wait for each other's commits."""


class Counted(NamedTuple):
    """What is counted. `provider` and `ip` are "" where they do not apply."""

    lane: str
    provider: str
    ip: str
    outcome: str


async def add(connection: Connection, counts: Mapping[Counted, int]) -> None:
    """Add to the counters of this hour. Sorted, so that two writers never wait for each other in a circle."""
    if not counts:
        return
    rows = sorted(counts.items())
    await connection.execute(
        "INSERT INTO outcome_counts AS c (hour, lane, provider, ip, outcome, shard, n)"
        " SELECT date_trunc('hour', now()), lane, provider, ip, outcome, %s, n"
        " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])"
        " AS u(lane, provider, ip, outcome, n)"
        " ON CONFLICT (hour, lane, provider, ip, outcome, shard) DO UPDATE SET n = c.n + excluded.n",
        [_SHARD, *(list(column) for column in zip(*(key for key, _ in rows), strict=True)), [n for _, n in rows]],
    )


async def forget(connection: Connection, days: int) -> None:
    """Retention: hours older than `days`."""
    await connection.execute("DELETE FROM outcome_counts WHERE hour < now() - make_interval(days => %s)", [days])
