"""Markup in every text that the store holds, however it got there: by mail, replies, files, webhooks, forms, the API.

What is spoiled is read from the schema, so a new column is in by itself. What is not has its reason in `OURS`, or the
database itself refuses it there (a check, a key).
"""

from typing import Any, Final

import orjson
import psycopg
from psycopg import sql

from store.database import Connection, Database

HOSTILE: Final = "'\"><img src=x onerror=ran()><script>ran()</script>"
RAW: Final = ("<img src=x", "<script>ran", "<b>ran")
"""What no page may hold of it as it stands."""

OURS: Final = (
    # words that code of ours chooses, and knows what it finds by
    "state", "status", "kind", "lane", "role", "scope", "class", "outcome", "part", "phase", "site", "track", "became",
    "was", "key", "by", "type", "severity", "entry", "door", "purpose", "placement", "result", "tls", "provider",
    "follows_whom", "algorithm", "change", "version", "method", "events.action", "ended", "what", "reason", "source",
    "flags.name",
    # read strictly wherever it comes in: an IP, a zone, a language, a list of types, a hash, what was encoded
    "ip", "last_ip", "egress_ips.address", "egress_ips.bind_address", "warmups.moved_from", "zone", "time_zone",
    "language", "webhook_endpoints.events", "password_hash", "fingerprint", "hash", "selector", "public_key",
    # an address: no door takes one with brackets in it
    "address", "email", "recipient", "to", "cc", "bcc", "emails.sender", "emails.reply_to",
    "campaigns.sender", "campaigns.reply_to", "campaign_contents.sender", "seeds.sender", "signup_forms.sender",
    "template_versions.sender", "template_versions.reply_to", "captured_mails.mail_from", "captured_mails.rcpt_to",
    # documents of a form that code of ours gives them
    "plan", "experiment", "archive", "languages", "filter", "settings", "steps", "schema", "definition", "terms",
    "fields", "variables", "wanted", "record_status", "reasons", "writing", "texts",
)  # fmt: skip
"""What is left as it is, everywhere or in one table. A reason may be a word or a reply: those of people in a campaign
hold markup from the start (`reach`)."""
STRANGERS: Final = frozenset({
    "emails.subject", "contents.html", "contents.body", "events.reply", "events.mx", "throttles.reply",
    "throttle_changes.reply", "inbound_mail.subject", "inbound_mail.author", "webhook_events.payload",
    "webhook_attempts.response", "webhook_events.taken_answer", "request_log.path", "request_log.user_agent",
    "request_log.request_body",
    "contacts.first_name", "contacts.properties", "contact_imports.name", "suppressions.detail", "alarms.detail",
    "seeds.trouble", "audit_log.after", "heartbeats.host",
})  # fmt: skip
"""What somebody else fills by mail, replies, files, requests or webhooks."""
DOCUMENTS: Final = ("webhook_events.payload", "request_log.request_body", "request_log.response_body")
"""JSON in a column of text."""

_COLUMNS: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
   AND format_type(a.atttypid, NULL) IN ('text', 'text[]', 'jsonb', 'json') AND c.relname <> 'alembic_version'
 ORDER BY 1, 2
"""


async def spoil(database: Database) -> set[str]:
    """Add markup to whatever is not of `OURS`; which columns hold some now."""
    spoiled: set[str] = set()
    async with database.transaction() as connection:
        found = await (await connection.execute(_COLUMNS)).fetchall()
        for table, column, kind in found:
            if column in OURS or f"{table}.{column}" in OURS:
                continue
            if await _spoil(connection, table, column, kind):
                spoiled.add(f"{table}.{column}")
    return spoiled


async def _spoil(connection: Connection, table: str, column: str, kind: str) -> int:
    """How many rows; none where the database takes no such text."""
    names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
    try:
        async with connection.transaction():
            if kind.startswith("json") or f"{table}.{column}" in DOCUMENTS:
                return await _spoil_documents(connection, names)
            if kind == "text[]":
                value = (
                    "(SELECT array_agg(one || %(markup)s ORDER BY n) FROM unnest({column}) WITH ORDINALITY u(one, n))"
                )
                change = f"UPDATE {{table}} SET {{column}} = {value} WHERE cardinality({{column}}) > 0"
            else:
                change = "UPDATE {table} SET {column} = {column} || %(markup)s WHERE {column} <> ''"
            return (await connection.execute(sql.SQL(change).format(**names), {"markup": HOSTILE})).rowcount  # type: ignore[arg-type]  # composed
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError, psycopg.errors.RaiseException):
        return 0


async def _spoil_documents(connection: Connection, names: dict[str, sql.Identifier]) -> int:
    """Every text of a document, not its keys."""
    change = sql.SQL("UPDATE {table} SET {column} = %s WHERE {column}::text = %s").format(**names)
    asked = sql.SQL("SELECT DISTINCT {column}::text FROM {table} WHERE {column} IS NOT NULL").format(**names)
    count = 0
    for (text,) in await (await connection.execute(asked)).fetchall():
        count += (
            await connection.execute(change, [orjson.dumps(_with_markup(orjson.loads(text))).decode(), text])
        ).rowcount
    return count


def _with_markup(value: Any) -> Any:
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [_with_markup(one) for one in value]
    if isinstance(value, dict):
        return {name: _with_markup(one) for name, one in value.items()}
    return value
