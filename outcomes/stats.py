"""Figures for people: read from the counters that `record` and `accept` keep, never by counting rows."""

from dataclasses import dataclass

from store.database import Connection


@dataclass(frozen=True, slots=True)
class Count:
    """How often something happened. `provider` and `ip` are "" where they do not apply."""

    lane: str
    provider: str
    ip: str
    outcome: str
    n: int


async def totals(connection: Connection, hours: int = 24) -> list[Count]:
    """All counters of the last hours, summed."""
    cursor = await connection.execute(
        "SELECT lane, provider, ip, outcome, sum(n)::bigint FROM outcome_counts"
        " WHERE hour > now() - make_interval(hours => %s) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        [hours],
    )
    return [Count(*row) for row in await cursor.fetchall()]
