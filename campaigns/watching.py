"""When a campaign is stopped by itself: too many complaints, too many addresses that are dead. Pure.

Judged by the limits of the alarms of the same name (`alarms/rules`), over this campaign alone: a list that should not
have been written to shows itself within its first thousands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from campaigns.states import RowState
from campaigns.tallies import COMPLAINED, FORGIVEN, HARD_BOUNCED

JUDGED: Final = (RowState.DELIVERED.value, RowState.BOUNCED.value, HARD_BOUNCED, COMPLAINED)
"""In the order of the figures."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came back of a campaign so far."""

    delivered: int
    """Also those that came back late."""
    bounced: int
    hard: int
    """Bounced for good: the mailbox or its domain is dead."""
    complained: int

    @classmethod
    def of(cls, tallies: Mapping[str, int]) -> "Figures":
        """Without what somebody has looked at and forgiven."""
        return cls(*(tallies.get(name, 0) - tallies.get(FORGIVEN + name, 0) for name in JUDGED))


def forgiven(tallies: Mapping[str, int]) -> dict[str, int]:
    """What is added to the tallies when somebody has looked at the figures and lets it go on."""
    return {FORGIVEN + name: tallies.get(name, 0) - tallies.get(FORGIVEN + name, 0) for name in JUDGED}


def too_many(figures: Figures, complaints: Mapping[str, float], bounces: Mapping[str, float]) -> str:
    """Why it has to stop, with the figure; "" when it may go on. Rates are parts of 1."""
    enough = figures.delivered >= complaints["least"] and figures.complained >= complaints["least_complaints"]
    rate = figures.complained / figures.delivered if figures.delivered else 0.0
    if complaints["enabled"] and complaints["stop_marketing"] and enough and rate >= complaints["stop"]:
        return (
            f"{figures.complained:,} of {figures.delivered:,} people complained: {rate:.2%}, and"
            f" {complaints['stop']:.2%} is the limit"
        )
    decided = figures.delivered + figures.bounced
    dead = figures.hard / decided if decided else 0.0
    if bounces["enabled"] and decided >= bounces["least"] and dead >= bounces["critical"]:
        limit = f"{bounces['critical']:.2%} is the limit"
        return f"{figures.hard:,} of {decided:,} addresses are dead: {dead:.2%}, and {limit}"
    return ""
