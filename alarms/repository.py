"""Alarms: what a person has to look at, kept until it is over.

One alarm per kind and subject is open at a time; when the same thing happens again its count and last time move on,
instead of a second one. Raised by whoever sees the trouble, within the transaction that writes down what it saw, and
cleared by whoever sees it gone. Every function works on the caller's connection and never commits.

Never tells anybody by itself: the API, the command line and `/metrics` read them.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from alarms.model import Alarm, AlarmKind
from core.ids import uuid7
from core.refusal import Refused
from store.database import Connection
from store.partitions import STORY_DAYS

DETAIL_LENGTH: Final = 1000
"""Characters of a detail that are kept."""

_RAISE = """
INSERT INTO alarms AS a (id, kind, subject, detail) VALUES (%s, %s, %s, %s)
ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
DO UPDATE SET count = a.count + 1, last_at = now(), detail = excluded.detail
RETURNING count = 1
"""

_OPEN = """
SELECT id, kind, subject, detail, raised_at, last_at, count FROM alarms WHERE cleared_at IS NULL ORDER BY raised_at, id
"""


async def raise_alarm(connection: Connection, kind: AlarmKind, subject: str, detail: str) -> bool:
    """Open an alarm, or move the open one on. True when it was opened now."""
    text = detail.replace("\x00", "")[:DETAIL_LENGTH]
    cursor = await connection.execute(_RAISE, [uuid7(), kind.value, subject, text])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def clear_alarms(connection: Connection, kinds: Collection[AlarmKind], subject: str) -> int:
    """The trouble is over: close the open alarms of these kinds about a subject. Returns how many there were."""
    cursor = await connection.execute(
        "UPDATE alarms SET cleared_at = now() WHERE kind = ANY(%s) AND subject = %s AND cleared_at IS NULL",
        [[kind.value for kind in kinds], subject],
    )
    return cursor.rowcount


async def clear_all_about(connection: Connection, kinds: Collection[AlarmKind], who: str) -> int:
    """The same about whatever `who` does anywhere: "203.0.113.5", "203.0.113.5 gmail", "203.0.113.5 at gmail"."""
    cursor = await connection.execute(
        "UPDATE alarms SET cleared_at = now()"
        " WHERE kind = ANY(%s) AND (subject = %s OR starts_with(subject, %s)) AND cleared_at IS NULL",
        [[kind.value for kind in kinds], who, f"{who} "],
    )
    return cursor.rowcount


async def open_alarms(connection: Connection) -> list[Alarm]:
    """All open alarms, oldest first."""
    cursor = await connection.execute(_OPEN)
    return [Alarm(*row) for row in await cursor.fetchall()]


async def close_alarm(connection: Connection, alarm_id: UUID) -> Alarm:
    """An operator closes an open alarm. Raises Refused."""
    for alarm in await open_alarms(connection):
        if alarm.id == alarm_id:
            await clear_alarms(connection, (AlarmKind(alarm.kind),), alarm.subject)
            return alarm
    raise Refused("not_found", f"there is no open alarm {alarm_id}", hint="`postlane alarms list` shows the open ones.")


async def forget(connection: Connection) -> None:
    """Retention: alarms that have long been over."""
    await connection.execute("DELETE FROM alarms WHERE cleared_at < now() - make_interval(days => %s)", [STORY_DAYS])
