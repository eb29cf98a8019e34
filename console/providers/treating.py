"""How a provider treats us: figures of the last hours and day against the week before, and since when it changed. Pure.

Deferral is the part of the attempts that was told to come later. It is worth a word from `MUCH` on, where it is twice
what it was in the week before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pools.throttle_repository import ThrottleRow
from store.tally import Tally

MUCH: Final = 0.05
_TWICE: Final = 2
_FEW: Final = 20
"""Attempts below which a share says nothing."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """One provider."""

    name: str
    now: Tally
    """The last 24 hours."""
    before: Tally
    """The seven days before them."""
    recent: Tally
    """The last hours: what began this afternoon hardly shows in the share of a day."""
    rests: Sequence[ThrottleRow]
    """IPs of ours that rest or come back there."""

    @property
    def share(self) -> float | None:
        """Deferral of the last hours, of the day where there were too few attempts."""
        recent = deferral(self.recent)
        return deferral(self.now) if recent is None else recent

    @property
    def worse(self) -> bool:
        """It defers more than it did."""
        now, before = self.share, deferral(self.before)
        return now is not None and now >= MUCH and now >= _TWICE * (before or 0.0)

    @property
    def state(self) -> str:
        """For a sign: `throttled` where an IP rests, `deferred` where it defers more, `active`."""
        if any(row.condition.state == "throttled" for row in self.rests):
            return "throttled"
        return "recovering" if self.rests else "deferred" if self.worse else "active"

    @property
    def resting_since(self) -> datetime | None:
        """Since when the first IP does."""
        return min((row.condition.since for row in self.rests), default=None)


def attempts(tally: Tally) -> int:
    """Attempts that got an answer."""
    return tally.sum("delivered", "bounced", "blocked", "deferred", "rerouted")


def deferral(tally: Tally) -> float | None:
    """Part of the attempts that was deferred; None where there were too few."""
    whole = attempts(tally)
    return tally.sum("deferred", "rerouted") / whole if whole >= _FEW else None


def worse_since(hours: Sequence[tuple[datetime, Tally]], usual: float | None) -> datetime | None:
    """The first hour of the run, up to now, in which it defers more than it did; None when it does not now."""
    found = None
    for at, tally in reversed(hours):
        share = deferral(tally)
        if share is None:
            continue
        if share < MUCH or share < _TWICE * (usual or 0.0):
            break
        found = at
    return found
