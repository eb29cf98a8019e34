"""What is told of alarms, and when: news gathered into one mail, so that a storm is one mail and not a hundred.

News waits a moment for its like: `GATHER`, or less when it is critical; and there is no second mail within `QUIET`. An
alarm that was raised and cleared in the meantime is told of as that. Somebody who acknowledged or snoozed an alarm is
told again only when it gets worse. Trouble with this mail itself (`alarm_mail`) is never told by mail.

`take` takes news for one teller at a time; what it takes and nobody says was told is taken again after `TAKEN`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from alarms.advice import meaning, what_to_do
from alarms.model import AlarmKind, Change, Severity
from store.database import Connection

GATHER: Final = timedelta(seconds=60)
GATHER_CRITICAL: Final = timedelta(seconds=10)
QUIET: Final = timedelta(minutes=5)
TAKEN: Final = timedelta(minutes=5)
STALE: Final = timedelta(days=2)
"""News that could not be told for so long is none."""
MOST: Final = 500
LISTED: Final = 50

# What nobody wants to hear is marked as told: alarms about this mail, those somebody looks after, their notes.
_NOT_TOLD: Final = """
UPDATE alarm_changes c SET mailed = true FROM alarms a
 WHERE a.id = c.alarm_id AND NOT c.mailed AND (
   a.kind = %(itself)s OR c.change IN ('acknowledged', 'snoozed') OR c.at < now() - %(stale)s
   OR (c.change = 'better') OR (c.change <> 'worse' AND (a.acknowledged_at < c.at OR a.snoozed_until > now())))
"""

_WAITING: Final = """
SELECT c.id, c.alarm_id, c.at, c.change, c.severity, c.detail, c.by, a.kind, a.subject
  FROM alarm_changes c JOIN alarms a ON a.id = c.alarm_id
 WHERE NOT c.{flag} AND (c.taken_until IS NULL OR c.taken_until <= now() OR %(all)s) ORDER BY c.id LIMIT %(most)s
   FOR UPDATE OF c SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class News:
    """One change of an alarm that was not told yet."""

    id: int
    alarm_id: UUID
    at: datetime
    change: str
    severity: str
    detail: str
    by: str
    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail about alarms."""

    subject: str
    text: str


async def to_announce(connection: Connection) -> list[News]:
    """Changes that no webhook was told of, and are told with this transaction."""
    cursor = await connection.execute(_WAITING.format(flag="announced"), {"most": MOST, "all": True})
    news = [News(*row) for row in await cursor.fetchall()]
    await connection.execute("UPDATE alarm_changes SET announced = true WHERE id = ANY(%s)", [[one.id for one in news]])
    return news


async def take(connection: Connection, now: datetime, last_at: datetime | None) -> list[News]:
    """The news of the next mail, taken; [] when it is not yet time."""
    await connection.execute(_NOT_TOLD, {"itself": AlarmKind.ALARM_MAIL.value, "stale": STALE})
    cursor = await connection.execute(_WAITING.format(flag="mailed"), {"most": MOST, "all": False})
    news = [News(*row) for row in await cursor.fetchall()]
    if not due(news, now, last_at):
        return []
    await connection.execute(
        "UPDATE alarm_changes SET taken_until = now() + %s WHERE id = ANY(%s)", [TAKEN, [one.id for one in news]]
    )
    return news


async def told(connection: Connection, news: Sequence[News]) -> None:
    """They were sent."""
    await connection.execute("UPDATE alarm_changes SET mailed = true WHERE id = ANY(%s)", [[one.id for one in news]])


async def given_back(connection: Connection, news: Sequence[News]) -> None:
    """They were not, and may be taken again."""
    await connection.execute(
        "UPDATE alarm_changes SET taken_until = NULL WHERE id = ANY(%s)", [[one.id for one in news]]
    )


async def nobody_told(connection: Connection) -> None:
    """Nobody is told by mail: what happens until somebody is is old by then."""
    await connection.execute("UPDATE alarm_changes SET mailed = true WHERE NOT mailed")


def due(news: Sequence[News], now: datetime, last_at: datetime | None) -> bool:
    """Whether a mail with this news leaves now."""
    if not news:
        return False
    if last_at is not None and now - last_at < QUIET:
        return False
    first = min(one.at for one in news)
    critical = [one.at for one in news if one.severity == Severity.CRITICAL]
    return now - first >= GATHER or (bool(critical) and now - min(critical) >= GATHER_CRITICAL)


def letter(news: Sequence[News], host: str) -> Letter:
    """The mail: each alarm once, the worst first, with what to do."""
    alarms = sorted((_last(group) for group in _by_alarm(news)), key=_order)
    lines = [line for one in alarms[:LISTED] for line in _paragraph(one)]
    if len(alarms) > LISTED:
        lines += [f"… and {len(alarms) - LISTED} more.", ""]
    lines += ["`postlane alarms list` shows what is open.", f"-- \n{host}"]
    return Letter(_subject(alarms, host), "\n".join(lines))


@dataclass(frozen=True, slots=True)
class _Told:
    """The newest change of an alarm, and whether the mail tells of its beginning too."""

    news: News
    short: bool


def _by_alarm(news: Sequence[News]) -> list[list[News]]:
    ordered = sorted(news, key=lambda one: (str(one.alarm_id), one.id))
    return [list(group) for _, group in groupby(ordered, key=lambda one: one.alarm_id)]


def _last(group: list[News]) -> _Told:
    return _Told(group[-1], len(group) > 1 and group[0].change == Change.RAISED and group[-1].change == Change.CLEARED)


def _order(one: _Told) -> tuple[bool, bool, datetime]:
    news = one.news
    return news.change == Change.CLEARED, news.severity != Severity.CRITICAL, news.at


def _subject(alarms: Sequence[_Told], host: str) -> str:
    open_ = [one for one in alarms if one.news.change != Change.CLEARED]
    first = (open_ or alarms)[0].news
    what = f"{first.kind.replace('_', ' ')}: {first.subject}"
    state = "" if open_ else "over: "
    critical = any(one.news.severity == Severity.CRITICAL for one in open_)
    more = f" and {len(alarms) - 1} more" if len(alarms) > 1 else ""
    return f"[{host}] {'CRITICAL ' if critical else ''}{state}{what}{more}"[:200]


def _paragraph(one: _Told) -> list[str]:
    news, head = one.news, f"{one.news.kind.replace('_', ' ')}: {one.news.subject}"
    if news.change == Change.CLEARED:
        by = f" by {news.by}" if news.by else ""
        short = "; it had been raised minutes before" if one.short else ""
        return [f"OVER      {head}", f"          {news.at:%Y-%m-%d %H:%M} UTC{by}{short}", ""]
    mark = "CRITICAL " if news.severity == Severity.CRITICAL else "WARNING  "
    known = [text for text in (meaning(news.kind), what_to_do(news.kind)) if text]
    return [f"{mark} {head}", *(f"          {text}" for text in (news.detail, *known)), ""]
