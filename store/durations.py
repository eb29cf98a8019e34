"""How long deliveries took, as buckets that can be added up, and percentiles of what is in them. Pure.

A bucket is named by its upper bound in seconds, as text, so that it can be a label of a counter. Bounds grow by about a
half: a percentile is off by less than that, and usually by a tenth, for it is interpolated.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

BOUNDS: Final = (
    0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180,
    300, 450, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10800, 14400, 21600, 28800, 43200, 64800, 86400, 129600,
    172800, 259200,
)  # fmt: skip
"""Seconds. Mail is given up after three days."""
LONGER: Final = "longer"

_NAMES: Final = (*(f"{bound:g}" for bound in BOUNDS), LONGER)
_LOWER: Final = dict(zip(_NAMES, (0.0, *BOUNDS), strict=True))
_UPPER: Final = dict(zip(_NAMES, (*BOUNDS, BOUNDS[-1]), strict=True))


def bucket(seconds: float) -> str:
    """The bucket of one delivery."""
    return _NAMES[bisect_left(BOUNDS, seconds)]


def percentile(counts: Mapping[str, int], share: float) -> float | None:
    """Seconds within which this share of deliveries was made; None when there are none. Names that are no bucket are
    left out."""
    known = sorted((_UPPER[name], name, n) for name, n in counts.items() if name in _UPPER and n > 0)
    wanted = share * sum(n for _, _, n in known)
    passed = 0
    for upper, name, n in known:
        if passed + n >= wanted:
            lower = _LOWER[name]
            return round(lower + (upper - lower) * (wanted - passed) / n, 3)
        passed += n
    return None
