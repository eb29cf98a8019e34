"""What happened to some mail, as figures: sums of the counters, rates made of them, times to deliver. Pure.

Outcomes are those of `store/counters`. A mail that came back after its delivery was delivered and bounced, so the two
together may be more than was accepted. A complaint that was taken back is among `complaint_withdrawn` only. Opens and
clicks of machines are told apart and in no rate.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Final

from store.durations import percentiles

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
_FIRST: Final = [(name, first) for name, (first, *_) in SUMS.items()]
_SEVERAL: Final = [(name, further) for name, (_, *further) in SUMS.items() if further]

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

    __slots__ = ("_counts", "_measures")

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._measures: dict[str, int] | None = None

    def add(self, outcome: str, part: str, n: int) -> None:
        """Count."""
        self.add_all([((outcome, part), n)])

    def add_all(self, counts: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Count by outcome and part."""
        for (outcome, part), n in counts:
            parts = self._counts.setdefault(outcome, {})
            parts[part] = parts.get(part, 0) + n
        self._measures = None

    def merge(self, other: "Tally") -> None:
        """Count what the other one did."""
        for outcome, parts in other._counts.items():
            mine = self._counts.setdefault(outcome, {})
            for part, n in parts.items():
                mine[part] = mine.get(part, 0) + n
        self._measures = None

    def __bool__(self) -> bool:
        """Something is counted."""
        return any(any(parts.values()) for parts in self._counts.values())

    def sum(self, *outcomes: str) -> int:
        """How often these happened."""
        return sum([sum(self._counts[outcome].values()) for outcome in outcomes if outcome in self._counts])

    def part(self, outcome: str, part: str) -> int:
        """How often this happened in this way."""
        return self._counts.get(outcome, {}).get(part, 0)

    def by_class(self, *outcomes: str) -> dict[str, int]:
        """These outcomes by their part, the most frequent first."""
        found: dict[str, int] = {}
        for outcome in outcomes:
            for name, n in self._counts.get(outcome, {}).items():
                found[name] = found.get(name, 0) + n
        return {name or "unclassified": n for name, n in sorted(found.items(), key=itemgetter(1), reverse=True) if n}

    def seconds(self, *shares: float) -> list[float | None]:
        """Times within which these shares of the deliveries were made."""
        return percentiles(self._counts.get("delivered", {}), shares)

    def measures(self) -> Mapping[str, int]:
        """Every count by its name."""
        if self._measures is None:
            sums = {outcome: sum(parts.values()) for outcome, parts in self._counts.items()}
            found = {name: sums.get(first, 0) for name, first in _FIRST}
            for name, further in _SEVERAL:
                found[name] += sum([sums.get(outcome, 0) for outcome in further])
            for outcome in ("opened", "clicked"):
                machine = self.part(outcome, MACHINE)
                found[outcome] = sums.get(outcome, 0) - machine
                found[f"unique_{outcome}"] = self.part(outcome, FIRST)
                found[f"machine_{outcome}"] = machine
            self._measures = found
        return self._measures

    def rates(self) -> dict[str, float | None]:
        """Parts of 1; None where nothing is there to divide by."""
        found = self.measures()
        wholes = {
            "delivered": found["delivered"],
            "decided": found["delivered"] + found["bounced"] - found["late_bounced"],
        }
        return {
            name: round(found[part] / wholes[whole], 6) if wholes[whole] else None
            for name, (part, whole) in RATES.items()
        }
