"""When something that repeats is due: a rule of RFC 5545 on the clock of a zone. Pure; only this knows dateutil.

Days come from the rule, the time of day from its start: 09:00 is 09:00 on every day, also when the clocks change. A
time that a day skips is the moment after it, one that it has twice the first (PEP 495), as for campaigns (`plan`).

Only rules are taken that come again within a bounded time: for one that never does (the 30th of February) the library
would count to the year 9999, for seconds, in the middle of everybody else's work.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday

from core.clock import YEARS
from core.refusal import Refused, invalid

MOST: Final = 1000
"""Of COUNT."""
_MOST_INTERVAL: Final = 100
_MOST_TEXT: Final = 300
_SAFE_DAY: Final = 28
"""Every month has it."""
_SAFE_NTH: Final = 4
"""Every month has so many of each day of the week."""
_A_DAY: Final = timedelta(days=1)

_FREQUENCIES: Final = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
_zones = lru_cache(1)(available_timezones)
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BY_DAY: Final = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")
_PARTS: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule that was checked."""

    rule: str
    start: datetime
    """The first day and the time of day, on the clock of the zone: without one of its own."""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class _By:
    """On which days of a period."""

    days: tuple[tuple[int | None, int], ...] = ()
    """Which one of the period, or every one; and the day of the week."""
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


def checked(rule: object, start: object, zone: object = "UTC") -> Recurrence:
    """What somebody gave. Raises Refused naming `rrule`, `start` or `zone`."""
    if not isinstance(zone, str) or zone not in _zones():
        raise invalid("zone", "it must be a time zone by its name, such as Europe/Berlin")
    if not isinstance(rule, str) or not rule or len(rule) > _MOST_TEXT:
        raise invalid("rrule", "it must be a rule such as FREQ=WEEKLY;BYDAY=MO")
    found = Recurrence(rule.strip().upper().removeprefix("RRULE:"), _start(start), zone)
    if next(_instants(found, found.start), None) is None:
        raise invalid("rrule", "it ends before it begins")
    return found


def following(recurrence: Recurrence, moment: datetime) -> datetime | None:
    """The first time after a moment; None when the rule is over."""
    local = moment.astimezone(ZoneInfo(recurrence.zone)).replace(tzinfo=None)
    return next((one for one in _instants(recurrence, local - _A_DAY) if one > moment), None)


def between(recurrence: Recurrence, since: datetime, until: datetime) -> list[datetime]:
    """All times from `since` to `until`, both among them."""
    local = since.astimezone(ZoneInfo(recurrence.zone)).replace(tzinfo=None)
    found = []
    for one in _instants(recurrence, local - _A_DAY):
        if one > until:
            break
        if one >= since:
            found.append(one)
    return found


