"""What is still there of somebody: the database as text."""

from store.database import Database
from tests.integration.messages.emails import rows

TEXTS = """
SELECT string_agg(t.line, E'\\n') FROM (
  SELECT to_jsonb(x)::text AS line FROM {table} x) t
"""
KEPT = ("webhook_events", "webhook_attempts", "erasures")
"""Told to the application, for a week; and the wish itself, for a quarter of an hour."""


async def texts(database: Database) -> dict[str, str]:
    """All rows of each table."""
    tables = await rows(
        database,
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind = 'r'",
    )
    found = {}
    for (table,) in tables:
        ((lines,),) = await rows(database, TEXTS.format(table=table))
        found[table] = (lines or "").lower()
    return found


async def everywhere(database: Database, text: str) -> list[str]:
    """The tables that hold a text anywhere; bytes are hexadecimal there."""
    needles = (text.lower(), text.lower().encode().hex())
    found = [table for table, lines in (await texts(database)).items() if any(needle in lines for needle in needles)]
    return sorted(set(found) - set(KEPT))
