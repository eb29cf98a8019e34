"""What an installation that has sent millions of messages holds beside them: campaigns, domains, histories, logs.

Acts on a benchmark's own databases only. What is few the product's own services make; what grows with the mail is made
inside PostgreSQL, as large as a month of it leaves behind. `fill` comes before the messages, which name its campaign.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from accounts import repository as accounts
from audience import properties, segments
from audience.properties import PropertyType
from bench.campaign_mail import words
from bench.databases import BenchDatabase
from campaigns import steering
from campaigns.model import Draft
from core.secrets import InstanceSecret
from store.database import Connection, Database
from warmup import repository as warmup
from warmup.presets import preset
from webhooks import endpoints

FILTER: Final = 'city = "Berlin" and points > 500 and not plan = "free"'
BENCH_IPS: Final = ("127.0.1.1", "127.0.1.4")
"""One warms up, one rests."""

# Ids that the counters of `bench/counted` are of, so that reports name what they are by.
_DOMAINS: Final = """
INSERT INTO domains (id, application_id, name, return_path_domain, status)
SELECT md5('domain' || n)::uuid, %(application)s, 'brand' || n || '.example', 'bounce.brand' || n || '.example',
       'verified' FROM generate_series(1, %(domains)s) n
"""
_TOPICS: Final = """
INSERT INTO topics (id, application_id, name, default_subscription, visibility, lane)
SELECT md5('topic' || n)::uuid, %(application)s, 'Topic ' || n, 'opt_in', 'public', 'marketing'
  FROM generate_series(1, 20) n
"""
_CAMPAIGNS: Final = """
WITH made AS (
  INSERT INTO campaigns (id, application_id, name, state, sender, subject, segment_id, started_at, ended_at, created_at)
  SELECT uuidv7(-make_interval(hours => n)), %(application)s, 'Campaign ' || n,
         CASE WHEN n = 1 THEN 'paused' WHEN n %% 40 = 0 THEN 'cancelled' ELSE 'finished' END,
         'Bench <news@bench.example>', 'News of week ' || n, %(segment)s, now() - make_interval(hours => n), now(),
         now() - make_interval(hours => n)
    FROM generate_series(1, 400) n RETURNING id)
INSERT INTO campaign_tallies (campaign_id, state, n)
SELECT id, s.state, s.n
  FROM made, (VALUES ('delivered', 9700), ('bounced', 200), ('suppressed', 100), ('opened', 2400), ('clicked', 300))
             s(state, n)
"""
_LINKS: Final = """
INSERT INTO campaign_links (campaign_id, number, url)
SELECT %(campaign)s, n, 'https://shop.bench.example/article/' || n FROM generate_series(1, 5) n
"""
_INBOUND: Final = """
INSERT INTO inbound_mail (id, received_at, envelope_to, mail_from, peer, author, subject, raw, result, kind, detail)
SELECT uuidv7(-(%(count)s - n) * interval '7 days' / %(count)s),
       now() - (%(count)s - n) * interval '7 days' / %(count)s,
       'bounce+' || md5('b' || n) || '@bounce.bench.example', '', '127.0.0.1', 'mailer-daemon@mx.bench.sim',
       'Undelivered Mail Returned to Sender', convert_to('Subject: Undelivered' || repeat(' x', 400), 'UTF8'),
       CASE WHEN n %% 100 = 0 THEN 'unplaced' WHEN n %% 20 = 0 THEN 'complained' ELSE 'bounced' END, 'bounce', ''
  FROM generate_series(1, %(count)s) n
"""
_REQUESTS: Final = """
INSERT INTO request_log (id, created_at, application_id, key_id, test, method, path, status, milliseconds, user_agent,
                         error, stands_for, request_body, response_body)
SELECT uuidv7(-(%(count)s - n) * interval '3 days' / %(count)s),
       now() - (%(count)s - n) * interval '3 days' / %(count)s,
       %(application)s, %(application)s, false, CASE n %% 3 WHEN 0 THEN 'GET' ELSE 'POST' END,
       CASE n %% 3 WHEN 0 THEN '/emails/' || n WHEN 1 THEN '/emails/batch' ELSE '/emails' END,
       CASE WHEN n %% 500 = 0 THEN 422 ELSE 200 END, 3.2, 'resend-node:6.0.0', CASE WHEN n %% 500 = 0
       THEN 'validation_error' ELSE '' END, 1, '{"to": "…"}', '{"id": "…"}'
  FROM generate_series(1, %(count)s) n
"""
_AUDIT: Final = """
INSERT INTO audit_log (id, at, actor, door, action, subject_kind, subject, before, after)
SELECT uuidv7(-(%(count)s - n) * interval '400 days' / %(count)s),
       now() - (%(count)s - n) * interval '400 days' / %(count)s,
       CASE WHEN n = 77 THEN 'mallory@bench.example' ELSE 'ada@bench.example' END, 'console', 'campaign.update',
       'campaign', %(campaign)s::text, '{"subject": "Before"}', '{"subject": "After"}'
  FROM generate_series(1, %(count)s) n
"""
_WEBHOOKS: Final = """
WITH told AS (
  INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, payload, state, tries)
  SELECT %(endpoint)s, uuidv7(-(%(count)s - n) * interval '30 days' / %(count)s), 'email.delivered',
         now() - (%(count)s - n) * interval '30 days' / %(count)s, md5('e' || n), '{"type": "email.delivered"}',
         CASE WHEN n %% 1000 = 0 THEN 'failed' ELSE 'success' END, 1
    FROM generate_series(1, %(count)s) n RETURNING id, created_at)
