"""A slice of a list becomes contacts: copied into a table that only this connection has, then merged in a handful of
statements, whatever its size.

All in the order of addresses, so that two imports of the same people never wait for each other in a circle; the
confirmations that are there already are locked first, as by whoever confirms one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import repeat
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb

from audience.choices import What
from audience.confirmations import Wanted, packed
from audience.contact_history import Changed, ContactSource
from audience.contacts import Status
from audience.importing.columns import ColumnMap
from audience.importing.rows import Row
from audience.membership import MemberStatus
from audience.topics import Subscription
from core.ids import uuid7_texts
from core.queues import Lane
from store.database import Connection
from suppression import merging
from suppression.entries import Addition
from suppression.predicate import forbidding
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope


@dataclass(frozen=True, slots=True)
class Consent:
    """Proof that these people asked for mail: what an operator vouches for."""

    source: str
    """Where it was given: "paper forms, trade fair 2026"."""
    at: datetime
    text: str
    """What they agreed to."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every line."""

    application_id: UUID
    actor: str
    upsert: bool = False
    """Contacts that are there get what the list says of them."""
    segments: tuple[UUID, ...] = ()
    topics: Mapping[UUID, Subscription] = field(default_factory=dict)
    consent: Consent | None = None
    asks: bool = True
    """Whoever has not confirmed gets one mail that asks them to."""
    form_id: UUID | None = None
    """In whose words they are asked."""
    columns: ColumnMap = field(default_factory=ColumnMap)
    """What was said of the columns."""
    language: str = "en"
    """Of those of whom the list says none."""
    lines: int = 0
    """Of the list; 0: nobody counted them."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a slice."""

    created: int
    updated: int
    suppressed: int
    known: int
    asked: int


_TABLE: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS imported (
  id uuid, ask uuid, address text COLLATE "C", email text, first_name text, last_name text, language text,
  time_zone text, properties jsonb, unsubscribed boolean) ON COMMIT DELETE ROWS
"""
_COPY: Final = (
    "COPY pg_temp.imported (id, ask, address, email, first_name, last_name, language, time_zone, properties,"
    " unsubscribed) FROM STDIN (NULL '')"
)

# Whoever left, whichever way, is not asked by a list whether they meant it. What forbids the mail that asks, and no
# other, is found when that is due (`messages/signing_up`).
_SUPPRESSED: Final = f"""
DELETE FROM pg_temp.imported g USING (
  SELECT r.address FROM (SELECT address, '{Lane.MARKETING}' AS lane, %(application)s::uuid AS application_id,
                                NULL::uuid AS topic_id FROM pg_temp.imported) r
   WHERE EXISTS (SELECT {forbidding("r")})) f
 WHERE g.address = f.address
"""

_LOCK: Final = """
SELECT FROM confirmations WHERE application_id = %(application)s
   AND address IN (SELECT address FROM pg_temp.imported) ORDER BY address FOR UPDATE
"""

_INSERT: Final = """
WITH made AS (
  INSERT INTO contacts AS c (id, application_id, address, email, first_name, last_name, language, time_zone, properties,
                             status, confirmed_at)
  SELECT id, %(application)s, address, email, first_name, last_name, language, time_zone, properties, %(status)s,
         CASE WHEN %(status)s = 'confirmed' THEN now() END
    FROM pg_temp.imported ORDER BY address
  ON CONFLICT (application_id, address) {otherwise}
  RETURNING id, xmax = 0 AS fresh),
placed AS (
  INSERT INTO segment_members AS m (segment_id, contact_id, status)
  SELECT s.id, made.id, %(placed)s FROM made, unnest(%(segments)s::uuid[]) AS s(id) ORDER BY s.id, made.id
  ON CONFLICT (segment_id, contact_id) DO UPDATE SET status = EXCLUDED.status, changed_at = now()
    WHERE m.status = '{waiting}' AND EXCLUDED.status = '{sure}'),
noted AS (
  INSERT INTO contact_history (application_id, contact_id, what, source, actor, source_id, detail)
  SELECT %(application)s, made.id, w.what, '{source}', %(actor)s, %(import)s, w.detail
    FROM made, LATERAL (VALUES (CASE WHEN fresh THEN '{created}' ELSE '{updated}' END, '{{}}'::jsonb),
                               ('{confirmed}', %(proof)s::jsonb)) AS w(what, detail)
   WHERE w.detail IS NOT NULL)
SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM made
"""
_NOTHING: Final = "DO NOTHING"
# What is empty in the list takes nothing away; what is the same changes nothing.
_UPSERT: Final = """DO UPDATE SET first_name = coalesce(excluded.first_name, c.first_name),
    last_name = coalesce(excluded.last_name, c.last_name), language = coalesce(excluded.language, c.language),
    time_zone = coalesce(excluded.time_zone, c.time_zone), properties = c.properties || excluded.properties,
    status = CASE WHEN excluded.status = 'confirmed' THEN excluded.status ELSE c.status END,
    confirmed_at = coalesce(c.confirmed_at, excluded.confirmed_at), updated_at = now()
  WHERE (coalesce(excluded.first_name, c.first_name), coalesce(excluded.last_name, c.last_name),
         coalesce(excluded.language, c.language), coalesce(excluded.time_zone, c.time_zone),
         c.properties || excluded.properties, excluded.status = 'confirmed' AND c.status <> 'confirmed')
        IS DISTINCT FROM (c.first_name, c.last_name, c.language, c.time_zone, c.properties, false)"""


def _insert(otherwise: str) -> str:
    return _INSERT.format(
        otherwise=otherwise,
        waiting=MemberStatus.UNCONFIRMED,
        sure=MemberStatus.CONFIRMED,
        source=ContactSource.IMPORT,
        created=Changed.CREATED,
        updated=Changed.UPDATED,
        confirmed=Changed.CONFIRMED,
    )


_INSERT_OR_SKIP: Final = _insert(_NOTHING)
_INSERT_OR_UPDATE: Final = _insert(_UPSERT)

# Whoever was asked by an import before, or waits for an answer, is not asked again.
_ASK: Final = f"""
INSERT INTO confirmations (id, application_id, address, email, form_id, import_id, language, wanted, asked_at,
                           expires_at, next_mail, mail_at)
SELECT g.ask, %(application)s, g.address, g.email, %(form)s, %(import)s,
       coalesce(substring(g.language FOR 2), %(language)s), %(wanted)s, now(), now() + interval '1 year', 'confirm',
       now()
  FROM pg_temp.imported g JOIN contacts c ON c.application_id = %(application)s AND c.address = g.address
 WHERE c.status = '{Status.UNCONFIRMED}' AND NOT g.unsubscribed ORDER BY g.address
ON CONFLICT (application_id, address) DO NOTHING
"""

# For those who are new here, and have never chosen.
_CHOOSE: Final = f"""
WITH chosen AS (
  INSERT INTO choices (address, application_id, topic_id, subscription)
  SELECT g.address, %(application)s, t.id, t.subscription
    FROM pg_temp.imported g JOIN contacts c ON c.id = g.id,
         unnest(%(topics)s::uuid[], %(subscriptions)s::text[]) AS t(id, subscription)
   ORDER BY g.address, t.id
  ON CONFLICT (address, application_id, topic_id) DO NOTHING RETURNING address, topic_id, subscription)
INSERT INTO choice_history (address, application_id, topic_id, what, source, detail)
SELECT address, %(application)s, topic_id,
       CASE subscription WHEN '{Subscription.OPT_IN}' THEN '{What.OPT_IN}' ELSE '{What.OPT_OUT}' END,
       '{Source.IMPORT}', %(detail)s FROM chosen
