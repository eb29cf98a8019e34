"""How good is the name of an IP at a provider, 0 to 100, by what the provider did with its mail. Pure.

Providers do not tell; this is our own evidence over a window of days. Each part is a rate, and costs points in
proportion until its worst value, where it has cost all of its points:

    part        rate                                        costs   all of it at
    complaints  complaints / delivered                         40   0.3 %  (Gmail and Yahoo: never reach it)
    blocks      refused because of IP or content / decided     20   2 %
    bounces     hard bounces / decided                         20   5 %
    deferrals   deferrals / attempts                           10   30 %
    throttles   days with a throttle / days                    10   every day
    engagement  10 % of the tracked - opened or clicked        20   nobody engaged; none of it from 10 % on

    score = 100 * (1 - sum(costs * min(1, rate / worst)) / sum(costs))

`decided` is delivered + bounced + blocked; `attempts` is decided + deferrals; `tracked` is what was delivered of
streams of which any open or click was seen, by people or machines. A part that nobody knows (engagement, while fewer
than `ENOUGH` are tracked) is left out of both sums. Below `ENOUGH` decided mails the score is None with the reason, not
100: one complaint among fewer would move the rate by more than the 0.2 % between good (0.1 %) and bad (0.3 %).

Figures of others (Sender Score, SNDS, Postmaster) stand beside the score and never in it.
"""

from dataclasses import dataclass
from typing import Final

ENOUGH: Final = 500
"""Decided mails below which there is no score."""

_WORST_COMPLAINTS: Final = 0.003
_WORST_BLOCKS: Final = 0.02
_WORST_BOUNCES: Final = 0.05
_WORST_DEFERRALS: Final = 0.30
_GOOD_ENGAGEMENT: Final = 0.10


@dataclass(frozen=True, slots=True)
class Evidence:
    """What happened to the mail of one IP at one provider within `days` days. Counts are mails, but for `deferred`,
    which counts attempts, and `throttled_days`."""

    days: int
    delivered: int = 0
    bounced: int = 0
    """Hard bounces: the address was to blame."""
    blocked: int = 0
    """Refused for good because of the IP or the content."""
    deferred: int = 0
    complained: int = 0
    throttled_days: int = 0
    tracked: int = 0
    """Of the delivered, how many were of streams whose opens and clicks are counted."""
    engaged: int = 0
    """Of the tracked, how many a person opened or clicked."""

    @property
    def decided(self) -> int:
        """Mails the provider has decided about."""
        return self.delivered + self.bounced + self.blocked


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the evidence costs."""

    name: str
    rate: float
    """0 to 1; what it counts stands in the module's table."""
    cost: float
    """Points out of 100."""


@dataclass(frozen=True, slots=True)
class Reputation:
    """The figure, and why."""

    score: int | None
    reason: str
    """What cost the most, in a sentence; with no score, what is missing."""
    parts: tuple[Part, ...]


def reputation(evidence: Evidence) -> Reputation:
    """The score for this evidence."""
    if evidence.decided < ENOUGH:
        seen = f"{evidence.decided:,} mail{'' if evidence.decided == 1 else 's'} in {evidence.days} days"
        return Reputation(None, f"too little to judge by: {seen}, a score needs {ENOUGH}", ())
    weighed = _weighed(evidence)
    total = sum(points for _, _, _, points in weighed)
    parts = tuple(
        Part(name, rate, round(100 * points / total * min(1.0, rate / worst), 1))
        for name, rate, worst, points in weighed
    )
    cost = sum(part.cost for part in parts)
    return Reputation(max(0, round(100 - cost)), _reason(parts), parts)


def _weighed(evidence: Evidence) -> list[tuple[str, float, float, int]]:
    """Name, rate, worst rate and points of each part that is known."""
    decided, delivered = evidence.decided, max(1, evidence.delivered)
    parts = [
        ("complaints", min(1.0, evidence.complained / delivered), _WORST_COMPLAINTS, 40),
        ("blocks", evidence.blocked / decided, _WORST_BLOCKS, 20),
        ("bounces", evidence.bounced / decided, _WORST_BOUNCES, 20),
        ("deferrals", evidence.deferred / (decided + evidence.deferred), _WORST_DEFERRALS, 10),
        ("throttles", min(1.0, evidence.throttled_days / max(1, evidence.days)), 1.0, 10),
    ]
    if evidence.tracked >= ENOUGH:
        missing = max(0.0, _GOOD_ENGAGEMENT - evidence.engaged / evidence.tracked)
        parts.append(("engagement", missing, _GOOD_ENGAGEMENT, 20))
    return parts


def _reason(parts: tuple[Part, ...]) -> str:
    costly = sorted((part for part in parts if part.cost >= 0.5), key=lambda part: -part.cost)
    if not costly:
        return "nothing against it"
    return ", ".join(f"{part.name} at {part.rate:.2%} (-{part.cost:.0f})" for part in costly[:3])
