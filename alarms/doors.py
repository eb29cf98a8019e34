"""How the doors answer: each route against the objective of its class, and what is left of the classes' error budgets.

Reads only; `core/objectives` says what is promised, `store/route_times` what was counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import psycopg

from core.objectives import OBJECTIVES, Objective
from store import route_times
from store.database import Connection
from store.route_times import Answered

LOOKED_AT: Final = timedelta(hours=24)
"""What routes are shown for, in whole hours."""
ENOUGH: Final = 100
"""Answers of a class from which its error budget is spoken of."""


@dataclass(frozen=True, slots=True)
class RouteStanding:
    """A route, and what its class promises."""

    answered: Answered
    objective: Objective

    @property
    def holds(self) -> bool:
        """So great a share of its answers was good."""
        return self.answered.missed <= self.answered.answers * (1 - self.objective.share)


@dataclass(frozen=True, slots=True)
class Standing:
    """A class of routes over the days of its budget."""

    objective: Objective
    answers: int
    missed: int

    @property
    def judged(self) -> bool:
        """Whether they are enough to say that a budget is spent: one slow answer of nine is none."""
        return self.answers >= ENOUGH

    @property
    def left(self) -> float:
        """Of its error budget: 1 untouched, 0 spent, below 0 overspent."""
        allowed = self.answers * (1 - self.objective.share)
        return 1 - self.missed / allowed if allowed else 1.0


@dataclass(frozen=True, slots=True)
class Doors:
    """All of it at one moment."""

    routes: Sequence[RouteStanding] = ()
    classes: Sequence[Standing] = ()

    @property
    def sentence(self) -> str:
        """Whether what is promised is kept."""
        if not any(one.answers for one in self.classes):
            return "Nothing was asked yet."
        over = [one.objective.name for one in self.classes if one.left < 0 and one.judged]
        if over:
            return f"The error budget of {' and '.join(over)} is spent: see which routes miss their objective."
        judged = [one for one in self.classes if one.judged]
        if not judged:
            return f"Fewer than {ENOUGH} answers of each class: too few to say whether the objectives are kept."
        least = min(judged, key=lambda one: one.left)
        return (
            f"Every class keeps its objective; {least.left:.0%} of the error budget of {least.objective.name} is left."
        )


async def doors(connection: Connection) -> Doors:
    """Look at everything; nothing is known in tables of a version that did not count."""
    try:
        found = await route_times.answered(connection, LOOKED_AT)
    except psycopg.errors.UndefinedTable:
        return Doors()
    routes = [RouteStanding(one, OBJECTIVES[one.route.kind]) for one in found if one.route.kind in OBJECTIVES]
    return Doors(routes, await standings(connection))


async def standings(connection: Connection) -> list[Standing]:
    """Every class, in the order of `core/objectives`, whether it was asked or not."""
    found = {one.kind: one for one in await route_times.spent(connection)}
    told = ((one, found.get(one.name)) for one in OBJECTIVES.values())
    return [Standing(one, spent.answers if spent else 0, spent.missed if spent else 0) for one, spent in told]


def seconds_shown(seconds: float) -> str:
    """As people read it: milliseconds below a second."""
    if seconds >= 1:
        return f"{seconds:g} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
