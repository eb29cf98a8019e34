"""Rows by the million, made inside PostgreSQL: suppression lists and queues of waiting mail.

Acts on a benchmark's own databases only. What it makes is what the product would have stored: every waiting message
has its email, its message row and its content in the real tables, with a UUIDv7 of today. Several emails share one
content, as the mails of a campaign do (the schema has `content_id` for that).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from core.queues import Lane

CHUNK = 250_000
"""Rows of one statement: a second or two, so that progress moves and Ctrl-C is felt."""

Connection = psycopg.Connection[tuple[object, ...]]
Advance = Callable[[int], None]
"""Told how many rows were added."""

# The same hash as bench/mail.recipient, under a prefix no run has: nobody on the list is ever written to.
_SUPPRESS = """
INSERT INTO suppressions (id, address, scope, reason, source)
SELECT uuidv7(), left(md5('listed/' || n), 20) || '@d' || n %% %(domains)s || '.' || %(zone)s, 'all',
       'hard_bounce', 'smtp'
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
"""

# Hashes, whole domains, and entries for one stream or one topic of the application: what makes a claim look for every
# form of a recipient and every scope of a message.
_SUPPRESS_OTHERWISE = """
INSERT INTO suppressions (id, address, scope, reason, source)
SELECT uuidv7(), CASE n %% 4 WHEN 0 THEN 'sha256:' || encode(sha256(convert_to('listed/' || n, 'UTF8')), 'hex')
                 WHEN 1 THEN '@listed' || n || '.' || %(zone)s
                 ELSE left(md5('scoped/' || n), 20) || '@d' || n %% %(domains)s || '.' || %(zone)s END,
       CASE n %% 4 WHEN 2 THEN %(application)s || ' marketing' WHEN 3 THEN %(application)s || ' ' || %(topic)s
       ELSE 'all' END, 'unsubscribe', 'import'
  FROM generate_series(1, %(count)s) n
"""
_CHOOSE = """
INSERT INTO choices (address, application_id, topic_id, subscription)
SELECT left(md5('chose/' || n), 20) || '@d' || n %% %(domains)s || '.' || %(zone)s, %(application)s::uuid,
       %(topic)s::uuid, 'opt_out' FROM generate_series(1, %(count)s) n
"""

_EMAILS = """
INSERT INTO emails (id, application_id, domain_id, lane, content_id, created_at, sender, subject, "to", cc, bcc,
                    reply_to, message_id)
SELECT i.id, %(application)s, %(domain)s, 'marketing', (%(contents)s::uuid[])[1 + i.n %% cardinality(%(contents)s)],
       now(), %(sender)s, 'News number ' || i.n || ' for you', ARRAY[i.recipient], '{}', '{}', '{}',
       '<' || i.id || '@' || %(name)s || '>'
  FROM fresh i
"""

_MESSAGES = """
INSERT INTO messages (email_id, position, recipient, address, kind, state, updated_at)
SELECT id, 0, recipient, recipient, 'to', 'queued', now() FROM fresh
"""

_QUEUE = """
INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at)
SELECT id, 0, 'marketing', 'd' || n %% %(domains)s || '.' || %(zone)s, recipient, recipient,
       now() - interval '2 seconds'
  FROM fresh
