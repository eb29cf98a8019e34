"""How long deliveries took, as buckets that can be added up, and percentiles of what is in them. Pure.

A bucket is named by its upper bound in seconds, as text, so that it can be a label of a counter. Bounds grow by about a
half: a percentile is off by less than that, and usually by a tenth, for it is interpolated.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

BOUNDS: Final = (
    0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180,
    300, 450, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10800, 14400, 21600, 28800, 43200, 64800, 86400, 129600,
    172800, 259200,
)  # fmt: skip
"""Seconds. Mail is given up after three days."""
LONGER: Final = "longer"

_NAMES: Final = (*(f"{bound:g}" for bound in BOUNDS), LONGER)
_SPAN: Final = dict(zip(_NAMES, zip((0.0, *BOUNDS), (*BOUNDS, BOUNDS[-1]), strict=True), strict=True))


def bucket(seconds: float) -> str:
    """The bucket of one delivery."""
    return _NAMES[bisect_left(BOUNDS, seconds)]


class Buckets:
    """Where buckets stand among counts, so that thousands of such lists can be asked for percentiles."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` of the counts; those that are no bucket are left out."""
        found = sorted((*_SPAN[name], place) for place, name in enumerate(names) if name in _SPAN)
        self._bounds = [(lower, upper) for lower, upper, _ in found]
        self._places = [place for _, _, place in found]

    def percentiles(self, counts: Sequence[int], shares: Iterable[float]) -> list[float | None]:
        """Seconds within which these shares of deliveries were made; None where there are none."""
        passed = list(accumulate([max(counts[place], 0) for place in self._places]))
        if not passed or not passed[-1]:
            return [None for _ in shares]
        return [self._within(passed, share * passed[-1]) for share in shares]

    def _within(self, passed: Sequence[int], wanted: float) -> float:
        return round(_interpolated(self._bounds, passed, wanted), 3)


def within(bounds: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Seconds within which this share was done; 0 where nothing was. `counts` has a last one for what took longer than
    every bound, which is told as that bound."""
    passed = list(accumulate(counts))
    spans = list(zip((0.0, *bounds), (*bounds, bounds[-1]), strict=True))
    return round(_interpolated(spans, passed, share * passed[-1]), 4) if passed[-1] else 0.0


def _interpolated(spans: Sequence[tuple[float, float]], passed: Sequence[int], wanted: float) -> float:
    at = bisect_left(passed, wanted)
    before = passed[at - 1] if at else 0
    lower, upper = spans[at]
    return lower + (upper - lower) * (wanted - before) / (passed[at] - before)
