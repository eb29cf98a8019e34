"""Warm-up plans after published schedules, each with its source. Pure.

A preset is cut to the need of its user: `target` is the volume a day at which one IP has arrived (its equal share of
the normal volume), and the last stage. A plan that goes on to ten million a day never ends for who sends less.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from warmup.plan import LARGEST_CAP, MOST_STAGES, Plan, invalid_plan, parse


@dataclass(frozen=True, slots=True)
class Preset:
    """One published schedule. `start` and `target` are mails a day of one IP."""

    name: str
    title: str
    source: str
    start: int
    target: int
    caps: Callable[[int, int], list[int]]
    """(start, target) → daily caps, rising; the last is the target."""
    extra: tuple[tuple[str, Any], ...] = ()
    """Fields of the plan beside its stages."""


SPARKPOST: Final = (
    200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 50_000, 75_000, 100_000, 150_000, 200_000, 250_000, 325_000,
    400_000, 500_000, 600_000, 750_000, 1_000_000, 1_250_000, 1_750_000, 2_000_000, 3_000_000, 4_250_000, 5_000_000,
    6_000_000, 7_500_000, 10_000_000,
)  # fmt: skip

LINEAR_DAYS: Final = 45


def _cut(start: int, target: int) -> list[int]:
    """The published stages between start and target, both included."""
    return [start, *(cap for cap in SPARKPOST if start < cap < target), *([target] if target > start else [])]


def _growing(factor: float) -> Callable[[int, int], list[int]]:
    def caps(start: int, target: int) -> list[int]:
        found, cap = [start], float(start)
        while found[-1] < target and len(found) < MOST_STAGES:
            cap *= factor
            # Ten mails more after rounding is still a day's growth; two equal days would be none.
            found.append(min(target, max(found[-1] + 1, round(cap))))
        return found

    return caps


def _linear(start: int, target: int) -> list[int]:
    caps = [start + round((target - start) * day / (LINEAR_DAYS - 1)) for day in range(LINEAR_DAYS)]
    return [caps[0], *(cap for before, cap in pairwise(caps) if cap > before)]


PRESETS: Final[tuple[Preset, ...]] = (
    Preset(
        "stages-29",
        "29 stages from 200 to 10 million a day",
        "SparkPost, support-docs: user-guide/automated-ip-warmup.md",
        SPARKPOST[0],
        SPARKPOST[-1],
        _cut,
    ),
    Preset(
        "factor-1.4",
        "Every day 1.4 times the day before, from 480",
        "SendGrid, docs: sending-email/warming-up-an-ip-address.md (20 an hour on the first day)",
        480,
        5_000_000,
        _growing(1.4),
    ),
    Preset(
        "linear-45",
        "45 days in equal steps, to 50,000 a day",
        "Amazon SES, standard dedicated IPs: 45 days to at most 50,000 a day; its curve is unpublished, equal steps are"
        " our reading",
        1_112,
        50_000,
        _linear,
    ),
    Preset(
        "plus-30",
        "Every day 30 % more, from 300 to 57,000 in 21 days, at most a fifth of it in one hour",
        "Mailtrap, docs: ip-warmup.md",
        300,
        57_000,
        _growing(1.3),
        (("hour_limit", 0.2),),
    ),
)


def preset(name: str, *, start: int | None = None, target: int | None = None) -> Plan:
    """The plan of a preset, from `start` to `target` mails a day of one IP. Raises Refused."""
    found = next((one for one in PRESETS if one.name == name), None)
    if found is None:
        raise invalid_plan("plan", f"there is no preset {name!r}; there are {', '.join(one.name for one in PRESETS)}")
    for where, value in (("start", start), ("target", target)):
        if value is not None and not 1 <= value <= LARGEST_CAP:
            raise invalid_plan(where, f"{value:,} must be 1 to {LARGEST_CAP:,} mails a day")
    last = target if target is not None else max(found.target, start or 0)
    first = start if start is not None else min(found.start, last)
    if first > last:
        raise invalid_plan("start", f"{first:,} a day is above the target of {last:,}")
    stages = found.caps(first, last)
    if stages[-1] < last:
        raise invalid_plan("start", f"from {first:,} a day the target is not reached within {MOST_STAGES} stages")
    return parse({"name": name, "stages": stages, **dict(found.extra)})
