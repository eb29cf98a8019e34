"""The triggers that keep what a transaction changes: which tables have one, what they leave out, what they cost."""

import re
from typing import Final

import pytest

from accounts import audit
from accounts.audit import Actor, Logged, Wanted
from accounts.audited import Act, AuditedDatabase
from core.ids import uuid7
from core.paging import Window
from store.database import Connection, Database
from tests.integration.messages.emails import rows
from tests.unit.test_table_owners import WRITER

_MAIL: Final = "mail and what became of it: the timeline"
_PEOPLE: Final = "people, whose history stands beside them; that one is gone is noted"
_FIGURES: Final = "counted, or told by others"
_OWN: Final = "a history itself"
_PARTS: Final = "made of what is noted, by the product"

UNAUDITED: Final = {
    **dict.fromkeys(
        ("attachments", "captured_mails", "contents", "delivery_queue", "emails", "events", "halted_campaigns",
         "idempotency_keys", "inbound_mail", "messages", "seed_probes", "simulated_complaints", "webhook_attempts",
         "webhook_events"),
        _MAIL,
    ),
    **dict.fromkeys(
        ("choices", "confirmations", "confirmed_contacts", "contact_import_parts", "contact_imports", "contact_uploads",
         "engaged", "erasures", "segment_members", "soft_bounces"),
        _PEOPLE,
    ),
    **dict.fromkeys(
        ("alarm_changes", "audit_log", "choice_history", "contact_history", "request_log", "suppression_history",
         "suppression_imports", "throttle_changes", "warmup_changes"),
        _OWN,
    ),
    **dict.fromkeys(
        ("application_events", "application_use", "campaign_clicks", "campaign_news", "campaign_recipients",
         "campaign_tallies", "count_deltas", "engagement_segments", "heartbeats",
         "outcome_counts", "provider_figures", "report_days", "report_hours",
         "report_keys", "report_kinds", "report_lines", "report_marks", "report_series", "report_tags",
         "report_totals", "reputation_imports", "route_times", "warmup_days"),
        _FIGURES,
    ),
    **dict.fromkeys(
        ("automation_runs", "automation_steps", "campaign_contents", "campaign_links", "departed_applications",
         "template_steps"),
        _PARTS,
    ),
    **dict.fromkeys(
        ("console_identities", "console_links", "console_sessions", "console_users"),
        "told in words by who changes them, whatever the door",
    ),
}  # fmt: skip
"""Tables without the trigger, and why."""

