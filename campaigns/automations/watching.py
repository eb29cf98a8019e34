"""Automations that do not do what they are for, as alarms: their steps cannot be read, their rule is due and nothing is
made, the last day of a rule failed, mail of theirs has been held up for an hour, or most of their latest runs failed.

Judged anew each time, over those that are enabled: an alarm is over as soon as none of it holds any more, also when
somebody disables or deletes the automation.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from alarms import repository as alarms
from alarms.model import AlarmKind, Finding, Severity
from campaigns.automations import workflow
from campaigns.automations.model import NOBODY, RunState
from core.refusal import Refused
from flags import declared
from store.database import Database

LEAST: Final = 5
"""Runs that have ended, of which half failed: fewer say nothing."""

# Mail that is held up is tried again within minutes, so it stands at the front of the index of what is due.
_ENABLED: Final = f"""
SELECT a.id, a.name, v.steps, CASE WHEN a.next_at < now() - interval '10 minutes' THEN a.next_at END,
       last.state, last.reason, held.n, held.reason, latest.ended, latest.failed, latest.reason,
       a.application_id
  FROM automations a LEFT JOIN automation_versions v ON v.id = a.version_id
  LEFT JOIN LATERAL (
    SELECT state, reason FROM automation_runs WHERE automation_id = a.id AND contact_id = '{NOBODY}'
     ORDER BY id DESC LIMIT 1) last ON a.next_at IS NOT NULL
 CROSS JOIN LATERAL (
    SELECT count(*) AS n, max(h.reason) AS reason FROM (
      SELECT reason FROM automation_runs
       WHERE application_id = a.application_id AND automation_id = a.id AND state = 'running'
         AND due_at < now() + interval '15 minutes' AND held_since < now() - interval '1 hour' LIMIT 1000) h) held
 CROSS JOIN LATERAL (
    SELECT count(*) AS ended, count(*) FILTER (WHERE l.state = 'failed') AS failed,
           max(l.reason) FILTER (WHERE l.state = 'failed') AS reason FROM (
      SELECT state, reason, ended_at FROM automation_runs WHERE automation_id = a.id AND contact_id <> '{NOBODY}'
       ORDER BY id DESC LIMIT 200) l WHERE l.ended_at > now() - interval '1 day') latest
 WHERE a.state = 'enabled' ORDER BY a.id
"""


class Seen(NamedTuple):
    """An automation that is enabled, and what there is to say against it."""

    id: UUID
    name: str
    steps: Any
    overdue: datetime | None
    last: str | None
    """State of the last day of its rule."""
    last_reason: str | None
    held: int
    held_reason: str | None
    ended: int
    failed: int
    failed_reason: str | None
    application_id: UUID | None = None


async def judge(database: Database) -> None:
    """Raise, keep and clear the alarms of all automations."""
    async with database.transaction() as connection:
        rows = await (await connection.execute(_ENABLED)).fetchall()
        await alarms.settle(connection, AlarmKind.AUTOMATION, [one for row in rows for one in findings(Seen(*row))])


def findings(seen: Seen) -> Iterator[Finding]:
    """The alarm about it, or none. Pure."""
    subject = f"{seen.name} {seen.id}"
    if unreadable := _unreadable(seen.steps):
        yield Finding(subject, Severity.CRITICAL, f"its steps cannot be read, so nobody gets anything: {unreadable}")
    elif trouble := _trouble(seen):
        yield Finding(subject, Severity.WARNING, trouble)


def _unreadable(steps: Any) -> str:
    try:
        workflow.from_json(steps, None)
    except Refused as error:
        return str(error)
    return ""


def _trouble(seen: Seen) -> str:
    if seen.overdue is not None and declared.AUTOMATIONS.on(seen.application_id):
        return f"its rule was due on {seen.overdue:%Y-%m-%d %H:%M} UTC, and nothing was made"
    if seen.last == RunState.FAILED:
        return f"its last day failed: {seen.last_reason or 'for no reason that is known'}"
    if seen.held:
        runs = f"{seen.held:,} {'run' if seen.held == 1 else 'runs'}"
        return f"mail of {runs} has been held up for an hour: {seen.held_reason}"
    if seen.ended >= LEAST and 2 * seen.failed >= seen.ended:
        return f"{seen.failed:,} of its latest {seen.ended:,} runs failed, such as: {seen.failed_reason}"
    return ""