"""


_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('slices ' || %s, 0))"
_BESIDE_OTHERS: Final = "SELECT pg_advisory_xact_lock_shared(hashtextextended('slices ' || %s, 0))"


def copy_text(rows: Sequence[Row], asks: bool = True) -> bytes:
    """The rows for COPY, in the order of addresses, and ids in that order too: then every index is written at one end.
    `asks`: with ids of confirmations.

    No value holds a control character (`import_rows`), so only a backslash means something else. Pure, and work for a
    thread of its own.
    """
    ids, others = uuid7_texts(len(rows)), uuid7_texts(len(rows)) if asks else repeat("", len(rows))
    lines = []
    for identifier, ask, row in zip(ids, others, sorted(rows, key=_address), strict=True):
        first, last, language, zone = row.fields
        about = f"{first or ''}\t{last or ''}\t{language or ''}\t{zone or ''}\t{row.properties}"
        lines.append(f"{identifier}\t{ask}\t{row.address}\t{row.email}\t{about}\t{'t' if row.unsubscribed else 'f'}\n")
    return "".join(lines).replace("\\", "\\\\").encode()


_address: Final = attrgetter("address")


async def merge(
    connection: Connection, terms: Terms, import_id: UUID, rows: Sequence[Row], text: bytes, gone: Sequence[str] = ()
) -> Merged:
    """Make contacts of the rows, of which `text` is the copy, within the caller's transaction; without the properties
    that are `gone`."""
    await connection.execute(_BESIDE_OTHERS, [str(terms.application_id)])
    await connection.execute(_TABLE)
    await connection.execute("SET LOCAL work_mem = '64MB'")  # else a slice is sorted on the disk
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(text)
    if gone:
        await connection.execute("UPDATE pg_temp.imported SET properties = properties - %s::text[]", [list(gone)])
    names = _names(terms, import_id)
    suppressed = (await connection.execute(_SUPPRESSED, names)).rowcount
    if terms.asks:
        await connection.execute(_LOCK, names)
    statement = _INSERT_OR_UPDATE if terms.upsert else _INSERT_OR_SKIP
    row = await (await connection.execute(statement, names)).fetchone()
    created, updated = row or (0, 0)
    asked = (await connection.execute(_ASK, names)).rowcount if terms.asks and terms.consent is None else 0
    if names["topics"]:
        await connection.execute(_CHOOSE, names)
    await _leave(connection, terms, rows)
    return Merged(created, updated, suppressed, len(rows) - suppressed - created - updated, asked)


async def none_beside(connection: Connection, application_id: UUID) -> None:
    """Until the end of the transaction no slice of a list of the application is stored: what was is seen here, and what
    comes sees what was done. Waits for a slice, about a second."""
    await connection.execute(_ALONE, [str(application_id)])


async def _leave(connection: Connection, terms: Terms, rows: Sequence[Row]) -> None:
    """Who is unsubscribed in the list is here too, for the application's marketing mail."""
    entry = SuppressionEntry(SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, Source.IMPORT, "unsubscribed in a list")
    owner = terms.application_id
    left = [Addition(row.address, entry, owner, only_for=owner, actor=terms.actor) for row in rows if row.unsubscribed]
    if left:
        text, count = merging.packed(left)
        await merging.merge(connection, text, count)


def _names(terms: Terms, import_id: UUID) -> dict[str, Any]:
    sure = terms.consent is not None
    # What they would choose by confirming is chosen then; what they do not get holds at once.
    now = {one: word for one, word in terms.topics.items() if sure or word is Subscription.OPT_OUT}
    then = tuple(one for one, word in terms.topics.items() if word is Subscription.OPT_IN)
    return {
        "application": terms.application_id,
        "import": import_id,
        "actor": terms.actor,
        "status": (Status.CONFIRMED if sure else Status.UNCONFIRMED).value,
        "placed": (MemberStatus.CONFIRMED if sure else MemberStatus.UNCONFIRMED).value,
        "proof": Jsonb(_proof(terms.consent)) if terms.consent else None,
        "segments": list(terms.segments),
        "topics": list(now),
        "subscriptions": [word.value for word in now.values()],
        "detail": f"import {import_id}",
        "form": terms.form_id,
        "language": terms.language,
        "wanted": packed(Wanted(topics=then, segments=terms.segments)),
    }


def _proof(consent: Consent) -> dict[str, str]:
    return {"source": consent.source, "asked_at": consent.at.isoformat(), "text": consent.text}


def stored(terms: Terms) -> str:
    """As JSON, for an import that another process goes on with. What nobody said is left out: a fingerprint of it stays
    the same."""
    consent = terms.consent and {"source": terms.consent.source, "at": terms.consent.at, "text": terms.consent.text}
    return orjson.dumps(
        {
            "actor": terms.actor, "upsert": terms.upsert, "segments": terms.segments,
            "topics": {str(one): word for one, word in terms.topics.items()}, "consent": consent, "asks": terms.asks,
            "form_id": terms.form_id, "columns": asdict(terms.columns),
            "language": terms.language,
        } | ({"lines": terms.lines} if terms.lines else {})
    ).decode()  # fmt: skip


def terms_of(application_id: UUID, kept: Mapping[str, Any]) -> Terms:
    """What `stored` made."""
    consent = kept["consent"] and Consent(
        kept["consent"]["source"], datetime.fromisoformat(kept["consent"]["at"]), kept["consent"]["text"]
    )
    return Terms(
        application_id, kept["actor"], kept["upsert"], tuple(map(UUID, kept["segments"])),
        {UUID(one): Subscription(word) for one, word in kept["topics"].items()}, consent, kept["asks"],
        UUID(kept["form_id"]) if kept["form_id"] else None, ColumnMap(**kept["columns"]),
        kept.get("language", "en"), kept.get("lines", 0),
    )  # fmt: skip