_DEFINED: Final = """
SELECT c.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE t.tgname = 'audited'
"""
_COLUMNS: Final = """
SELECT c.relname, a.attname, a.atttypid::regtype::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""
_SECRET: Final = re.compile(r"secret|password|token|hash|sealed|private|credential")


async def _who(_connection: Connection) -> Actor:
    return Actor("command line (ann)", "cli")


def _watched(database: Database, action: str, *about: str) -> AuditedDatabase:
    return AuditedDatabase(database, Act(action, _who, about))


async def _lines(database: Database) -> list[Logged]:
    async with database.connection() as connection:
        return list((await audit.page(connection, Wanted(), Window(50))).entries)


async def _arguments(database: Database) -> dict[str, list[str]]:
    found = {table: re.findall(r"'([^']*)'", told.partition("audited(")[2])
             for table, told in await rows(database, _DEFINED)}  # fmt: skip
    assert len(found) > 30
    return found


async def test_every_table_is_noted_or_has_a_reason_not_to_be(database: Database) -> None:
    noted = set(await _arguments(database))

    assert noted & UNAUDITED.keys() == set()
    assert noted | UNAUDITED.keys() == WRITER.keys()


async def test_nothing_secret_is_kept_and_every_name_is_a_column(database: Database) -> None:
    columns = await rows(database, _COLUMNS)
    for table, (_noun, name, *hidden) in (await _arguments(database)).items():
        mine = {column: kind for owner, column, kind in columns if owner == table}
        left_out = {one.removeprefix("#") for one in hidden}
        assert left_out | {name} <= mine.keys(), table
        told = {column for column, kind in mine.items() if kind == "bytea" or _SECRET.search(column)}
        assert told <= left_out, f"{table}: {told - left_out} would stand in the log"


async def test_a_change_leaves_one_line_with_what_was_and_is(database: Database) -> None:
    pool, other = uuid7(), uuid7()
    create = "INSERT INTO pools (id, name, lane, is_default) VALUES (%s, %s, 'marketing', %s)"
    async with _watched(database, "pool.create").transaction() as connection:
        await connection.execute(create, [pool, "bulk", True])
    async with _watched(database, "pool.create").connection() as connection:
        await connection.execute(create, [other, "offers", False])
    async with _watched(database, "pool.update", "offers").transaction() as connection:
        await connection.execute("UPDATE pools SET is_default = false WHERE id = %s", [pool])
        await connection.execute("UPDATE pools SET is_default = true WHERE id = %s", [other])
    async with database.transaction() as connection:  # as workers and the console do
        await connection.execute("UPDATE pools SET reserved = NOT is_default")

    newest, second, first = await _lines(database)

    assert (first.action, first.subject, first.actor, first.door) == (
        "pool.create", "bulk", "command line (ann)", "cli",
    )  # fmt: skip
    assert first.before is None
    assert first.after is not None
    assert (first.after["id"], first.after["lane"]) == (str(pool), "marketing")
    assert second.subject == "offers"
    assert (newest.subject, newest.before) == ("offers", {"is_default": False})
    assert newest.after == {
        "is_default": True,
        "also": [{"what": "pool bulk", "before": {"is_default": True}, "after": {"is_default": False}}],
    }


async def test_what_is_rolled_back_or_changes_nothing_leaves_none(database: Database) -> None:
    watched = _watched(database, "topic.create")

    async def break_off() -> None:
        async with watched.transaction() as connection:
            await connection.execute("INSERT INTO pools (id, name, lane) VALUES (%s, 'a', 'marketing')", [uuid7()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await break_off()
    async with watched.transaction() as connection:
        await connection.execute("INSERT INTO pools (id, name, lane) VALUES (%s, 'b', 'marketing')", [uuid7()])
        await connection.execute("DELETE FROM pools")
    async with watched.transaction() as connection:
        await connection.execute("SELECT 1")

    assert await _lines(database) == []


async def test_texts_and_sealed_passwords_leave_a_trace_only(database: Database) -> None:
    add = "INSERT INTO egress_ips (id, address, bind_address, ehlo_name, sealed_password) VALUES (%s, %s, '', 'x', %s)"
    async with _watched(database, "ip.create").transaction() as connection:
        await connection.execute(add, [uuid7(), "203.0.113.5", b"sealed"])
    async with _watched(database, "ip.update").transaction() as connection:
        await connection.execute("UPDATE egress_ips SET sealed_password = %s", [b"another"])

    changed, _ = await _lines(database)

    assert changed.before is not None
    assert changed.after is not None
    assert changed.before.keys() == changed.after.keys() == {"sealed_password"}
    assert re.fullmatch(r"16 characters, [0-9a-f]{8}", changed.after["sealed_password"])
    assert changed.before != changed.after
    assert b"another".hex() not in str(changed.after)


async def test_ten_thousand_rows_are_one_line(database: Database) -> None:
    add = """
    INSERT INTO suppressions (id, address, scope, reason, source, detail)
    SELECT gen_random_uuid(), 'ann' || n || '@people.example', 'all', 'manual', 'api', 'wrote to ann' || n
      FROM generate_series(1, 10000) n
    """
    async with _watched(database, "suppression.add").transaction() as connection:
        await connection.execute(add)

    (line,) = await _lines(database)

    assert line.subject == "10,000 suppressions"
    assert line.after is not None
    assert line.after["rows"] == 10_000
    assert "ann" not in str(line.after)
    assert "people.example" not in str(line.after)


async def test_who_is_deleted_is_noted_without_a_word_about_them(database: Database) -> None:
    add = (
        "INSERT INTO contacts (id, application_id, address, email, first_name, status) VALUES (%s, %s, %s, %s, %s, %s)"
    )
    person, owner = uuid7(), uuid7()
    watched = _watched(database, "contact.erase")
    async with watched.transaction() as connection:
        await connection.execute(add, [person, owner, "ann@people.example", "Ann@people.example", "Ann", "confirmed"])
    assert await _lines(database) == []
    async with watched.transaction() as connection:
        await connection.execute("DELETE FROM contacts")

    (line,) = await _lines(database)

    assert (line.subject, line.after) == (str(person), None)
    assert "nn" not in str(line.before).replace("running", ""), line.before
