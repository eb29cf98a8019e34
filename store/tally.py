"""What happened to some mail, as figures: sums of the counters, rates made of them, times to deliver. Pure.

Outcomes are those of `store/counters`. A mail that came back after its delivery was delivered and bounced, so the two
together may be more than was accepted. A complaint that was taken back is among `complaint_withdrawn` only. Opens and
clicks of machines are told apart and in no rate.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from store.durations import percentile

REFUSED: Final = ("bounced", "blocked", "late_bounced")
"""Outcomes of mail that was refused for good: for its recipient, for the message or our IP, after it was taken."""

SUMS: Final[Mapping[str, tuple[str, ...]]] = {
    "accepted": ("accepted",),
    "delivered": ("delivered",),
    "deferred": ("deferred",),
    "rerouted": ("rerouted",),
    "bounced": REFUSED,
    "hard_bounced": ("bounced", "late_bounced"),
    "blocked": ("blocked",),
    "late_bounced": ("late_bounced",),
    "suppressed": ("suppressed",),
    "expired": ("expired",),
    "cancelled": ("cancelled",),
    "failed": ("failed",),
    "complained": ("complained",),
    "complaint_withdrawn": ("complaint_withdrawn",),
    "unsubscribed": ("unsubscribed",),
}
"""Measure → the outcomes it is the sum of."""

MACHINE, FIRST = "machine", "first"

RATES: Final[Mapping[str, tuple[str, str]]] = {
    "delivery_rate": ("delivered", "decided"),
    "bounce_rate": ("bounced", "decided"),
    "complaint_rate": ("complained", "delivered"),
    "unsubscribe_rate": ("unsubscribed", "delivered"),
    "open_rate": ("unique_opened", "delivered"),
    "click_rate": ("unique_clicked", "delivered"),
}
"""Measure → counted of what. Decided is what was delivered or refused for good."""


class Tally:
    """Counts by outcome and part."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, outcome: str, part: str, n: int) -> None:
        """Count."""
        self._counts[outcome][part] += n

    def merge(self, other: "Tally") -> None:
        """Count what the other one did."""
        for outcome, parts in other._counts.items():
            self._counts[outcome].update(parts)

    def sum(self, *outcomes: str) -> int:
        """How often these happened."""
        return sum(self._counts[outcome].total() for outcome in outcomes if outcome in self._counts)

    def part(self, outcome: str, part: str) -> int:
        """How often this happened in this way."""
        return self._counts[outcome][part] if outcome in self._counts else 0

    def by_class(self, *outcomes: str) -> dict[str, int]:
        """These outcomes by their part, the most frequent first."""
        found: Counter[str] = Counter()
        for outcome in outcomes:
            found.update(self._counts.get(outcome, {}))
        return {name or "unclassified": n for name, n in found.most_common() if n}

    def seconds(self, share: float) -> float | None:
        """Time within which this share of the deliveries was made."""
        return percentile(self._counts.get("delivered", {}), share)

    def measures(self) -> dict[str, int]:
        """Every count by its name."""
        found = {name: self.sum(*outcomes) for name, outcomes in SUMS.items()}
        for outcome in ("opened", "clicked"):
            machine = self.part(outcome, MACHINE)
            found[outcome] = self.sum(outcome) - machine
            found[f"unique_{outcome}"] = self.part(outcome, FIRST)
            found[f"machine_{outcome}"] = machine
        return found

    def rates(self) -> dict[str, float | None]:
        """Parts of 1; None where nothing is there to divide by."""
        found = self.measures()
        found["decided"] = found["delivered"] + found["bounced"] - found["late_bounced"]
        return {
            name: round(found[part] / found[whole], 6) if found[whole] else None
            for name, (part, whole) in RATES.items()
        }
