"""Alarms: what a person has to look at, kept until it is over.

One alarm per kind and subject is open at a time; when the same thing happens again its count and last time move on,
instead of a second one. Raised by whoever sees the trouble, within the transaction that writes down what it saw, and
cleared by whoever sees it gone. Every function works on the caller's connection and never commits.

Never tells anybody by itself: the API, the command line and `/metrics` read them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.ids import uuid7
from store.database import Connection

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


class AlarmKind(StrEnum):
    """What is wrong. The values are stored."""

    BLOCKLISTED = "blocklisted"
    """A provider refused mail because the IP or the sending domain is on a blocklist. Subject: who, and where."""
    LOCAL_ADDRESS = "local_address"
    """One of our addresses cannot be used from here: not on this host, or its proxy is away. Subject: the IP."""
    WARMUP_STALLED = "warmup_stalled"
    """A warm-up has made no progress for days."""
    RULES_FILE = "rules_file"
    """The operator's own reply rules cannot be read; those in force stay."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An open alarm."""

    id: UUID
    kind: str
    """An `AlarmKind`, or one of a newer version."""
    subject: str
    detail: str
    """What was seen last."""
    raised_at: datetime
    last_at: datetime
    count: int


async def raise_alarm(connection: Connection, kind: AlarmKind, subject: str, detail: str) -> bool:
    """Open an alarm, or move the open one on. True when it was opened now."""
    text = detail.replace("\x00", "")[:DETAIL_LENGTH]
    cursor = await connection.execute(_RAISE, [uuid7(), kind.value, subject, text])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def clear(connection: Connection, kinds: Collection[AlarmKind], subject: str) -> int:
    """The trouble is over: close the open alarms of these kinds about a subject. Returns how many there were."""
    cursor = await connection.execute(
        "UPDATE alarms SET cleared_at = now() WHERE kind = ANY(%s) AND subject = %s AND cleared_at IS NULL",
        [[kind.value for kind in kinds], subject],
    )
    return cursor.rowcount


async def open_alarms(connection: Connection) -> list[Alarm]:
    """All open alarms, oldest first."""
    cursor = await connection.execute(_OPEN)
    return [Alarm(*row) for row in await cursor.fetchall()]
