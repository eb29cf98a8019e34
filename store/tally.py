"""What happened to some mail, as figures: sums of the counters, rates made of them, times to deliver. Pure.

Outcomes are those of `store/counters`. A mail that came back after its delivery was delivered and bounced, so the two
together may be more than was accepted. A complaint that was taken back is among `complaint_withdrawn` only. Opens and
clicks of machines are told apart and in no rate.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from operator import itemgetter
from typing import Final

from store.durations import Buckets

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

_OF_DECIDED: Final = (("delivery_rate", "delivered"), ("bounce_rate", "bounced"))
_OF_DELIVERED: Final = (
    ("complaint_rate", "complained"), ("unsubscribe_rate", "unsubscribed"), ("open_rate", "unique_opened"),
    ("click_rate", "unique_clicked"),
)  # fmt: skip
RATES: Final = tuple(name for name, _ in (*_OF_DECIDED, *_OF_DELIVERED))
"""Parts of what was decided (delivered or refused for good), and of what was delivered."""


class Kinds:
    """Outcomes and their parts, each with its place in lists of counts. What can be said of them without the counts is
    worked out once for all rows of an answer."""

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        self.names = names
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, (outcome, _) in enumerate(names):
            places[outcome].append(place)
        self.places: Final[Mapping[str, Sequence[int]]] = places
        """Outcome → places of its parts."""
        self._classes: dict[tuple[str, ...], Sequence[tuple[str, int]]] = {}

    @cached_property
    def measures(self) -> Mapping[str, Sequence[int]]:
        """Measure → the places it is the sum of."""
        found = {name: [*self._of(*outcomes)] for name, outcomes in SUMS.items()}
        for outcome in ("opened", "clicked"):
            parts = {self.names[place][1]: place for place in self._of(outcome)}
            found[outcome] = [place for part, place in parts.items() if part != MACHINE]
            found[f"unique_{outcome}"] = [place for part, place in parts.items() if part == FIRST]
            found[f"machine_{outcome}"] = [place for part, place in parts.items() if part == MACHINE]
        return found

    @cached_property
    def firsts(self) -> Callable[[Sequence[int]], Sequence[int]]:
        """Of each measure its first place, or the one behind all kinds, where nothing is counted."""
        return itemgetter(*(next(iter(places), len(self.names)) for places in self.measures.values()))

    @cached_property
    def further(self) -> Sequence[tuple[str, Sequence[int]]]:
        """The other places of those measures that have several."""
        return [(name, places[1:]) for name, places in self.measures.items() if places[1:]]

    @cached_property
    def durations(self) -> Buckets:
        """How long deliveries took."""
        return Buckets([part if outcome == "delivered" else "" for outcome, part in self.names])

    def classes(self, *outcomes: str) -> Sequence[tuple[str, int]]:
        """Classes of these outcomes, with their places."""
        if outcomes not in self._classes:
            self._classes[outcomes] = [(self.names[place][1] or "unclassified", place) for place in self._of(*outcomes)]
        return self._classes[outcomes]

    def _of(self, *outcomes: str) -> Iterable[int]:
        return (place for outcome in outcomes for place in self.places.get(outcome, ()))


NOTHING: Final = Kinds([])


class Tally:
    """Counts of kinds."""

    __slots__ = ("_counts", "_kinds", "_measures")

    def __init__(self, kinds: Kinds = NOTHING, counts: Sequence[int] = ()) -> None:
        """`counts` may lack the last kinds."""
        self._kinds = kinds
        self._counts = [*counts, *[0] * (len(kinds.names) + 1 - len(counts))]
        self._measures: dict[str, int] | None = None

    @classmethod
    def of(cls, counts: Mapping[tuple[str, str], int]) -> "Tally":
        """Out of counts by outcome and part."""
        return cls(Kinds([*counts]), [*counts.values()])

    def __bool__(self) -> bool:
        """Something is counted."""
        return any(self._counts)

    def counts(self) -> dict[tuple[str, str], int]:
        """By outcome and part, without what is not there."""
        return {name: n for name, n in zip(self._kinds.names, self._counts, strict=False) if n}

    def sum(self, *outcomes: str) -> int:
        """How often these happened."""
        counts, places = self._counts, self._kinds.places
        return sum([counts[place] for outcome in outcomes for place in places.get(outcome, ())])

    def by_class(self, *outcomes: str) -> dict[str, int]:
        """These outcomes by their part, the most frequent first."""
        counts, found = self._counts, dict[str, int]()
        for name, place in self._kinds.classes(*outcomes):
            if n := counts[place]:
                found[name] = found.get(name, 0) + n
        return dict(sorted(found.items(), key=itemgetter(1), reverse=True))

    def seconds(self, *shares: float) -> list[float | None]:
        """Times within which these shares of the deliveries were made."""
        return self._kinds.durations.percentiles(self._counts, shares)

    def measures(self) -> Mapping[str, int]:
        """Every count by its name."""
        if self._measures is None:
            kinds, counts = self._kinds, self._counts
            found = dict(zip(kinds.measures, kinds.firsts(counts), strict=True))
            for name, further in kinds.further:
                found[name] += sum([counts[place] for place in further])
            self._measures = found
        return self._measures

    def rates(self) -> dict[str, float | None]:
        """Parts of 1; None where nothing is there to divide by."""
        found = self.measures()
        delivered = found["delivered"]
        decided = delivered + found["bounced"] - found["late_bounced"]
        return _rates(found, _OF_DECIDED, decided) | _rates(found, _OF_DELIVERED, delivered)


def _rates(found: Mapping[str, int], rates: Sequence[tuple[str, str]], whole: int) -> dict[str, float | None]:
    if not whole:
        return dict.fromkeys([name for name, _ in rates])
    return {name: round(found[part] / whole, 6) for name, part in rates}


def total(kinds: Kinds, counts: Iterable[Sequence[int]]) -> Tally:
    """All of them together."""
    return Tally(kinds, [sum(column) for column in zip_longest(*counts, fillvalue=0)])
