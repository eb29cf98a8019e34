"""What the judges look at: figures of the last hours, the queue, rests, records, certificates, seeds. Reads only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from alarms.breakers import Key
from alarms.judging import Counts, PoolRest, Shares, Stream
from alarms.model import Finding, Severity
from core.queues import Lane
from store.database import Connection
from store.probing import probing

# By hour, so that what was counted before a breaker ended can be left out.
_COUNTS: Final = """
SELECT s.application_id, coalesce(a.name, s.application_id::text), s.lane, s.provider, h.hour, s.outcome,
       sum(h.n)::bigint
  FROM report_series s JOIN report_hours h ON h.series_id = s.id LEFT JOIN applications a ON a.id = s.application_id
 WHERE s.by = 'application' AND s.provider <> '' AND h.hour >= %(since)s
   AND s.outcome IN ('delivered', 'bounced', 'late_bounced', 'blocked', 'complained')
 GROUP BY 1, 2, 3, 4, 5, 6
"""

# A topic where mail has one, else its stream: each mail is of one type.
_SHARES: Final = """
SELECT s.by, coalesce(a.name, s.application_id::text), s.key, s.lane, s.provider,
       coalesce(sum(h.n) FILTER (WHERE h.hour >= %(since)s AND s.outcome = 'delivered'), 0)::bigint,
       coalesce(sum(h.n) FILTER (WHERE h.hour >= %(since)s), 0)::bigint,
       coalesce(sum(h.n) FILTER (WHERE h.hour < %(since)s AND s.outcome = 'delivered'), 0)::bigint,
       coalesce(sum(h.n) FILTER (WHERE h.hour < %(since)s), 0)::bigint
  FROM report_series s JOIN report_hours h ON h.series_id = s.id LEFT JOIN applications a ON a.id = s.application_id
 WHERE s.by IN ('application', 'topic') AND s.provider <> '' AND h.hour >= %(line)s
   AND s.outcome IN ('delivered', 'bounced', 'blocked', 'deferred')
 GROUP BY 1, 2, 3, 4, 5
"""

# One probe of the index per destination, as the due scan does. What a worker holds is not due.
OVERDUE: Final = """
WITH RECURSIVE walk AS (
  (SELECT destination, due_at FROM delivery_queue WHERE lane = %(lane)s ORDER BY destination, due_at LIMIT 1)
  UNION ALL
  SELECT next.destination, next.due_at FROM walk, LATERAL (
    SELECT destination, due_at FROM delivery_queue q
     WHERE q.lane = %(lane)s AND q.destination > walk.destination ORDER BY destination, due_at LIMIT 1) next
)
SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 FROM walk
"""

_RESTING: Final = """
SELECT t.subject || CASE t.site WHEN '*' THEN '' ELSE ' at ' || t.site END,
       coalesce((SELECT max(c.at) FROM throttle_changes c WHERE c.kind = t.kind AND c.subject = t.subject
                  AND c.site = t.site AND c.was = 'healthy'), t.since), t.rule || ': ' || t.reply
  FROM throttles t WHERE t.kind = 'ip' AND t.state IN ('throttled', 'probing') AND t.rule <> 'operator'
"""

# What is being tried again still rests: who asks every minute would else see the pool well each time one IP tries. IPs
# that are paused carry nothing in any case. What an operator put to rest is no alarm by itself.
_POOLS_RESTING: Final = """
WITH resting AS MATERIALIZED (SELECT subject, site, since, rest_until, rule, reply FROM throttles
                               WHERE kind = 'ip' AND state IN ('throttled', 'probing'))
SELECT p.name || CASE s.site WHEN '*' THEN '' ELSE ' at ' || s.site END, count(*), max(r.since), min(r.until)
  FROM (SELECT DISTINCT site FROM resting WHERE rule <> 'operator') s
 CROSS JOIN pools p JOIN pool_ips m ON m.pool_id = p.id AND m.weight > 0
  JOIN egress_ips i ON i.id = m.egress_ip_id AND i.active AND coalesce(i.paused_reason, '') = ''
  LEFT JOIN LATERAL (SELECT min(since) AS since, max(rest_until) AS until FROM resting
                      WHERE subject = i.address AND site IN (s.site, '*')) r ON true
 GROUP BY p.id, p.name, s.site HAVING count(*) = count(r.since)
"""

_DOMAINS: Final = """
SELECT d.name, a.name, d.status, d.record_status FROM domains d JOIN applications a ON a.id = d.application_id
 WHERE d.status IN ('verified', 'temporary_failure') ORDER BY d.name
