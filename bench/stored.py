"""Millions of messages of the last month with all that hangs on each: email, timeline, queue, a campaign's people.

Acts on a benchmark's own databases only; what it makes is what the product would have stored. Message `n` was accepted
at the n-th of so many equal steps of the month. Most of it is what mail is like: a tenth transactional, 2 % bounced,
5 % deferred once, a tenth of one large campaign.
What is rare is there ten times, however many messages there are, since a
list that finds its rows at once says nothing: a subject, a tag, a provider, mail that failed, and a second application
with one mail in ten thousand.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from bench import rows
from bench.databases import BenchDatabase
from store import partitions
from store.database import Database

HANDS: Final = 2
"""Connections that write."""
RARE_SUBJECT, RARE_TAG, RARE_PROVIDER, RARE_STATE = "Needle", "order", "netvigator", "failed"
CAMPAIGN_TAG: Final = "campaign=spring"

_TABLES: Final = ("emails", "messages", "events", "delivery_queue", "campaign_recipients", "campaign_clicks")

# A campaign names its people by their contacts: who is the n-th of them?
_PEOPLE: Final = """
CREATE UNLOGGED TABLE IF NOT EXISTS bench_people AS
SELECT substr(first_name, 7)::bigint AS person, id FROM contacts;
ALTER TABLE bench_people ADD PRIMARY KEY (person);
ANALYZE bench_people
"""

_FRESH: Final = """
CREATE TEMP TABLE fresh ON COMMIT DROP AS
WITH numbered AS (
  SELECT n, %(begins)s::timestamptz + n * %(step)s::interval AS at, 1 + n / 10 %% %(people)s AS person,
         n %% %(rare)s AS mark
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
)
SELECT uuidv7(at - clock_timestamp()) AS id, n, at, person, mark,
       'd' || person %% %(domains)s || '.' || %(zone)s AS destination,
       left(md5('contact/' || person), 20) || '@d' || person %% %(domains)s || '.' || %(zone)s AS address,
       CASE WHEN n %% 10 = 0 THEN 'transactional' ELSE 'marketing' END AS lane,
       CASE WHEN mark = 41 THEN %(rare_provider)s
            ELSE ('{other,gmail,gmail,gmail,gmail,microsoft,microsoft,yahoo,gmx,other}'::text[])[1 + n %% 10]
        END AS provider,
       (%(ips)s::text[])[1 + n %% cardinality(%(ips)s)] AS ip,
       CASE WHEN mark = 19 THEN 'failed' WHEN mark = 29 THEN 'cancelled' WHEN mark = 39 THEN 'expired'
            WHEN n %% 997 = 5 THEN 'suppressed' WHEN n %% 47 = 1 THEN 'bounced'
            WHEN n %% 19 = 2 AND at > now() - interval '8 hours' THEN 'deferred' ELSE 'delivered' END AS state
  FROM numbered
"""

_EMAILS: Final = """
INSERT INTO emails (id, application_id, domain_id, lane, content_id, created_at, sender, subject, "to", cc, bcc,
                    reply_to, message_id, tags, campaign_id, contact_id)
SELECT f.id, CASE WHEN n %% 10000 = 7 THEN %(small)s ELSE %(application)s END, %(domain)s, lane,
       (%(contents)s::uuid[])[1 + n %% cardinality(%(contents)s)], at, %(sender)s,
       CASE WHEN mark = 17 THEN %(rare_subject)s || ' in the hay, number ' || n
            WHEN lane = 'transactional' THEN 'Receipt for order ' || n
            ELSE 'News number ' || n / 1000 || ' for you' END,
       ARRAY[address], '{}', '{}', '{}', '<' || f.id || '@' || %(name)s || '>',
       CASE WHEN n %% 10 = 3 THEN '[["campaign", "spring"]]'
            WHEN mark = 47 THEN jsonb_build_array(jsonb_build_array(%(rare_tag)s::text, n::text)) ELSE '[]' END,
       CASE WHEN n %% 10 = 3 THEN %(campaign)s::uuid END, p.id
  FROM fresh f LEFT JOIN bench_people p ON n %% 10 = 3 AND p.person = f.person
"""

_MESSAGES: Final = """
INSERT INTO messages (email_id, position, recipient, address, kind, state, attempts, updated_at)
SELECT id, 0, address, address, 'to', state, CASE WHEN n %% 19 = 4 THEN 2 ELSE 1 END, at + interval '2 seconds'
  FROM fresh
"""

_LATER: Final = """
INSERT INTO events (email_id, position, at, kind, attempt, ip, provider, mx, phase, code, enhanced, reply, action,
                    class, rule, next_attempt_at, duration_ms)
SELECT id, 0, at + interval '1 second', 'deferred', 1, ip, provider, 'mx.' || destination, 'rcpt', 451, '4.7.1',
       'Greylisted, try again in five minutes', 'retry', 'greylisted', 'greylisted', at + interval '5 minutes', 300
  FROM fresh WHERE n %% 19 = 4 OR state = 'deferred'
"""
_ENDED: Final = """
INSERT INTO events (email_id, position, at, kind, attempt, ip, provider, mx, tls, phase, code, reply, action, class,
                    rule, duration_ms)
