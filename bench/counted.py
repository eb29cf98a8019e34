"""The counters of millions of messages of the last month, made inside PostgreSQL: what reports are answered from.

Acts on a benchmark's own databases only. Lines and totals are those that folding the mail would have left, evenly
spread: every domain sends on both lanes, to every provider, in every hour. Hours of domains, topics and tags by
provider are made for the last day only, days before it: a report reads two rows a line, however many lie between.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bench.rows import Connection
from store.durations import BOUNDS
from store.totals import EVERY_APPLICATION, FEW

_ONCE: Final = [
    ("accepted", ""), ("suppressed", ""), ("expired", ""), ("failed", ""), ("complained", ""), ("unsubscribed", ""),
    ("rerouted", ""), ("late_bounced", "invalid_recipient"),
    *((outcome, part) for outcome in ("opened", "clicked") for part in ("first", "again", "machine")),
    *(("deferred", klass) for klass in ("greylisted", "throttled", "mailbox_full", "other")),
    *(("bounced", klass) for klass in ("invalid_recipient", "mailbox_full", "disabled")),
    *(("blocked", klass) for klass in ("spam_content", "policy", "ip_reputation")),
]  # fmt: skip
_KINDS: Final = [*_ONCE, *(("delivered", f"{bound:g}") for bound in BOUNDS[4:24])]
"""Every outcome that mail usually meets; deliveries took from a tenth of a second to two minutes."""

_ADD_KINDS: Final = "INSERT INTO report_kinds (outcome, part) SELECT * FROM unnest(%s::text[], %s::text[])"

_ADD_LINES: Final = """
INSERT INTO report_lines (by, key, application_id, lane, provider)
SELECT k.by, k.key, a.id, lane, provider
  FROM (SELECT 'application' AS by, '' AS key
        UNION ALL SELECT 'domain', md5('domain' || n)::uuid::text FROM generate_series(1, %(domains)s) n
        UNION ALL SELECT 'topic', md5('topic' || n)::uuid::text FROM generate_series(1, 20) n
        UNION ALL SELECT 'tag', 'campaign=' || n FROM generate_series(1, %(tags)s) n
        UNION ALL SELECT 'pool', md5('pool' || n)::uuid::text FROM generate_series(1, 2) n
        UNION ALL SELECT 'ip', '127.0.1.' || n FROM generate_series(1, 8) n) k
 CROSS JOIN unnest(ARRAY[%(application)s, %(every)s]::uuid[]) a(id)
 CROSS JOIN unnest('{transactional, marketing}'::text[]) lane
 CROSS JOIN unnest('{gmail,microsoft,microsoft365,yahoo,gmx,apple,comcast,orange,other,"",*}'::text[]) p(provider)
 WHERE a.id <> %(every)s OR k.by = ANY(%(few)s)
"""

# What a line has of the messages: all, or those of one domain, topic and so on; of one lane; of one provider.
_ADD_TOTALS: Final = """
WITH hours AS MATERIALIZED (
  SELECT now, date_trunc('day', now, 'UTC') = now AS of_day, now > current_timestamp - interval '1 day' AS recent,
         row_number() OVER (ORDER BY now)::float / count(*) OVER () AS part
    FROM generate_series(date_trunc('hour', current_timestamp) - make_interval(days => %(days)s),
                         date_trunc('hour', current_timestamp) + interval '1 hour', interval '1 hour') now
), sizes AS (
  SELECT by, provider = '*' AS whole, %(messages)s::float / count(DISTINCT key) / 2
         / CASE WHEN provider = '*' THEN 1 ELSE 10 END AS messages
    FROM report_lines GROUP BY by, provider = '*', CASE WHEN provider = '*' THEN 1 ELSE 10 END
), upto AS MATERIALIZED (
  SELECT by, whole, now, of_day, recent,
         (SELECT array_agg((messages * part / (1 + k %% 8))::bigint ORDER BY k)
            FROM generate_series(1, %(kinds)s) k) AS upto
    FROM sizes CROSS JOIN hours
)
INSERT INTO report_totals (line_id, before, upto)
SELECT l.id, u.now, u.upto FROM upto u JOIN report_lines l ON l.by = u.by AND (l.provider = '*') = u.whole
 WHERE u.whole OR u.by = ANY(%(few)s) OR u.of_day OR u.recent
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """Of how many messages the counters are, and of how many domains of one application."""

    messages: int
    domains: int
    application: UUID
    days: int = 31
    tags: int = 100


def fill(connection: Connection, counted: Counted) -> None:
    """Make the counters."""
    connection.execute(_ADD_KINDS, [[outcome for outcome, _ in _KINDS], [part for _, part in _KINDS]])
    named = {"few": list(FEW), "every": EVERY_APPLICATION, "application": counted.application}
    connection.execute(_ADD_LINES, {**named, "domains": counted.domains, "tags": counted.tags})
    connection.execute(_ADD_TOTALS, {**named, "messages": counted.messages, "kinds": len(_KINDS), "days": counted.days})
    connection.execute("VACUUM ANALYZE report_lines, report_totals")