"""

_RECOMMENDED: Final = {"dmarc", "dkim_ed25519"}
"""Records that sending does not wait for."""

_LATE: Final = {"late_bounced": ("hard_bounced", "late_bounced"), "bounced": ("hard_bounced",)}


async def counts(
    connection: Connection, hours: float, ended: Mapping[Key, datetime] | None = None, *, by_provider: bool
) -> list[Counts]:
    """What happened in the last hours to each stream, at each provider or at all. What was counted up to the hour in
    which its breaker ended is left out."""
    since = datetime.now(UTC) - timedelta(hours=hours)
    found: dict[tuple[Any, ...], Counts] = {}
    cursor = await connection.execute(_COUNTS, {"since": since})
    for application_id, name, lane, provider, hour, outcome, n in await cursor.fetchall():
        over = (ended or {}).get((application_id, lane, provider))
        if over is not None and hour <= over:
            continue
        stream = Stream(application_id, name, lane, provider if by_provider else "")
        key = (application_id, lane, stream.provider)
        before = found.get(key) or Counts(stream)
        fields = _LATE.get(outcome, (outcome,))
        found[key] = replace(before, **{field: getattr(before, field) + n for field in fields})
    return list(found.values())


async def shares(connection: Connection, hours: float, topics: Mapping[str, str]) -> list[Shares]:
    """Delivered shares of types of mail. `topics`: their names by id."""
    since = (datetime.now(UTC) - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
    cursor = await connection.execute(_SHARES, {"since": since, "line": since - timedelta(days=7)})
    return [
        Shares(_type(by, application, topics.get(key, key), lane, provider), *figures)
        for by, application, key, lane, provider, *figures in await cursor.fetchall()
    ]


def _type(by: str, application: str, topic: str, lane: str, provider: str) -> str:
    what = f"{topic!r} mail" if by == "topic" else f"{lane} mail"
    return f"{what} of {application} to {provider}"


async def overdue(connection: Connection) -> dict[str, float]:
    """Seconds that the oldest due mail of each lane waits."""
    found = {}
    async with probing(connection):
        for lane in Lane:
            row = await (await connection.execute(OVERDUE, {"lane": lane.value})).fetchone()
            found[lane.value] = max(0.0, float(row[0])) if row else 0.0
    return found


async def resting(connection: Connection) -> dict[str, tuple[datetime, str]]:
    """Since when an IP has not been healthy somewhere, and why."""
    cursor = await connection.execute(_RESTING)
    return {subject: (since, why) for subject, since, why in await cursor.fetchall()}


async def pools_resting(connection: Connection) -> dict[str, PoolRest]:
    """Pools of which no IP may send at a provider."""
    cursor = await connection.execute(_POOLS_RESTING)
    return {subject: PoolRest(*rest) for subject, *rest in await cursor.fetchall()}


async def lost_domains(connection: Connection) -> tuple[list[Finding], list[Finding]]:
    """Domains that may not send any more; and records of domains that still send."""
    lost, broken = [], []
    for name, application, status, records in await (await connection.execute(_DOMAINS)).fetchall():
        subject = f"{name} of {application}"
        wrong = sorted(
            kind for kind, one in records.items()
            if kind not in _RECOMMENDED and one.get("status") in ("failed", "pending")
        )  # fmt: skip
        if status == "temporary_failure":
            lost.append(Finding(subject, Severity.CRITICAL, f"gone: {', '.join(wrong) or 'its records'}"))
        elif wrong:
            broken.append(Finding(subject, Severity.WARNING, f"not there or not right: {', '.join(wrong)}"))
    return lost, broken


def certificate_ends(folder: Path) -> dict[str, datetime]:
    """When the certificates of our listeners end. What cannot be read is told by whoever starts with it."""
    ends = {}
    for file in sorted(folder.glob("*.pem")):
        try:
            ends[str(file)] = x509.load_pem_x509_certificate(_certificate(file.read_bytes())).not_valid_after_utc
        except (OSError, ValueError):
            continue
    return ends


def _certificate(pem: bytes) -> bytes:
    """From the first certificate on: a key may stand before it."""
    return pem[max(0, pem.find(b"-----BEGIN CERTIFICATE")) :]


async def topic_names(connection: Connection) -> dict[str, str]:
    """Names of topics by id."""
    return dict(await (await connection.execute("SELECT id::text, name FROM topics")).fetchall())