SELECT id, 0, at + interval '2 seconds', state, 1, ip, provider, 'mx.' || destination, 'TLSv1.3', 'dot',
       CASE state WHEN 'delivered' THEN 250 ELSE 550 END,
       CASE state WHEN 'delivered' THEN 'Ok: queued' ELSE '5.1.1 User unknown' END,
       CASE state WHEN 'delivered' THEN 'delivered' ELSE 'bounce' END,
       CASE state WHEN 'delivered' THEN 'delivered' ELSE 'invalid_recipient' END, 'accepted', 240
  FROM fresh WHERE state <> 'deferred'
"""
_OPENED: Final = """
INSERT INTO events (email_id, position, at, kind, engagement)
SELECT id, 0, at + interval '1 hour', 'opened', '{"user_agent": "Thunderbird"}'
  FROM fresh WHERE n %% 10 = 3 AND n / 10 %% 4 = 0 AND state = 'delivered'
"""

_QUEUE: Final = """
INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at, attempts, application_id)
SELECT id, 0, lane, destination, address, address, now() + interval '1 hour', 1, %(application)s
  FROM fresh WHERE state = 'deferred'
"""

_RECIPIENTS: Final = """
INSERT INTO campaign_recipients (campaign_id, contact_id, email_id, due_at, queued_at, ended_at, opened_at, clicked_at,
                                 unsubscribed_at, complained_at, state, destination, reason, provider, ip, class)
SELECT %(campaign)s, p.id, f.id, at, at, CASE state WHEN 'deferred' THEN NULL ELSE at + interval '2 seconds' END,
       CASE WHEN n / 10 %% 4 = 0 THEN at + interval '1 hour' END,
       CASE WHEN n / 10 %% 40 = 0 THEN at + interval '1 hour' END,
       CASE WHEN n / 10 %% 400 = 0 THEN at + interval '1 hour' END,
       CASE WHEN n / 10 %% 4000 = 0 THEN at + interval '1 day' END,
       state, destination, CASE state WHEN 'bounced' THEN '550 5.1.1 User unknown' END, provider, ip,
       CASE state WHEN 'bounced' THEN 'invalid_recipient' END
  FROM fresh f JOIN bench_people p USING (person) WHERE n %% 10 = 3
"""
_CLICKS: Final = """
INSERT INTO campaign_clicks (campaign_id, contact_id, number, clicks)
SELECT %(campaign)s, p.id, 1 + n / 10 %% 5, 1 FROM fresh JOIN bench_people p USING (person)
 WHERE n %% 10 = 3 AND n / 10 %% 40 = 0
"""
_STATEMENTS: Final = (
    _FRESH, _EMAILS, _MESSAGES, _LATER, _ENDED, _OPENED, _QUEUE, _RECIPIENTS, _CLICKS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored: so many messages, of whom, to whom, through what."""

    messages: int
    people: int
    """Contacts that are there, each with ten messages."""
    small: UUID
    """An application with few of them."""
    campaign: UUID
    ips: Sequence[str]
    days: int = 30
    """That they came in."""

    @property
    def rare(self) -> int:
        """One message of so many is one of the ten."""
        return max(100, self.messages // 10)


async def make_days(pool: Database, days: int) -> None:
    """The partitions of so many days, as each of them had made its own."""
    async with pool.connection() as connection:
        for back in range(days, -1, -1):
            await partitions.ensure(connection, (datetime.now(UTC) - timedelta(days=back)).date(), ahead=0)


def fill(database: BenchDatabase, stored: Stored) -> Iterator[int]:
    """Make the messages; tells how many there are after each step."""
    with database.connect() as connection:
        for statement in _PEOPLE.split(";"):
            connection.execute(statement.encode())
    begins = datetime.now(UTC) - timedelta(days=stored.days)
    step = (datetime.now(UTC) - timedelta(minutes=1) - begins) / stored.messages
    shared = _shared(database, stored) | {"begins": begins, "step": step}
    with ThreadPoolExecutor(HANDS) as hands:
        parts = rows.chunks(stored.messages, 100_000)
        made = hands.map(lambda part: _add(database, {**shared, "first": part[0], "last": part[1]}), parts)
        for (_, last), _ in zip(parts, made, strict=True):
            yield last
    with database.connect() as connection:
        rows.settle(connection, *_TABLES)


def _shared(database: BenchDatabase, stored: Stored) -> dict[str, object]:
    mail = database.rows
    return {
        "application": mail.application, "domain": mail.domain, "contents": list(mail.contents), "zone": mail.zone,
        "domains": mail.domains, "sender": f"Bench <news@{mail.sender_domain}>", "name": mail.sender_domain,
        "small": stored.small, "campaign": stored.campaign, "ips": list(stored.ips), "people": stored.people,
        "rare": stored.rare, "rare_subject": RARE_SUBJECT, "rare_tag": RARE_TAG, "rare_provider": RARE_PROVIDER,
    }  # fmt: skip


def _add(database: BenchDatabase, names: dict[str, object]) -> None:
    with database.connect() as connection, connection.transaction():
        for statement in _STATEMENTS:
            connection.execute(statement, names)
