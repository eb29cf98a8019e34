"""When a campaign is stopped by itself: too many complaints, too many addresses that are dead. Pure.

Judged by the limits of the alarms of the same name (`alarms/rules`), over this campaign alone: a list that should not
have been written to shows itself within its first thousands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from campaigns.states import RowState
from campaigns.tallies import COMPLAINED, HARD_BOUNCED


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
        return cls(
            tallies.get(RowState.DELIVERED, 0),
            tallies.get(RowState.BOUNCED, 0),
            tallies.get(HARD_BOUNCED, 0),
            tallies.get(COMPLAINED, 0),
        )


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
