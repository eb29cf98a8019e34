"""Who writes which table. Each has one package whose SQL changes its rows; everybody may read it.

What is looked at is the SQL in the strings of the shipped packages. A new table gets its line here with its migration.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parent.parent.parent

WRITER: Final = {
    "alarm_changes": "alarms",
    "alarm_mail": "alarms",
    "alarm_rules": "alarms",
    "alarms": "alarms",
    "api_keys": "accounts",
    "applications": "accounts",
    "application_events": "campaigns",
    "application_use": "accounts",
    "attachments": "messages",
    "audit_log": "accounts",
    "automation_runs": "campaigns",
    "automation_steps": "campaigns",
    "automation_versions": "campaigns",
    "automations": "campaigns",
    "capture_rules": "accounts",
    "campaign_clicks": "campaigns",
    "campaign_contents": "campaigns",
    "campaign_links": "campaigns",
    "campaign_news": "messages",
    "campaign_recipients": "campaigns",
    "campaign_tallies": "campaigns",
    "campaigns": "campaigns",
    "captured_mails": "sandbox",
    "breakers": "alarms",
    "choice_history": "audience",
    "choices": "audience",
    "confirmations": "audience",
    "console_identities": "accounts",
    "console_links": "accounts",
    "console_sessions": "accounts",
    "console_users": "accounts",
    "confirmed_contacts": "audience",
    "contact_history": "audience",
    "contact_import_parts": "audience",
    "contact_imports": "audience",
    "contact_properties": "audience",
    "contact_uploads": "audience",
    "contacts": "audience",
    "contents": "messages",
    "count_deltas": "store",
    "delivery_queue": "messages",
    "departed_applications": "audience",
    "dkim_keys": "accounts",
    "domains": "accounts",
    "egress_ips": "pools",
    "emails": "messages",
    "engaged": "outcomes",
    "engagement_segments": "outcomes",
    "erasures": "outcomes",
    "event_definitions": "campaigns",
    "events": "messages",
    "flags": "flags",
    "halted_campaigns": "messages",
    "heartbeats": "store",
    "idempotency_keys": "messages",
    "images": "templates",
    "inbound_mail": "outcomes",
    "messages": "messages",
    "outcome_counts": "store",
    "pool_assignments": "pools",
    "pool_ips": "pools",
    "pools": "pools",
    "provider_figures": "pools",
    "report_days": "store",
    "report_hours": "store",
    "report_keys": "store",
    "report_kinds": "store",
    "report_lines": "store",
    "report_marks": "store",
    "report_series": "store",
    "report_tags": "store",
    "report_totals": "store",
    "reputation_imports": "pools",
    "request_log": "requestlog",
    "soft_bounces": "suppression",
    "suppression_history": "suppression",
    "suppression_imports": "suppression",
    "signup_forms": "audience",
    "simulated_complaints": "sandbox",
    "route_times": "store",
    "seed_probes": "alarms",
    "seeds": "alarms",
    "segment_members": "audience",
    "segments": "audience",
    "suppressions": "suppression",
    "template_languages": "templates",
    "template_steps": "templates",
    "template_versions": "templates",
    "templates": "templates",
    "tapering_policies": "audience",
    "throttle_changes": "pools",
    "throttles": "pools",
    "topics": "audience",
    "warmup_changes": "warmup",
    "warmup_days": "warmup",
    "warmup_plans": "warmup",
    "warmup_tracks": "warmup",
    "warmups": "warmup",
    "webhook_attempts": "webhooks",
    "webhook_endpoints": "webhooks",
    "webhook_events": "webhooks",
    "webhook_secrets": "webhooks",
}

NOT_YET: Final[frozenset[tuple[str, str]]] = frozenset()
"""(package, table) that still breaks the rule. Only ever shorter; what is mended has to leave."""

TEST_BENCHES: Final = {"bench", "tests"}
"""They fill tables as no product does."""

PARTITIONS: Final = "store/partitions.py"
"""Moves rows between the partitions of one table, whatever table it is."""

OF_A_SESSION: Final = "pg_temp"
"""Schema of tables that end with their connection: nobody else sees them."""

OF_A_RESTORE: Final = "restored_parked"
"""Made and dropped by a restore (`campaigns/restored`): no migration knows it."""

_WRITE = re.compile(
    r"\b(?:INSERT\s+INTO|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?|COPY|MERGE\s+INTO|(?<!\bFOR )(?<!\bDO )(?<!\bKEY )UPDATE)"
    r"\s+(?:ONLY\s+)?([a-z_{][a-z_0-9{}]*)"
)
_WRITING_WORD = re.compile(r"INSERT|DELETE|TRUNCATE|COPY|MERGE|UPDATE")


def _texts(file: Path) -> Iterator[str]:
    """Strings of a file that are no documentation; what is put into one shows as {}. Of a file without a word that
    writes there are none: most need not be parsed."""
    source = file.read_text(encoding="utf-8")
    if not _WRITING_WORD.search(source):
        return
    tree = ast.parse(source)
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    apart |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node.value


@cache
def _writes() -> dict[str, frozenset[str]]:
    """Table → files that write it."""
    found: dict[str, set[str]] = defaultdict(set)
    packages = {file.parent for file in ROOT.glob("*/__init__.py")}
    for package in packages:
        files = package.rglob("*.py") if package.name not in TEST_BENCHES else ()
        for file in files:
            name = str(file.relative_to(ROOT))
            if "migrations" not in file.parts and name != PARTITIONS:
                for text in _texts(file):
                    for table in _WRITE.findall(text):
                        found[table].add(name)
    return {table: frozenset(files) for table, files in found.items()}


def _tables() -> set[str]:
    """Every table that a migration makes."""
    versions = (ROOT / "store" / "migrations" / "versions").glob("*.py")
    texts = "\n".join(file.read_text(encoding="utf-8") for file in versions)
    return set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)", texts))


def test_every_table_has_its_writer() -> None:
    assert _tables() == WRITER.keys()


def test_what_is_written_is_a_table_named_here() -> None:
    """Neither a misspelt table nor one whose name is put together, which nobody could look for."""
    assert {
        table: sorted(files) for table, files in _writes().items() if table not in {*WRITER, OF_A_SESSION, OF_A_RESTORE}
    } == {}


@pytest.mark.parametrize("table", sorted(WRITER))
def test_only_its_package_writes_a_table(table: str) -> None:
    strangers = {file for file in _writes().get(table, frozenset()) if file.split("/")[0] != WRITER[table]}

    assert {file for file in strangers if (file.split("/")[0], table) not in NOT_YET} == set()


def test_exceptions_are_still_needed() -> None:
    needed = {(file.split("/")[0], table) for table, files in _writes().items() for file in files}

    assert needed >= NOT_YET


def test_composed_queries_only_read() -> None:
    """SQLAlchemy's own insert, update and delete would write where this test does not look."""
    makers = {"insert", "update", "delete"}
    found = [
        str(file.relative_to(ROOT))
        for package in {file.parent for file in ROOT.glob("*/__init__.py")}
        for file in package.rglob("*.py")
        if "sqlalchemy" in (source := file.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("sqlalchemy")
        and makers & {alias.name for alias in node.names}
    ]

    assert found == []
