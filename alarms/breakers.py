"""Breakers: one stream of one application may send nothing to one provider for a while.

Written by the judge of complaints, or by an operator; ended by time or by an operator. Every worker asks its
`BreakerBook` for each mail, which reads the table again every `REREAD_SECONDS`, so a breaker holds everywhere within
seconds, and after a restart. While PostgreSQL is away the book goes on with what it knows. A row stays when it is over:
complaints that were counted before may not trip it again.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.logs import get_logger
from core.refusal import conflict, invalid
from core.tasks import end as end_tasks
from store.database import Connection, Database, DatabaseUnavailableError

_log = get_logger(__name__)

REREAD_SECONDS: Final = 2.0
"""A breaker holds in every worker after this time."""
REREAD: Final = timedelta(seconds=REREAD_SECONDS)
LONGEST: Final = timedelta(days=90)
KEPT_DAYS: Final = 31

_OVER: Final = "ended_at IS NOT NULL OR until <= now()"
OVER: Final = f"EXISTS (SELECT FROM breakers WHERE {_OVER})"
"""Condition: `over` would find some."""

_COLUMNS: Final = (
    "b.application_id, coalesce(a.name, b.application_id::text), b.lane, b.provider, b.since, b.until, b.reason, b.by"
)
_OPEN: Final = f"""
SELECT {_COLUMNS} FROM breakers b LEFT JOIN applications a ON a.id = b.application_id
 WHERE b.ended_at IS NULL AND b.until > now() ORDER BY b.since, b.lane, b.provider
"""

# One that holds is not moved on: it ends when it was said to, and what is counted meanwhile is old mail's.
_TRIP: Final = """
INSERT INTO breakers AS b (application_id, lane, provider, since, until, reason, by)
VALUES (%(application)s, %(lane)s, %(provider)s, now(), now() + %(lasting)s, %(reason)s, %(by)s)
ON CONFLICT (application_id, lane, provider) DO UPDATE
   SET since = now(), until = excluded.until, ended_at = NULL, ended_by = '', reason = excluded.reason, by = excluded.by
 WHERE %(again)s OR b.ended_at IS NOT NULL OR b.until <= now()
"""

Key = tuple[UUID, str, str]
"""Application, lane, provider."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker that holds."""

    application_id: UUID
    application: str
    lane: str
    provider: str
    since: datetime
    until: datetime
    reason: str
    by: str

    @property
    def id(self) -> str:
        """For lists."""
        return f"{self.application_id}/{self.lane}/{self.provider}"

    @property
    def why(self) -> str:
        """For whoever asks why a mail waits."""
        return f"{self.lane} mail of {self.application} to {self.provider} is stopped: {self.reason}"


async def holding(connection: Connection) -> list[Breaker]:
    """All that hold now."""
    return [Breaker(*row) for row in await (await connection.execute(_OPEN)).fetchall()]


async def trip(connection: Connection, key: Key, hours: float, reason: str, by: str, *, again: bool = False) -> bool:
    """Stop a stream. False when it is stopped already; `again` sets its end and reason anew then. Raises Refused."""
    if not 0 < hours <= LONGEST / timedelta(hours=1):  # before a timedelta is made: there is none of NaN
        raise invalid("hours", f"it must be more than 0 and at most {LONGEST // timedelta(hours=1):,}")
    application, lane, provider = key
    names = {"application": application, "lane": lane, "provider": provider}
    cursor = await connection.execute(
        _TRIP, names | {"lasting": timedelta(hours=hours), "reason": reason[:1000], "by": by, "again": again}
    )
    return cursor.rowcount == 1


async def finish(connection: Connection, key: Key, by: str) -> None:
    """Let a stream go on; its mail is `messages/stopped`'s. Raises Refused."""
    cursor = await connection.execute(
        "UPDATE breakers SET ended_at = now(), ended_by = %s"
        " WHERE application_id = %s AND lane = %s AND provider = %s AND ended_at IS NULL AND until > now()",
        [by, *key],
    )
    if cursor.rowcount == 0:
        raise conflict("no such stream is stopped", "`postlane alarms breakers` lists those that are.")


async def ended_since(connection: Connection, days: int = KEPT_DAYS) -> dict[Key, datetime]:
    """When breakers ended that do not hold any more."""
    cursor = await connection.execute(
        "SELECT application_id, lane, provider, least(coalesce(ended_at, until), until) FROM breakers"
        " WHERE (ended_at IS NOT NULL OR until <= now()) AND until > now() - make_interval(days => %s)",
        [days],
    )
    return {(application, lane, provider): at for application, lane, provider, at in await cursor.fetchall()}


async def over(connection: Connection) -> list[Key]:
    """Breakers that do not hold any more and are not forgotten yet."""
    cursor = await connection.execute(f"SELECT application_id, lane, provider FROM breakers WHERE {_OVER}")
    return [(application, lane, provider) for application, lane, provider in await cursor.fetchall()]


async def forget(connection: Connection) -> None:
    """Retention: breakers that are long over."""
    await connection.execute("DELETE FROM breakers WHERE until < now() - make_interval(days => %s)", [KEPT_DAYS])


class BreakerBook:
    """What one worker process knows of breakers. Everything but `start` and `stop` returns at once."""

    def __init__(self, database: Database, reread_seconds: float = REREAD_SECONDS) -> None:
        self._database = database
        self._reread_seconds = reread_seconds
        self._known: Mapping[Key, Breaker] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read, and go on reading. With PostgreSQL away it starts empty: nothing can be claimed then either."""
        await self._read()
        self._task = asyncio.create_task(self._read_forever(), name="breakers")

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            await end_tasks([self._task])

    def stopped(self, application_id: UUID, lane: str, provider: str, now: datetime) -> Breaker | None:
        """The breaker that forbids this mail now."""
        if not self._known:
            return None
        found = self._known.get((application_id, lane, provider))
        return found if found is not None and found.until > now else None

    def trouble(self) -> str:
        """What is wrong, "" when nothing is. For `/healthz`."""
        return "the reading of breakers has stopped" if self._task is not None and self._task.done() else ""

    async def _read_forever(self) -> None:
        while True:
            await asyncio.sleep(self._reread_seconds)
            await self._read()

    async def _read(self) -> None:
        try:
            async with self._database.connection() as connection:
                found = await holding(connection)
        except DatabaseUnavailableError as error:
            _log.warning("breakers_not_read", error=str(error))
        except Exception as error:
            # Without this task a stopped stream would go on here, and one that may go on would stay stopped.
            _log.error("breakers_not_read", exc_info=error)
        else:
            self._known = {(one.application_id, one.lane, one.provider): one for one in found}
