"""The values of a rehearsal: what is sent by whom, and what came of it. Frozen, without behaviour but sums.

`simulator/rehearsal.py` makes results of scenarios, `cli/commands/rehearsal.py` reads the one and prints the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from warmup.plan import Plan

OTHER: Final = "other"
"""All providers that are not in the mix, taken for one mildly judging server."""

DEFAULT_MIX: Final[Mapping[str, float]] = {
    "gmail": 0.45,
    "microsoft": 0.20,
    "yahoo": 0.15,
    "apple": 0.05,
    "gmx": 0.05,
    OTHER: 0.10,
}


class Way(StrEnum):
    """How the mail is sent."""

    PLAN = "plan"
    """As Postlane sends it: caps by plan, fail-over, rest and return."""
    BLAST = "blast"
    """Equal shares over all IPs from the first day; 4xx is retried by the clock, 5xx ends the mail."""
    FAILOVER = "fail-over"
    """Equal shares from the first day, with Postlane's fail-over, rest and return, but without a plan."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is rehearsed. Rates are parts of the mails delivered or sent."""

    plan: Plan
    volume: int
    """Mails a day, up to 5 % more or fewer."""
    mix: Mapping[str, float]
    """Share by provider, adding up to 1; `OTHER` for all that are not named."""
    new_ips: int = 1
    warm_ips: int = 2
    """IPs that carried the whole volume so far, for 60 days."""
    days: int = 30
    seed: int = 1
    strictness: float = 1.0
    """Of the providers: 2 halves what they give to newcomers, how fast they let them grow, and their patience."""
    blocks: bool = True
    """Whether providers block who ignores their throttles, or throttle for ever."""
    complaints: float = 0.0003
    unknown: float = 0.003
    """Of the recipients, mailboxes that do not exist."""

    def __post_init__(self) -> None:
        counts = self.volume >= 1 and self.new_ips >= 1 and self.warm_ips >= 0 and self.days >= 1
        if not (counts and self.strictness > 0 and 0 <= self.complaints < 1 and 0 <= self.unknown < 1):
            raise ValueError(f"a scenario without mail, IPs or days, or with a rate that is none: {self}")
        if abs(sum(self.mix.values()) - 1) > 1e-6:
            raise ValueError("the shares of the mix must add up to 1")


@dataclass(slots=True)
class Tally:
    """Counts of one day, over all IPs."""

    arrived: int = 0
    delivered: int = 0
    same_day: int = 0
    """Delivered within 24 hours."""
    by_new: int = 0
    """Delivered through the new IPs."""
    throttled: int = 0
    """Replies that asked for less."""
    blocked: int = 0
    """Replies that named a blocklist."""
    refused_new: int = 0
    """Of both, to the new IPs."""
    bounced: int = 0
    """Ended by a refusal for good of the IP or message."""
    unknown: int = 0
    """Ended because the mailbox does not exist."""
    expired: int = 0
    """Given up after 72 hours."""
    complaints: int = 0

    def add(self, other: "Tally") -> None:
        """Add all counts of another."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class DayResult:
    """One way on one day."""

    day: int
    """From 1."""
    tally: Tally
    waiting: int
    """Mails not ended at midnight."""
    stage: int
    """Lowest stage of a new IP at a provider, at the beginning of the day; 0: no plan, or complete."""
    moves: tuple[str, ...] = ()
    """Steps back that the plan made because of this day, with their figures."""


@dataclass(frozen=True, slots=True)
class Result:
    """One way, all days."""

    way: Way
    days: tuple[DayResult, ...]
    total: Tally
    full_rate_day: int | None
    """The first day from which on each day the new IPs carried at least 95 % of their fair share and were not
    throttled; None: not within these days."""
    plan_done_day: int | None
    """The day on which every new IP had completed its plan."""
    delay_p50: float
    """Hours from arrival to delivery, of what was delivered."""
    delay_p95: float
    cap_exceeded: int
    """Mails that the providers saw from a warming IP above a day's cap. Counted where they arrive."""

    @property
    def waiting(self) -> int:
        """Mails not ended when the days were over."""
        return self.days[-1].waiting