"""

_FRESH = """
CREATE TEMP TABLE fresh ON COMMIT DROP AS
SELECT uuidv7() AS id, n, left(md5(%(run)s || '/' || n), 20) || '@d' || n %% %(domains)s || '.' || %(zone)s AS recipient
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
"""

_CONTACTS = """
WITH made AS (
  INSERT INTO contacts (id, application_id, address, email, first_name, last_name, language, properties, status,
                        confirmed_at)
  SELECT uuidv7(), %(application)s, a.address, a.address, 'Reader' || n, 'Bench', 'en',
         jsonb_build_object('city', (ARRAY['Berlin', 'Paris', 'Madrid', 'Wien'])[1 + n %% 4], 'points', n %% 1000,
                            'plan', (ARRAY['free', 'basic', 'pro'])[1 + n %% 3]), 'confirmed', now()
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n, LATERAL (
      SELECT left(md5('contact/' || n), 20) || '@d' || n %% %(domains)s || '.' || %(zone)s AS address) a
  RETURNING id
)
INSERT INTO segment_members (segment_id, contact_id, status) SELECT %(list)s, id, 'confirmed' FROM made
"""

_PUT_ON_LIST = """
INSERT INTO segment_members (segment_id, contact_id, status)
SELECT %s, contact_id, status FROM segment_members WHERE segment_id = %s ORDER BY contact_id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class MailRows:
    """What all waiting mails of a database share."""

    application: UUID
    domain: UUID
    sender_domain: str
    contents: Sequence[UUID]
    zone: str
    domains: int


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Entries that are no plain addresses, and as many choices of people: so many, and whose topic some are about."""

    count: int
    application: UUID
    topic: UUID


def add_suppressions(
    connection: Connection, count: int, place: tuple[str, int], advance: Advance, otherwise: Otherwise | None = None
) -> None:
    """A list of `count` addresses that nobody writes to, spread over `place` (zone, number of domains).

    The indexes are taken away and built anew, which is several times quicker; the result is the same.
    """
    zone, domains = place
    indexes = _secondary_indexes(connection, "suppressions")
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    connection.execute("ALTER TABLE suppressions DROP CONSTRAINT suppressions_address_scope_key")
    for first, last in chunks(count):
        connection.execute(_SUPPRESS, {"first": first, "last": last, "zone": zone, "domains": domains})
        advance(last - first + 1)
    if otherwise:
        named = {"count": otherwise.count, "application": str(otherwise.application), "topic": str(otherwise.topic)}
        for statement in (_SUPPRESS_OTHERWISE, _CHOOSE):
            connection.execute(statement, {**named, "zone": zone, "domains": domains})
        connection.execute("VACUUM ANALYZE choices")
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute("ALTER TABLE suppressions ADD UNIQUE (address, scope)")
    for _, definition in indexes:
        connection.execute(definition)  # PostgreSQL's own text
    connection.execute("RESET maintenance_work_mem")
    connection.execute("VACUUM ANALYZE suppressions")


def add_mail(connection: Connection, rows: MailRows, numbers: tuple[int, int], run: str, queued: bool) -> None:
    """Marketing mail number `numbers[0]` to `numbers[1]`, due now if `queued`, else stored but not yet in the queue.

    One transaction. `run` goes into the recipients' hash, so that two runs write to different people.
    """
    shared = {
        "application": rows.application,
        "domain": rows.domain,
        "contents": list(rows.contents),
        "sender": f"Bench <news@{rows.sender_domain}>",
        "name": rows.sender_domain,
        "zone": rows.zone,
        "domains": rows.domains,
        "run": run,
        "first": numbers[0],
        "last": numbers[1],
    }
    with connection.transaction():
        for statement in (_FRESH, _EMAILS, _MESSAGES, *([_QUEUE] if queued else [])):
            connection.execute(statement, shared)


def name_topic(connection: Connection, application: UUID, topic: UUID) -> None:
    """All waiting mail is of one topic of an application, as the product would have stored it."""
    connection.execute("UPDATE delivery_queue SET application_id = %s, topic_id = %s", [application, topic])


def add_contacts(connection: Connection, rows: MailRows, numbers: tuple[int, int], list_id: UUID) -> None:
    """Confirmed contacts number `numbers[0]` to `numbers[1]`, on one list."""
    names = {
        "application": rows.application, "first": numbers[0], "last": numbers[1], "domains": rows.domains,
        "zone": rows.zone, "list": list_id,
    }  # fmt: skip
    connection.execute(_CONTACTS, names)


def put_on_list(connection: Connection, source: UUID, target: UUID, count: int) -> None:
    """So many members of one list on another one, too."""
    connection.execute(_PUT_ON_LIST, [target, source, count])


def deliver(connection: Connection) -> None:
    """All stored mail was delivered: states and events, as the product would have recorded them."""
    connection.execute("UPDATE messages SET state = 'delivered'")
    connection.execute(
        "INSERT INTO events (email_id, position, at, kind, attempt, ip, provider, code)"
        " SELECT email_id, position, now(), 'delivered', 1, '127.0.0.1', 'other', 250 FROM messages"
    )


_TABLES = ("emails", "messages", "contents", "delivery_queue", "suppressions")


def settle(connection: Connection, *tables: str) -> None:
    """Statistics for the planner and visibility maps, so that neither is left to the measured time; of mail, unless
    tables are named."""
    for table in tables or _TABLES:
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))


def queued(connection: Connection, lane: Lane = Lane.MARKETING) -> int:
    """Messages on their way, counted."""
    row = connection.execute("SELECT count(*) FROM delivery_queue WHERE lane = %s", [lane.value]).fetchone()
    return int(str(row[0])) if row else 0


def delivered(connection: Connection) -> int:
    """Messages whose delivery is recorded, counted by their events."""
    row = connection.execute("SELECT count(*) FROM events WHERE kind = 'delivered'").fetchone()
    return int(str(row[0])) if row else 0


def outcomes(connection: Connection) -> dict[str, int]:
    """Events by kind, rule and reply: what to show when mail is missing."""
    cursor = connection.execute(
        "SELECT concat_ws(' ', kind, rule, left(reply, 80), detail), count(*) FROM events"
        " GROUP BY 1 ORDER BY 2 DESC LIMIT 8"
    )
    return {str(text): int(str(n)) for text, n in cursor.fetchall()}


def chunks(count: int, size: int = CHUNK) -> list[tuple[int, int]]:
    """1 to `count` in ranges of at most `size`, both ends included."""
    return [(first, min(first + size - 1, count)) for first in range(1, count + 1, size)]


def _secondary_indexes(connection: Connection, table: str) -> list[tuple[str, str]]:
    cursor = connection.execute(
        "SELECT i.relname, pg_get_indexdef(x.indexrelid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " WHERE x.indrelid = %s::regclass AND NOT x.indisunique ORDER BY 1",
        [table],
    )
    return [(str(name), str(definition)) for name, definition in cursor.fetchall()]
