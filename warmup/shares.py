"""How a day's cap is spread over the hours of the day. Pure. The ledger's SQL computes the same; a test compares.

A day is a date in the plan's time zone. It sends from `first_hour` to `last_hour`; that window has 23 or 25 hours when
the clocks change within it. At the start of an hour its **share** is what is left of the cap divided by the hours left,
rounded up, and at most `hour_limit` of the cap. The share opens in twelve slices of five minutes. What one hour leaves
unused is part of what is left, and so is spread over all hours after it.
"""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from warmup.plan import Plan

SLICES: Final = 12
SLICE: Final = timedelta(minutes=5)
HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The sending hours of one day, as moments."""

    opens: datetime
    closes: datetime

    @property
    def hours(self) -> int:
        """Whole hours in it, at least 1. Where clocks change by half an hour, the last hour is longer."""
        return max(1, (self.closes - self.opens) // HOUR)

    def hour_at(self, now: datetime) -> int:
        """Number of the hour, from 0. `now` is within the window."""
        return min(self.hours - 1, (now - self.opens) // HOUR)

    def slice_at(self, now: datetime) -> int:
        """Number of the slice within its hour, 0 to 11."""
        return min(SLICES - 1, (now - self.opens - self.hour_at(now) * HOUR) // SLICE)


@dataclass(frozen=True, slots=True)
class Used:
    """One row of the ledger: what a track has had of a day."""

    cap: int
    granted: int
    hour: int = -1
    """The hour that `hour_base` is of; -1: none yet."""
    hour_base: int = 0
    """What had been granted when that hour began."""


def local_day(plan: Plan, now: datetime) -> date:
    """The day of the plan that this moment belongs to."""
    return now.astimezone(ZoneInfo(plan.zone)).date()


def moment(plan: Plan, day: date, hour: int) -> datetime:
    """`hour`:00 (24 is the next midnight) of a local day in UTC.

    A time that the clocks pass twice, or not at all, means the later of its two readings, as in PostgreSQL.
    """
    local = datetime.combine(day, time(), ZoneInfo(plan.zone)) + timedelta(hours=hour)  # wall clock arithmetic
    return max(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def window(plan: Plan, day: date) -> Window:
    """The sending hours of a day.

    Where clocks go back over midnight (Havana), the hour that is passed twice is the next day's by the calendar and
    this day's by its length: nothing is sent in its first passing, and this day's share of it stays unused.
    """
    return Window(moment(plan, day, plan.first_hour), moment(plan, day, plan.last_hour))


def share(cap: int, left: int, hours: int, hours_left: int, hour_limit: float) -> int:
    """An hour's share of a day with `hours` sending hours of which `hours_left` are left, this one included."""
    most = math.ceil(cap * max(hour_limit, 1 / hours))
    return min(-(-left // hours_left), most)


def opened(hour_share: int, slice_number: int) -> int:
    """How much of an hour's share is open in a slice (0 to 11)."""
    return -(-hour_share * (slice_number + 1) // SLICES)


def available(plan: Plan, used: Used, now: datetime, *, at_once: bool = False) -> int:
    """What may be granted at this moment. `at_once` opens the hour's whole share (for mail that goes first)."""
    today = window(plan, local_day(plan, now))
    if not today.opens <= now < today.closes:
        return 0
    hour = today.hour_at(now)
    base = used.hour_base if used.hour == hour else used.granted
    hour_share = share(used.cap, used.cap - base, today.hours, today.hours - hour, plan.hour_limit)
    may = hour_share if at_once else opened(hour_share, today.slice_at(now))
    return max(0, min(base + may, used.cap) - used.granted)


def next_opening(plan: Plan, used: Used, now: datetime, *, at_once: bool = False) -> datetime:
    """When more can be granted than now, if nothing else is used or returned; aware UTC, later than `now`.

    After a clock has jumped back it may be too early, which costs one more question.
    """
    day = local_day(plan, now)
    today = window(plan, day)
    if now < today.opens:
        return today.opens
    if used.granted < used.cap and now < today.closes:
        hour = today.hour_at(now)
        base = used.hour_base if used.hour == hour else used.granted
        hour_share = share(used.cap, used.cap - base, today.hours, today.hours - hour, plan.hour_limit)
        for number in () if at_once else range(today.slice_at(now) + 1, SLICES):
            if base + opened(hour_share, number) > used.granted:
                return today.opens + hour * HOUR + number * SLICE
        if hour + 1 < today.hours:
            return today.opens + (hour + 1) * HOUR
    return window(plan, day + _DAY).opens
