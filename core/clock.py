"""UTC now behind a protocol, so that retries and schedules can be tested without waiting."""

from datetime import UTC, datetime
from typing import Final, Protocol

YEARS: Final = range(1970, 2200)
"""Of times that somebody gives. At the ends of the calendar a time has no UTC: PostgreSQL keeps some of those, and
nobody can read them again."""


class Clock(Protocol):
    """Tells the time. Everything that decides by time takes one, or takes a `datetime`."""

    def now(self) -> datetime:
        """The current moment, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
