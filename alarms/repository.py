"""Alarms: what a person has to look at, kept until it is over, with its story.

One alarm per kind and subject is open at a time; when the same thing happens again its count and last time move on,
instead of a second one. Raised by whoever sees the trouble, within the transaction that writes down what it saw, and
cleared by whoever sees it gone. Every function works on the caller's connection and never commits.

Never tells anybody by itself: each change is written down, and a duty of the background worker tells of those that were
not told yet (`alarms/telling`).
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from alarms.model import Alarm, AlarmChange, AlarmKind, Change, Finding, Severity
from core.ids import uuid7
from core.refusal import Refused, invalid
from store.database import Connection
from store.partitions import STORY_DAYS

DETAIL_LENGTH: Final = 1000
"""Characters of a detail that are kept."""

LONGEST_SNOOZE: Final = timedelta(days=90)

_COLUMNS: Final = (
    "id, kind, subject, detail, raised_at, last_at, count, severity, acknowledged_at, acknowledged_by, snoozed_until,"
    " cleared_at"
)

_INSERT = """
INSERT INTO alarms AS a (id, kind, subject, detail, severity) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
DO UPDATE SET count = a.count + %s, last_at = now(), detail = excluded.detail
RETURNING id, severity, id = %s
"""

_CHANGED = "INSERT INTO alarm_changes (alarm_id, change, severity, detail, by) VALUES (%s, %s, %s, %s, %s)"

_CLEAR = """
WITH cleared AS (
  UPDATE alarms SET cleared_at = now() WHERE {which} AND cleared_at IS NULL RETURNING id, severity, detail
)
INSERT INTO alarm_changes (alarm_id, change, severity, detail, by)
SELECT id, 'cleared', severity, detail, %(by)s FROM cleared
"""
_CLEAR_ONE: Final = _CLEAR.format(which="kind = ANY(%(kinds)s) AND subject = %(who)s")
_CLEAR_ABOUT: Final = _CLEAR.format(
    which="kind = ANY(%(kinds)s) AND (subject = %(who)s OR starts_with(subject, %(who)s || ' '))"
)
_CLEAR_OTHERS: Final = _CLEAR.format(which="kind = %(kind)s AND NOT subject = ANY(%(kept)s)")
_CLEAR_ID: Final = _CLEAR.format(which="id = %(id)s")


async def raise_alarm(
    connection: Connection, kind: AlarmKind, subject: str, detail: str, severity: Severity = Severity.WARNING
) -> bool:
    """Open an alarm, or move the open one on. True when it was opened now."""
    return await _raise(connection, kind, Finding(subject, severity, detail), more=1)


async def settle(connection: Connection, kind: AlarmKind, findings: Sequence[Finding]) -> None:
    """What a judge found of one kind: these alarms are open from now on, and no others. That it still is so counts as
    nothing new."""
    for finding in findings:
        await _raise(connection, kind, finding, more=0)
    kept = {"kind": kind.value, "kept": [finding.subject for finding in findings], "by": ""}
    await connection.execute(_CLEAR_OTHERS, kept)


async def _raise(connection: Connection, kind: AlarmKind, finding: Finding, more: int) -> bool:
    text, fresh = finding.detail.replace("\x00", "")[:DETAIL_LENGTH], uuid7()
    severity = finding.severity.value
    cursor = await connection.execute(_INSERT, [fresh, kind.value, finding.subject, text, severity, more, fresh])
    row = await cursor.fetchone()
    assert row is not None
    identifier, before, opened = row
    if opened:
        await _changed(connection, identifier, Change.RAISED, severity, text)
    elif before != severity:
        await _set_severity(connection, identifier, finding.severity, text)
    return bool(opened)


async def _set_severity(connection: Connection, identifier: UUID, severity: Severity, detail: str) -> None:
    """What got worse is news again, whoever had acknowledged or snoozed it."""
    worse = severity is Severity.CRITICAL
    silence = ", acknowledged_at = NULL, acknowledged_by = '', snoozed_until = NULL" if worse else ""
    await connection.execute(f"UPDATE alarms SET severity = %s{silence} WHERE id = %s", [severity.value, identifier])
    await _changed(connection, identifier, Change.WORSE if worse else Change.BETTER, severity.value, detail)


async def _changed(
    connection: Connection, identifier: UUID, change: Change, severity: str, detail: str, by: str = ""
) -> None:
    await connection.execute(_CHANGED, [identifier, change.value, severity, detail, by])


async def clear_alarms(connection: Connection, kinds: Collection[AlarmKind], subject: str) -> int:
    """The trouble is over: close the open alarms of these kinds about a subject. Returns how many there were."""
    names = {"kinds": [kind.value for kind in kinds], "who": subject, "by": ""}
    return (await connection.execute(_CLEAR_ONE, names)).rowcount


async def clear_all_about(connection: Connection, kinds: Collection[AlarmKind], who: str) -> int:
    """The same about whatever `who` does anywhere: "203.0.113.5", "203.0.113.5 gmail", "203.0.113.5 at gmail"."""
    names = {"kinds": [kind.value for kind in kinds], "who": who, "by": ""}
    return (await connection.execute(_CLEAR_ABOUT, names)).rowcount


async def open_alarms(connection: Connection) -> list[Alarm]:
    """All open alarms, oldest first."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM alarms WHERE cleared_at IS NULL ORDER BY raised_at, id")
    return [Alarm(*row) for row in await cursor.fetchall()]


