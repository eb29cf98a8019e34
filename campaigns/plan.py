"""When mail of a campaign may leave: the pure part of its schedule.

A campaign begins at one instant, or at a local time in each person's own zone (`local`): then each row has an instant
of its own, and the campaign begins with the first zone that comes to that time. Within a *send window* (days and hours
in one zone) mail may leave; outside it waits. `per_hour` bounds the pace; `spread_hours` is a pace that comes out of
the size of the audience. Hours are counted on the clock of the zone, so that 09:00 is 09:00 on every day, also on
those on which the clocks change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from core.clock import YEARS
from core.refusal import invalid

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FIRST_ZONE: Final = timedelta(hours=14)
"""So far ahead of UTC is the zone where a day begins first."""
LATE_HOURS: Final = 1.0
_BURST: Final = timedelta(seconds=10)
_ROUNDED: Final = 1e-6
"""Of a mail: times are whole microseconds, and the last of a mail's may be missing."""
_AHEAD: Final = 15
"""Days looked ahead for an open window: two weeks and one, for on one day of the year its hours may be skipped."""
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Days and hours in which mail may leave; `until` is not in it. One that ends before it begins goes over
    midnight, and belongs to the day it begins on."""

    zone: str = "UTC"
    days: tuple[str, ...] = DAYS
    since: time = time(0)
    until: time = time(0)

    def is_open(self, now: datetime) -> bool:
        """Whether mail may leave now."""
        return any(start <= now < end for start, end in self._around(now))

    def opens(self, now: datetime) -> datetime:
        """The next moment at which it is open: now, when it is."""
        return min(max(start, now) for start, end in self._around(now) if end > now)

    def closes(self, now: datetime) -> datetime:
        """When the stretch ends that is open now."""
        return min(end for start, end in self._around(now) if start <= now < end)

    def next_open(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to when it is open, now or the next time."""
        return min((start, end) for start, end in self._around(now) if end > now)

    def _around(self, now: datetime) -> list[tuple[datetime, datetime]]:
        today = now.astimezone(ZoneInfo(self.zone)).date()
        days = [today + timedelta(days=n) for n in range(-1, _AHEAD)]
        stretches = [self._of(day) for day in days if DAYS[day.weekday()] in self.days]
        return [(start, end) for start, end in stretches if start < end]  # else the clocks skip all of it

    def _of(self, day: date) -> tuple[datetime, datetime]:
        last = day if self.until > self.since else day + timedelta(days=1)
        return _instant(day, self.since, self.zone), _instant(last, self.until, self.zone)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a campaign is spread over time. All parts are free to be left out."""

    local: datetime | None = None
    """A time without a zone: when it is that late where the person is."""
    zone: str = "UTC"
    """For who has none."""
    window: Window | None = None
    spread_hours: float | None = None
    per_hour: int | None = None
    late_hours: float = LATE_HOURS
    """One that could not begin within so many hours of its time asks before it does."""

    def begins(self, scheduled_at: datetime | None) -> datetime | None:
        """When its audience is fixed and its first mail may leave; None: at once."""
        return (self.local - FIRST_ZONE).replace(tzinfo=UTC) if self.local is not None else scheduled_at

    def is_late(self, scheduled_at: datetime | None, now: datetime) -> bool:
        """Whether it is so late that somebody has to say that it should still go out."""
        begins = self.begins(scheduled_at)
        return begins is not None and now > begins + timedelta(hours=self.late_hours)

    def waits_until(self, now: datetime) -> datetime | None:
        """When its window opens; None while it is open, and without one."""
        return self.window.opens(now) if self.window is not None and not self.window.is_open(now) else None

    def pace(self, people: int) -> float | None:
        """Mails an hour; None: as fast as they can go."""
        spread = people / self.spread_hours if self.spread_hours else None
        paces = [float(pace) for pace in (self.per_hour, spread) if pace]
        return min(paces) if paces else None


def burst(pace: float) -> timedelta:
    """Of the pace this much may come at once, after a pause or while nobody fed: some seconds, and one mail."""
    return _BURST + timedelta(hours=1 / pace)


def allowed(pace: float, since: datetime | None, now: datetime) -> int:
    """How many mails may leave now when all until `since` are accounted for."""
    earliest = now - burst(pace)
    start = max(since, earliest) if since is not None else earliest
    return int((now - start).total_seconds() * pace / 3600 + _ROUNDED)


def _instant(day: date, at: time, zone: str) -> datetime:
    """What the clock of a zone shows, as an instant; of one it shows twice the first, of one it skips the moment at
    which it does so."""
    local = datetime.combine(day, at, ZoneInfo(zone))
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first if first <= second else _change_within(second, first, ZoneInfo(zone))  # PEP 495: skipped


def _change_within(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second of the new time, where the clocks of a zone change between the two."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == old else (before, middle)
    return after


def due_locally(local: datetime, zone: str) -> datetime:
    """When it is that late in a zone."""
    return _instant(local.date(), local.time(), zone)


@lru_cache(8)
def due_everywhere(local: datetime) -> Mapping[str, datetime]:
    """The same for each zone that somebody may live in."""
    return {zone: due_locally(local, zone) for zone in sorted(_zones())}


def to_json(plan: Plan) -> dict[str, object]:
    """As it is stored, and shown."""
    shown: dict[str, object] = {}
    if plan.local is not None:
        shown |= {"local_time": plan.local.isoformat(), "zone": plan.zone}
    if plan.window is not None:
        w = plan.window
        shown["window"] = {
            "zone": w.zone, "days": list(w.days), "from": f"{w.since:%H:%M}", "to": f"{w.until:%H:%M}"
        }  # fmt: skip
    values = {"spread_hours": plan.spread_hours, "per_hour": plan.per_hour}
    shown |= {name: value for name, value in values.items() if value is not None}
    return shown | ({"late_hours": plan.late_hours} if plan.late_hours != LATE_HOURS else {})


def from_json(given: Mapping[str, Any]) -> Plan:
    """What was given, or stored. Raises Refused naming the field."""
    if unknown := sorted(set(given) - _NAMES):
        raise invalid(f"plan.{unknown[0]}"[:80], f"there is no such part, only {', '.join(sorted(_NAMES))}")
    local = _local(given.get("local_time"))
    window = _window(given["window"]) if given.get("window") else None
    if local is not None and window is not None:
        raise invalid("window", "a local time in each person's zone has no window: choose one of the two")
    return Plan(
        local,
        _zone("zone", given.get("zone") or "UTC"),
        window,
        _positive("spread_hours", given.get("spread_hours"), 24 * 30),
        round(pace) if (pace := _positive("per_hour", given.get("per_hour"), 1e9, least=1)) else None,
        _positive("late_hours", given.get("late_hours"), 24 * 30) or LATE_HOURS,
    )


_NAMES: Final = frozenset({"local_time", "zone", "window", "spread_hours", "per_hour", "late_hours"})


def _window(given: object) -> Window:
    if not isinstance(given, Mapping):
        raise invalid("window", "it must be an object with `days`, `from`, `to` and `zone`")
    if not isinstance(given.get("days") or [], (list, tuple)):
        raise invalid("window.days", f"they must be a list of {', '.join(DAYS)}")
    days = tuple(str(day).lower()[:3] for day in given.get("days") or DAYS)
    if not days or any(day not in DAYS for day in days):
        raise invalid("window.days", f"they must be among {', '.join(DAYS)}: without a day it would never open")
    since, until = _time("from", given.get("from") or "00:00"), _time("to", given.get("to") or "00:00")
    if since == until and since != time(0):
        raise invalid("window", "it ends when it begins, so it would never open")
    return Window(_zone("window.zone", given.get("zone") or "UTC"), days, since, until)


def _time(name: str, text: object) -> time:
    try:
        found = time.fromisoformat(str(text).replace("24:00", "00:00"))
    except ValueError:
        raise invalid(f"window.{name}", "it must be a time of day, such as 09:00") from None
    return found.replace(tzinfo=None, second=0, microsecond=0)


@lru_cache(1)
def _zones() -> frozenset[str]:
    """Asked for each campaign that is read; looking through the files of all zones takes milliseconds."""
    return frozenset(available_timezones())


def _zone(name: str, text: object) -> str:
    if not isinstance(text, str) or text not in _zones():
        raise invalid(name, "it must be a time zone by its name, such as Europe/Berlin")
    return text


def _local(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise invalid("local_time", "it must be a date and a time without a zone: 2026-12-24T09:00") from None
    if found.tzinfo is not None:
        raise invalid("local_time", "it must have no zone: it is that time in each person's own")
    if found.year not in YEARS:
        raise invalid("local_time", f"it must lie between {YEARS.start} and {YEARS.stop}")
    return found


def _positive(name: str, value: object, most: float, least: float = 0.0) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not (value > 0 and least <= value <= most):
        raise invalid(name, f"it must be {f'at least {least:g}' if least else 'more than 0'} and at most {most:g}")
    return float(value)