def _instants(recurrence: Recurrence, since: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(recurrence.zone)
    for one in _compiled(recurrence).xafter(since, inc=True):
        yield one.replace(tzinfo=zone).astimezone(UTC)


@lru_cache(500)
def _compiled(recurrence: Recurrence) -> rrule:
    given = _parts(recurrence.rule)
    freq = _FREQUENCIES.get(given["FREQ"])
    if freq is None:
        raise invalid("rrule", f"FREQ must be {', '.join(_FREQUENCIES)}: more often than daily is too often for people")
    if "COUNT" in given and "UNTIL" in given:
        raise invalid("rrule", "it ends by COUNT or by UNTIL, not by both")
    interval = _number(given, "INTERVAL", _MOST_INTERVAL) or 1
    by = _By(
        _days(given), _numbers(given, "BYMONTHDAY", 31), _numbers(given, "BYMONTH", 12, least=1), _positions(given)
    )
    if freq == YEARLY and by.months and not by.days and not by.month_days:
        by = replace(by, month_days=(recurrence.start.day,))
    _comes_again(freq, interval, by)
    return rrule(
        freq, dtstart=recurrence.start, interval=interval, wkst=_week_start(given),
        count=_number(given, "COUNT", MOST), until=_until(given.get("UNTIL"), recurrence),
        byweekday=[weekday(day, nth) for nth, day in by.days] or None, bymonthday=by.month_days or None,
        bymonth=by.months or None, bysetpos=by.positions or None, cache=False,
    )  # fmt: skip


def _parts(rule: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for part in rule.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in found:
            raise invalid(
                "rrule", f"it must be parts such as FREQ=WEEKLY;BYDAY=MO, each once, and {part[:40]!r} is none"
            )
        if name not in _PARTS:
            why = (
                "the time of day is that of `start`"
                if name in ("BYHOUR", "BYMINUTE", "BYSECOND")
                else "it is not taken"
            )
            raise invalid("rrule", f"{name[:20]}: {why}")
        found[name] = value
    if "FREQ" not in found:
        raise invalid("rrule", "it needs a FREQ")
    return found


def _comes_again(freq: int, interval: int, by: _By) -> None:
    """Raises Refused unless every few periods have a day that it names, whatever the calendar."""
    numbered = any(nth is not None for nth, _ in by.days)
    if freq in (DAILY, WEEKLY):
        if by.month_days or by.months or by.positions or numbered or (freq == DAILY and by.days and interval > 1):
            raise invalid("rrule", "with DAILY and WEEKLY go BYDAY=MO,TU… alone, and with DAILY only every day")
        return
    if by.days and by.month_days:
        raise invalid("rrule", "BYDAY and BYMONTHDAY do not go together")
    if freq == YEARLY and (by.days or by.month_days) and not by.months:
        raise invalid("rrule", "with YEARLY, BYDAY and BYMONTHDAY need BYMONTH")
    if freq == MONTHLY and by.months:
        raise invalid("rrule", "BYMONTH goes with FREQ=YEARLY")
    if by.positions and (numbered or not by.days):
        raise invalid("rrule", "BYSETPOS goes with BYDAY=MO,TU… without numbers")
    if any(abs(one) > _SAFE_NTH * len(by.days) for one in by.positions):
        raise invalid("rrule", "not every month has so many of these days")
    every_month = freq == MONTHLY and interval == 1
    rare_day = any(abs(day) > _SAFE_DAY for day in by.month_days)
    rare_nth = any(nth is not None and abs(nth) > _SAFE_NTH for nth, _ in by.days)
    if not every_month and (rare_day or rare_nth):
        raise invalid("rrule", "not every month has this day: with INTERVAL or YEARLY it may never come")


def _days(given: Mapping[str, str]) -> tuple[tuple[int | None, int], ...]:
    found = []
    for text in given["BYDAY"].split(",") if "BYDAY" in given else ():
        match = _BY_DAY.fullmatch(text)
        if match is None:
            raise invalid("rrule", f"BYDAY has {', '.join(_DAYS)}, 1MO or -1FR, not {text[:20]!r}")
        found.append((int(match[1]) if match[1] else None, _DAYS.index(match[2])))
    return tuple(dict.fromkeys(found))


def _positions(given: Mapping[str, str]) -> tuple[int, ...]:
    return _numbers(given, "BYSETPOS", _SAFE_NTH * len(_DAYS))


def _numbers(given: Mapping[str, str], name: str, most: int, least: int | None = None) -> tuple[int, ...]:
    found = []
    for text in given[name].split(",") if name in given else ():
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,3}", text, re.ASCII) else 0
        if not number or abs(number) > most or (least is not None and number < least):
            raise invalid("rrule", f"{name} is a number to {most}, not {text[:20]!r}")
        found.append(number)
    return tuple(dict.fromkeys(found))


def _number(given: Mapping[str, str], name: str, most: int) -> int | None:
    found = _numbers(given, name, most, least=1) if name in given else ()
    if len(found) > 1:
        raise invalid("rrule", f"{name} is one number")
    return found[0] if found else None


def _week_start(given: Mapping[str, str]) -> int:
    name = given.get("WKST", "MO")
    if name not in _DAYS:
        raise invalid("rrule", f"WKST must be one of {', '.join(_DAYS)}")
    return _DAYS.index(name)


def _until(text: str | None, recurrence: Recurrence) -> datetime | None:
    """On the clock of the zone; a date means the whole day."""
    if text is None:
        return None
    for shape in ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            found = datetime.strptime(text, shape)  # noqa: DTZ007  # its zone is the rule's, or Z
        except ValueError:
            continue
        if found.year not in YEARS:
            break
        if shape.endswith("Z"):
            return found.replace(tzinfo=UTC).astimezone(ZoneInfo(recurrence.zone)).replace(tzinfo=None)
        return found if "T" in shape else datetime.combine(found, time.max)
    raise invalid("rrule", "UNTIL must be a date such as 20261231, or a time such as 20261231T090000Z")


def _start(text: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise _no_start() from None
    if found.tzinfo is not None or found.year not in YEARS:
        raise _no_start()
    return found.replace(microsecond=0)


def _no_start() -> Refused:
    return invalid("start", "it must be the first day and the time of day, without a zone: 2026-12-01T09:00")
