"""Evidence for `pools/reputation` and `pools/advice` from the hourly counters, and figures of others that were posted.

Reads `outcome_counts`, `throttle_changes` and the figures of reports, reads and writes `reputation_imports`. The
counters are small (a few rows an hour for each IP and provider), and no row of mail is counted.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from core.refusal import invalid
from pools.advice import Volume
from pools.reputation import Evidence
from store import figures
from store.database import Connection
from store.figures import Question

MOST_DAYS: Final = 90
"""Counters are kept as long as events, which is 90 days unless set otherwise."""
LONGEST_NOTE: Final = 500
_MOST_STREAMS: Final = 100_000
"""Applications times lanes times providers."""

_SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

GRADES: Final = {
    "green": 100.0, "yellow": 50.0, "red": 0.0, "high": 100.0, "medium": 66.0, "low": 33.0, "bad": 0.0,
}  # fmt: skip
"""Words of SNDS (colours) and Google Postmaster Tools (grades) as figures from 0 to 100."""

_EVIDENCE: Final = """
SELECT provider,
       coalesce(sum(n) FILTER (WHERE outcome = 'delivered'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE outcome = 'bounced'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE outcome = 'blocked'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE outcome = 'deferred'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE outcome = 'complained'), 0)::bigint
  FROM outcome_counts WHERE ip = %(ip)s AND provider <> '' AND hour > now() - make_interval(days => %(days)s)
 GROUP BY provider ORDER BY sum(n) DESC, provider
"""

_THROTTLED_DAYS: Final = """
SELECT CASE WHEN site LIKE 'mx:%%' THEN 'other' ELSE site END, count(DISTINCT at::date) FROM throttle_changes
 WHERE kind = 'ip' AND subject = %(ip)s AND site <> '*' AND became = 'throttled' AND rule <> 'operator'
   AND at > now() - make_interval(days => %(days)s)
 GROUP BY 1
"""

_VOLUMES: Final = """
SELECT ip, provider, (hour AT TIME ZONE 'UTC')::date, sum(n)::bigint FROM outcome_counts
 WHERE ip <> '' AND outcome IN ('delivered', 'bounced', 'blocked')
   AND hour >= date_trunc('day', now()) - make_interval(days => %s)
 GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """A figure somebody else gives to one of our IPs."""

    ip: str
    provider: str
    """A provider, or `*` for a figure that is not about one."""
    source: str
    figure: float
    """0 (worst) to 100."""
    note: str
    at: datetime


async def evidence(connection: Connection, ip: str, days: int) -> dict[str, Evidence]:
    """What happened to the mail of an IP in the last days, by provider, most mail first."""
    values = {"ip": ip, "days": days}
    cursor = await connection.execute(_THROTTLED_DAYS, values)
    throttled: dict[str, int] = dict(await cursor.fetchall())
    engagement = await _engagement(connection, ip, days)
    cursor = await connection.execute(_EVIDENCE, values)
    found = {}
    for provider, delivered, bounced, blocked, deferred, complained in await cursor.fetchall():
        rested, (tracked, engaged) = throttled.pop(provider, 0), engagement.get(provider, (0, 0))
        found[provider] = Evidence(days, delivered, bounced, blocked, deferred, complained, rested, tracked, engaged)
    return found | {provider: Evidence(days, throttled_days=n) for provider, n in throttled.items()}


async def _engagement(connection: Connection, ip: str, days: int) -> dict[str, tuple[int, int]]:
    """How many mails of streams that are tracked were delivered to each provider, and opened or clicked there. Who
    clicks has mostly opened too, and counts once."""
    now = datetime.now(UTC)
    asked = Question(
        now - timedelta(days=days), now, group=("application", "stream", "provider"), by="ip", keys=(ip,), now=now
    )
    found: dict[str, tuple[int, int]] = {}
    for row in (await figures.ask_page(connection, asked, _MOST_STREAMS)).rows:
        counts = row.tally.measures()
        if row.tally.sum("opened", "clicked"):
            tracked, engaged = found.get(row.keys[-1], (0, 0))
            engaged += min(counts["delivered"], max(counts["unique_opened"], counts["unique_clicked"]))
            found[row.keys[-1]] = tracked + counts["delivered"], engaged
    return found


async def volumes(connection: Connection, days: int) -> list[Volume]:
    """Mails by IP, provider and day: the whole days before today, and today so far."""
    cursor = await connection.execute(_VOLUMES, [days])
    return [Volume(*row) for row in await cursor.fetchall()]


async def add_import(connection: Connection, wanted: Imported) -> Imported:
    """Keep a figure. The same source at the same time again replaces it. Raises Refused naming the field."""
    if not _SOURCE.fullmatch(wanted.source):
        raise invalid("source", "it must be a short name such as sender_score, snds or postmaster")
    if not (math.isfinite(wanted.figure) and 0 <= wanted.figure <= 100):
        raise invalid("figure", f"it must be a number from 0 (worst) to 100, or one of {', '.join(GRADES)}")
    if len(wanted.note) > LONGEST_NOTE or (wanted.note and not wanted.note.isprintable()):
        raise invalid("note", f"it must hold at most {LONGEST_NOTE} printable characters")
    await connection.execute(
        "INSERT INTO reputation_imports (ip, provider, source, figure, note, at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (ip, provider, source, at) DO UPDATE SET figure = excluded.figure, note = excluded.note",
        [wanted.ip, wanted.provider, wanted.source, wanted.figure, wanted.note, wanted.at],
    )
    return wanted


async def latest_imports(connection: Connection, ip: str) -> list[Imported]:
    """The newest figure of each source and provider for an IP."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (provider, source) ip, provider, source, figure, note, at FROM reputation_imports"
        " WHERE ip = %s ORDER BY provider, source, at DESC",
        [ip],
    )
    return [Imported(*row) for row in await cursor.fetchall()]