async def open_of(connection: Connection, kind: AlarmKind) -> dict[str, Severity]:
    """How bad the open alarms of a kind are, by subject."""
    cursor = await connection.execute(
        "SELECT subject, severity FROM alarms WHERE kind = %s AND cleared_at IS NULL", [kind.value]
    )
    return {subject: Severity(severity) for subject, severity in await cursor.fetchall()}


async def past_alarms(connection: Connection, days: int, limit: int = 1000) -> list[Alarm]:
    """Alarms that are over, the newest first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM alarms WHERE cleared_at > now() - make_interval(days => %s)"
        " ORDER BY cleared_at DESC, id LIMIT %s",
        [days, limit],
    )
    return [Alarm(*row) for row in await cursor.fetchall()]


async def find_alarm(connection: Connection, alarm_id: UUID) -> Alarm:
    """An alarm, open or over. Raises Refused."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM alarms WHERE id = %s", [alarm_id])
    row = await cursor.fetchone()
    if row is None:
        raise Refused("not_found", f"there is no alarm {alarm_id}", hint="`postlane alarms list` shows the open ones.")
    return Alarm(*row)


async def story(connection: Connection, alarm_id: UUID) -> list[AlarmChange]:
    """What happened to an alarm, oldest first."""
    cursor = await connection.execute(
        "SELECT at, change, severity, detail, by FROM alarm_changes WHERE alarm_id = %s ORDER BY id", [alarm_id]
    )
    return [AlarmChange(*row) for row in await cursor.fetchall()]


async def close_alarm(connection: Connection, alarm_id: UUID, by: str = "") -> Alarm:
    """An operator closes an open alarm. Raises Refused."""
    alarm = await _open(connection, alarm_id)
    await connection.execute(_CLEAR_ID, {"id": alarm.id, "by": by})
    return await find_alarm(connection, alarm_id)


async def acknowledge(connection: Connection, alarm_id: UUID, by: str) -> Alarm:
    """Somebody looks after it: it stays open, and is told again only when it gets worse. Raises Refused."""
    alarm = await _open(connection, alarm_id)
    if alarm.acknowledged_at is None:
        await connection.execute(
            "UPDATE alarms SET acknowledged_at = now(), acknowledged_by = %s WHERE id = %s", [by, alarm_id]
        )
        await _changed(connection, alarm_id, Change.ACKNOWLEDGED, alarm.severity, alarm.detail, by)
    return await find_alarm(connection, alarm_id)


async def snooze(connection: Connection, alarm_id: UUID, lasting: timedelta, by: str) -> Alarm:
    """Say nothing about it for so long, unless it gets worse; then it is told of again if it is still open. Raises
    Refused."""
    if not timedelta(0) < lasting <= LONGEST_SNOOZE:
        raise invalid("minutes", f"it must be from 1 to {LONGEST_SNOOZE // timedelta(minutes=1):,}")
    alarm = await _open(connection, alarm_id)
    await connection.execute("UPDATE alarms SET snoozed_until = now() + %s WHERE id = %s", [lasting, alarm_id])
    await _changed(connection, alarm_id, Change.SNOOZED, alarm.severity, alarm.detail, by)
    return await find_alarm(connection, alarm_id)


async def _open(connection: Connection, alarm_id: UUID) -> Alarm:
    alarm = await find_alarm(connection, alarm_id)
    if alarm.cleared_at is not None:
        raise Refused(
            "not_found", f"there is no open alarm {alarm_id}", hint="`postlane alarms list` shows the open ones."
        )
    return alarm


async def wake_snoozed(connection: Connection) -> None:
    """A snooze that is over, of an alarm that is still open, is news."""
    await connection.execute(
        "WITH woken AS (UPDATE alarms SET snoozed_until = NULL WHERE snoozed_until <= now() AND cleared_at IS NULL"
        " RETURNING id, severity, detail)"
        " INSERT INTO alarm_changes (alarm_id, change, severity, detail)"
        " SELECT id, 'raised', severity, detail FROM woken"
    )


async def forget(connection: Connection) -> None:
    """Retention: alarms that have long been over, and what happened to them."""
    await connection.execute("DELETE FROM alarms WHERE cleared_at < now() - make_interval(days => %s)", [STORY_DAYS])
    await connection.execute(
        "DELETE FROM alarm_changes c WHERE at < now() - make_interval(days => %s)"
        " AND NOT EXISTS (SELECT FROM alarms a WHERE a.id = c.alarm_id)",
        [STORY_DAYS],
    )
