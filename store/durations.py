"""How long deliveries took, as buckets that can be added up, and percentiles of what is in them. Pure.

A bucket is named by its upper bound in seconds, as text, so that it can be a label of a counter. Bounds grow by about a
half: a percentile is off by less than that, and usually by a tenth, for it is interpolated.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
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


def percentiles(counts: Mapping[str, int], shares: Iterable[float]) -> list[float | None]:
    """Seconds within which these shares of deliveries were made; None where there are none. Names that are no bucket
    are left out."""
    known = sorted([(*_SPAN[name], n) for name, n in counts.items() if n > 0 and name in _SPAN])
    whole = sum([n for _, _, n in known])
    return [_within(known, share * whole) for share in shares]


def _within(known: Sequence[tuple[float, float, int]], wanted: float) -> float | None:
    passed = 0
    for lower, upper, n in known:
        if passed + n >= wanted:
            return round(lower + (upper - lower) * (wanted - passed) / n, 3)
        passed += n
    return None
