"""What came of a rehearsal, for people: day by day, and in sentences. Pure.

Takes results as `simulator/rehearsal_process` writes them (`simulator.rehearsal_model.Result`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.charts import Lines, lines
from console.shown import percent, plural, short

PLAN: Final = "plan"
BLAST: Final = "blast"
FAILOVER: Final = "fail-over"
WAYS: Final[Mapping[str, tuple[str, str]]] = {
    PLAN: ("By the plan", "delivered"),
    BLAST: ("Blast", "bounced"),
    FAILOVER: ("Blast with fail-over", "deferred"),
}
"""What a way is called, and the tone of its line."""
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One way on one day."""

    by_new: int
    """Delivered through the new IP."""
    refused: int
    lost: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Day:
    """One day of all ways."""

    day: int
    mails: int
    stage: int
    """0: the plan is complete."""
    cells: Sequence[Cell]
    moves: Sequence[str]
    """Steps back of the plan, and why."""


def days(results: Sequence[Result]) -> list[Day]:
    """Day by day, the ways in their order."""
    return [
        Day(
            one["day"], one["tally"]["arrived"], one["stage"],
            [_cell(result["days"][number]) for result in results], one["moves"],
        )
        for number, one in enumerate(results[0]["days"] if results else ())
    ]  # fmt: skip


def _cell(day: Mapping[str, Any]) -> Cell:
    tally = day["tally"]
    return Cell(tally["by_new"], _refused(tally), tally["bounced"] + tally["expired"], day["waiting"])


def _refused(tally: Mapping[str, int]) -> int:
    return tally["throttled"] + tally["blocked"]


def told(results: Sequence[Result], per_day: int) -> str:
    """What to expect of the plan, and of sending everything at once instead."""
    if not results:
        return f"{short(per_day)} mails a day: no way is through yet."
    plan, others = results[0], {one["way"]: one for one in results[1:]}
    total, many = plan["total"], len(plan["days"])
    full = (
        f"carries its share from day {plan['full_rate_day']} on"
        if plan["full_rate_day"]
        else "does not reach its share"
    )
    said = (
        f"In {plural(many, 'day')} with {short(per_day)} mails a day {_part(total, 'delivered')} arrive by this plan,"
        f" {_part(total, 'same_day')} within 24 hours; the new IP {full}, and is {_times(_refused(total))}."
    )
    blast = others.get(BLAST)
    if blast is None:
        return said
    against = blast["total"]
    return f"{said} A blast of the same mail: {_part(against, 'delivered')}, {_times(_refused(against))}."


def _part(total: Mapping[str, int], what: str) -> str:
    return percent(total[what] / total["arrived"] if total["arrived"] else None)


def _times(n: int) -> str:
    return "never refused" if not n else "refused once" if n == 1 else f"refused {n:,} times"


def chart(results: Sequence[Result]) -> Lines:
    """What the new IP delivered, day by day and way by way."""
    found = days(results)
    series = [
        (WAYS[one["way"]][1], WAYS[one["way"]][0], [float(day.cells[number].by_new) for day in found])
        for number, one in enumerate(results)
    ]
    return lines([f"day {day.day}" for day in found], series)
