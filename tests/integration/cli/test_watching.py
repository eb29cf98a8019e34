"""`reports`, `alarms`, `seeds` and `standing` on the command line: what they print and what they refuse."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alarms.model import AlarmKind, Severity
from alarms.repository import raise_alarm
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import APPLICATION, execute
from tests.integration.store.test_figures import counted
from tests.unit.pools.test_standing_files import SNDS


async def _told(database: Database) -> None:
    """An application with figures of this hour, an alarm, an IP."""
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'shop')", [APPLICATION])
    await execute(
        database,
        "INSERT INTO egress_ips (id, address, bind_address, ehlo_name)"
        " VALUES (gen_random_uuid(), '192.0.2.1', '192.0.2.1', 'm1.example')",
    )
    for outcome, n in (("delivered", 1000), ("complained", 2)):
        await counted(database, datetime.now(UTC), n, outcome=outcome)
    async with database.connection() as connection:
        await raise_alarm(connection, AlarmKind.COMPLAINTS, "marketing mail of shop", "0.4 %", Severity.CRITICAL)


@pytest.fixture
def told(postlane: Postlane, database_url: str) -> Postlane:
    in_database(database_url, _told)
    return postlane


def test_reports(told: Postlane) -> None:
    found = told("reports", "--by", "stream,provider", "--by", "day").out
    assert [(row["stream"], row["provider"], row["delivered"], row["complaint_rate"]) for row in found["data"]] == [
        ("marketing", "gmail", 1000, 0.002)
    ]
    assert found["group_by"] == ["day", "stream", "provider"]
    assert told("reports", "--domain", "nope.example").code == "not_found"
    assert "There is no provider 'nope'; there are " in told("reports", "--provider", "nope").said
    assert told("reports", "--by", "ip,domain").code == "invalid"


def test_alarms(told: Postlane) -> None:
    (alarm,) = told("alarms", "list").out
    assert told("alarms", "show", alarm["id"]).out["changes"][0]["change"] == "raised"
    assert told("alarms", "ack", alarm["id"]).out["acknowledged_by"]
    assert told("alarms", "snooze", alarm["id"], "--minutes", "5").out["snoozed_until"]
    assert told("alarms", "clear", alarm["id"]).out["cleared"] is True
    assert len(told("alarms", "list", "--days", "7").out) == 1


def test_rules(told: Postlane) -> None:
    made = told("alarms", "rules", "set", "complaints", "warn=0.002", "stop=").out
    assert {one["name"]: one["value"] for one in made["settings"]}["warn"] == 0.002
    assert told("alarms", "rules", "set", "complaints", "warn=much").code == "bad_value"
    assert told("alarms", "rules", "set", "nonsense", "warn=1").code == "not_found"
    assert len(told("alarms", "rules", "list").out) >= 9


def test_breakers(told: Postlane) -> None:
    stream = ("shop", "marketing", "yahoo")
    assert told("alarms", "breakers", "stop", *stream, "--reason", "ticket 7").out["reason"] == "ticket 7"
    assert [one["provider"] for one in told("alarms", "breakers", "list").out] == ["yahoo"]
    assert told("alarms", "breakers", "end", *stream).out["released"] == 0
    assert told("alarms", "breakers", "end", *stream).code == "conflict"


def test_mail_and_seeds_and_standing(told: Postlane, tmp_path: Path) -> None:
    assert told("alarms", "mail", "show").out["recipients"] == []
    assert told("alarms", "mail", "test").code == "nobody_told"
    made = told("alarms", "mail", "set", "--to", "ops@example.net", "--from", "alarms@shop.example").out
    assert (made["recipients"], made["host"]) == (["ops@example.net"], None)
    assert told("alarms", "mail", "test").code == "not_sent"
    assert told("alarms", "mail", "off").status == 0
    assert told("seeds", "list").out == []
    assert told("seeds", "show", "nobody@example.com").code == "not_found"
    (tmp_path / "snds.csv").write_text(SNDS)
    assert told("standing", "import", "snds", str(tmp_path / "snds.csv")).out["strangers"] == ["192.0.2.2"]
    assert len(told("standing", "list", "192.0.2.1").out) == 4
    assert told("standing", "import", "snds", str(tmp_path / "none.csv")).code == "no_file"


def test_status_says_what_runs(told: Postlane, database_url: str) -> None:
    found = told("status")
    assert (found.status, found.out["processes"]) == (0, [])
    assert [one["name"] for one in found.out["servers"]] == ["PostgreSQL", "Valkey"]
    assert found.out["schema"]["revision"] == found.out["schema"]["newest"]

    async def killed(database: Database) -> None:
        await execute(
            database,
            "INSERT INTO heartbeats (id, name, host, pid, version, seen_at) VALUES (gen_random_uuid(), 'scheduler',"
            " 'one', 7, '1.0', now() - interval '1 minute')",
        )

    in_database(database_url, killed)
    found = told("status")
    assert (found.status, [one["silent"] for one in found.out["processes"]]) == (1, [True])
    assert {one["name"] for one in told("status", "--settings").out["settings"]} >= {"POSTLANE_SECRET"}
