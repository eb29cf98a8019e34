"""Reads `scheduled_at`: ISO 8601, or a wait such as `in 10 min`.

Pure: takes the text and the time now. What a schedule may be (not past, at most 30 days ahead) is part of reading it,
so that every door gives the same answer.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from core.errors import PostlaneError

LONGEST: Final = timedelta(days=30)
"""How far ahead mail can be scheduled, as with Resend: its content is kept that long."""

GRACE: Final = timedelta(seconds=30)
"""A moment this little in the past is now: the clocks of application and server may differ."""

_UNITS: Final = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
    "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip
_STEP = re.compile(r"\s*(?:and\s+)?(\d{1,9}|an?)\s*([a-z]+)", re.ASCII)
_IN = re.compile(r"in\s+(?=\S)(.+)", re.IGNORECASE | re.ASCII)
_MAX_TEXT = 100


class ScheduleError(PostlaneError, ValueError):
    """The text names no moment that mail can be scheduled for. The message is a sentence without the field's name."""


def parse_schedule(text: str, now: datetime) -> datetime | None:
    """The moment in UTC, or None for "now" (up to `GRACE` in the past). Raises `ScheduleError`.

    A date and time without an offset is UTC: the official Python examples build one with `datetime.now().isoformat()`
    on servers, whose time zone is UTC.
    """
    text = text.strip()
    if not text or len(text) > _MAX_TEXT:
        raise ScheduleError("it must be an ISO 8601 time or a wait such as `in 10 min`")
    wait = _IN.fullmatch(text)
    moment = now + _wait(wait[1]) if wait else _iso(text)
    if moment < now - GRACE:
        raise ScheduleError(f"{_shown(moment)} is in the past")
    if moment > now + LONGEST:
        raise ScheduleError(f"{_shown(moment)} is more than {LONGEST.days} days ahead")
    return moment if moment > now else None


def _wait(text: str) -> timedelta:
    """`1 hour 30 minutes`, `10 min`, `a day`."""
    position, seconds = 0, 0
    lower = text.lower()
    while position < len(lower):
        step = _STEP.match(lower, position)
        if step is None or step[2] not in _UNITS:
            raise ScheduleError(f"`in {text}` is not understood; write it as `in 10 min`, `in 2 hours` or `in 3 days`")
        seconds += (int(step[1]) if step[1].isdigit() else 1) * _UNITS[step[2]]
        position = step.end()
    # Anything longer than the limit is refused by the caller; this keeps absurd figures within what a date can hold.
    return timedelta(seconds=min(seconds, 366 * 86400))


def _iso(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ScheduleError(
            "it must be an ISO 8601 time (`2026-08-05T11:52:01Z`) or a wait such as `in 10 min`"
        ) from None


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