INSERT INTO webhook_attempts (endpoint_id, event_id, id, sent_at, url, status, response, error, duration_ms)
SELECT %(endpoint)s, id, uuidv7(), created_at, 'https://hooks.bench.example/', 200, 'ok', '', 40 FROM told
"""
_CAUGHT: Final = """
INSERT INTO captured_mails (id, application_id, email_id, position, mail_from, rcpt_to, size, raw)
SELECT uuidv7(), %(application)s, uuidv7(), 0, 'news@bench.example', 'test' || n || '@bench.example', 2000,
       convert_to('Subject: Caught' || repeat(' x', 900), 'UTF8') FROM generate_series(1, least(%(count)s, 20000)) n
"""
_RESTED: Final = """
INSERT INTO throttle_changes (id, at, kind, subject, site, was, became, reason, rule, reply)
SELECT uuidv7(-(%(count)s - n) * interval '30 days' / %(count)s),
       now() - (%(count)s - n) * interval '30 days' / %(count)s,
       'ip', '127.0.1.' || 1 + n %% 6, (ARRAY['gmail', 'microsoft', 'yahoo'])[1 + n %% 3], 'healthy', 'throttled',
       'asked for less', 'gmail-rate', '421 4.7.28 Gmail has detected an unusual rate of mail'
  FROM generate_series(1, %(count)s) n
"""
_RESTS: Final = """
INSERT INTO throttles (kind, subject, site, state, since, rest_until, rate, rule, class, reply, stepped_at)
VALUES ('ip', '127.0.1.4', 'gmail', 'throttled', now(), now() + interval '1 hour', 1, 'gmail-rate', 'rate_limited',
        '421 4.7.28 Gmail has detected an unusual rate of mail', now())
"""
_ALARMS: Final = """
WITH raised AS (
  INSERT INTO alarms (id, kind, subject, detail, raised_at, last_at, cleared_at)
  SELECT uuidv7(-make_interval(mins => n)), 'ip_resting', '127.0.1.4 gmail', 'It rests for hours.',
         now() - make_interval(mins => n), now() - make_interval(mins => n),
         CASE WHEN n > 1 THEN now() - make_interval(mins => n) + interval '1 minute' END
    FROM generate_series(1, 5000) n RETURNING id, severity, detail)
INSERT INTO alarm_changes (alarm_id, change, severity, detail, announced, mailed)
SELECT id, 'raised', severity, detail, true, true FROM raised
"""
_HISTORY: Final = """
INSERT INTO contact_history (application_id, contact_id, what, source, actor)
SELECT application_id, id, 'created', 'import', 'bench' FROM contacts
"""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is to be asked about by its id."""

    application: UUID
    segment: UUID
    """A list of everybody."""
    filtered: UUID
    campaign: UUID
    """The large one."""
    webhook: UUID
    small: UUID
    """The application with few messages."""


async def make(pool: Database, application: UUID, secret: str) -> Beside:
    """What services make: segments, the campaign, a webhook, a warm-up."""
    async with pool.transaction() as connection:
        for key, kind in (
            ("city", PropertyType.STRING),
            ("plan", PropertyType.STRING),
            ("points", PropertyType.NUMBER),
        ):
            await properties.create(connection, application, key, kind)
        everybody = await segments.create(connection, application, "everybody")
        filtered = await segments.create(connection, application, "filtered", FILTER)
        draft = Draft(words(), "Spring", everybody.id, open_tracking=True, click_tracking=True)
        campaign = await steering.create(connection, application, draft)
        own = InstanceSecret.from_text(secret)
        hook, _ = await endpoints.create(connection, own, application, "https://hooks.bench.example/", None)
        await warmup.start(connection, BENCH_IPS[0], preset("stages-29", target=100_000), by="bench")
        small = await _small(connection)
    return Beside(application, everybody.id, filtered.id, campaign.id, hook.id, small)


async def _small(connection: Connection) -> UUID:
    made = await accounts.create_application(connection, "small")
    assert made is not None, "the template has no such application"
    return made.id


def fill(database: BenchDatabase, beside: Beside, messages: int, domains: int) -> None:
    """Everything else, as much of it as so many messages leave."""
    names = {
        "application": database.rows.application, "campaign": beside.campaign, "segment": beside.segment,
        "endpoint": beside.webhook, "domains": domains, "count": max(1000, messages // 100),
    }  # fmt: skip
    with database.connect() as connection:
        for statement in (
            _DOMAINS, _TOPICS, _CAMPAIGNS, _LINKS, _INBOUND, _REQUESTS, _AUDIT, _WEBHOOKS, _CAUGHT, _RESTED, _RESTS,
            _ALARMS, _HISTORY,
        ):  # fmt: skip
            connection.execute(statement, names)


def finish(database: BenchDatabase, campaign: UUID) -> None:
    """The large campaign is over; its tallies are what its rows say."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE campaigns SET state = 'finished', fixed_at = now(), started_at = now() - interval '30 days',"
            " ended_at = now() WHERE id = %s",
            [campaign],
        )
        connection.execute(
            "INSERT INTO campaign_tallies (campaign_id, state, n) SELECT %(one)s, state, count(*)"
            "  FROM campaign_recipients WHERE campaign_id = %(one)s GROUP BY state UNION ALL"
            " SELECT %(one)s, 'opened', count(opened_at) FROM campaign_recipients WHERE campaign_id = %(one)s",
            {"one": campaign},
        )
        connection.execute("VACUUM ANALYZE")
