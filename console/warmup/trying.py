"""A plan tried on our mail: what it is tried with, and its picture. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from console.charts import Lines, lines
from warmup.plan import REST
from warmup.simulate import Simulation

DAYS: Final = 120
"""Days that a projection looks ahead."""


def shares(mix: Mapping[str, int]) -> dict[str, float]:
    """The mix of our mail, in parts of 1."""
    whole = sum(mix.values())
    return {provider: n / whole for provider, n in mix.items()} if whole else {REST: 1.0}


def projected(found: Simulation) -> Lines:
    """Allowed and sent through the warming IP, day by day until it is over."""
    last = min(found.ends_on or DAYS, DAYS)
    days = range(1, last + 1)
    of = {day: [row for row in found.rows if row.day == day] for day in days}
    caps = [_sum([row.cap for row in of[day]]) for day in days]
    sent: list[float | None] = [float(sum(row.warming for row in of[day])) for day in days]
    return lines([f"day {day}" for day in days], [("underway", "Allowed", caps), ("delivered", "Sent", sent)])


def _sum(caps: Sequence[int | None]) -> float | None:
    """None once nothing is capped."""
    known = [cap for cap in caps if cap is not None]
    return float(sum(known)) if known else None
