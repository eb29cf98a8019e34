"""Plan against actual: what each stage allows each provider, and what was sent on the days it lasted. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from warmup.model import Day, IpToday, TrackToday
from warmup.plan import Plan
from warmup.progress import TrackStatus


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of one track."""

    cap: int
    state: str
    """`over`, `now` or `ahead`."""
    sent: int = 0
    """On its best day."""
    days: int = 0
    """How many days it lasted so far; more than one: it was held, or stepped back to."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stage."""

    stage: int
    whole: int
    """What its tracks may send together; a little below the plan's figure, for each share is rounded down."""
    steps: Sequence[Step]


def grid(plan: Plan, tracks: Sequence[TrackToday], days: Sequence[Day]) -> list[Row]:
    """Every stage of the plan by every track, in the order of `tracks`."""
    rows = [[_step(plan, track, number, days) for track in tracks] for number in range(1, plan.last_stage + 1)]
    return [Row(number, sum(step.cap for step in steps), steps) for number, steps in enumerate(rows, 1)]


def _step(plan: Plan, track: TrackToday, stage: int, days: Sequence[Day]) -> Step:
    mine = [day for day in days if day.track == track.track and day.stage == stage]
    done = track.state is TrackStatus.COMPLETE or stage < track.stage
    state = "over" if done else "now" if stage == track.stage else "ahead"
    return Step(plan.cap(stage, track.track), state, max((day.granted for day in mine), default=0), len(mine))


def by_day(days: Sequence[Day]) -> list[tuple[date, int, int]]:
    """Day, cap and sent over all tracks, oldest first; days of the ledger only."""
    sums: dict[date, tuple[int, int]] = {}
    for day in days:
        cap, sent = sums.get(day.day, (0, 0))
        sums[day.day] = (cap + day.cap, sent + day.granted)
    return [(day, *sums[day]) for day in sorted(sums)]


def behind(one: IpToday, started: datetime) -> int:
    """Days that it is behind a plan of a stage a day; 0 when it is on plan."""
    return max(0, (one.day - started.date()).days + 1 - one.stage)
