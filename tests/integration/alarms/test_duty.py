"""From what is stored to alarms and breakers, and back when it is over."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alarms import breakers, duty
from alarms.duty import Certificates
from alarms.model import AlarmKind
from alarms.repository import open_alarms
from alarms.rule_settings import change, rules
from alarms.rules import RULES
from core.queues import Lane
from mta.model import EgressIp
from mta.server_certificate import self_signed
from pools.repository import ensure_pool
from store import heartbeats
from store.database import Database
from store.locks import Lock
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.integration.store.test_figures import counted

NOW = datetime.now(UTC)
STREAM = "marketing mail of shop to yahoo"


@pytest.fixture(autouse=True)
async def _shop(database: Database) -> None:
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'shop')", [APPLICATION])


async def judged(database: Database, folder: Path) -> dict[tuple[str, str], str]:
    """Open alarms after a round: (kind, subject) → severity."""
    await duty.judge_all(database, Certificates(folder))
    async with database.connection() as connection:
        return {(one.kind, one.subject): one.severity for one in await open_alarms(connection)}


async def stopped(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [one.why for one in await breakers.holding(connection)]


async def of_yahoo(database: Database, outcome: str, n: int, **changes: Any) -> None:
    await counted(database, changes.pop("at", NOW), n, provider="yahoo", outcome=outcome, part="1", **changes)


async def test_many_complaints_stop_the_stream_once(database: Database, tmp_path: Path) -> None:
    await of_yahoo(database, "delivered", 10_000)
    await of_yahoo(database, "complained", 20, at=NOW - timedelta(hours=1))
    assert await judged(database, tmp_path) == {("complaints", STREAM): "warning"}
    assert await stopped(database) == []
    await of_yahoo(database, "complained", 20, at=NOW - timedelta(hours=2))
    assert await judged(database, tmp_path) == {("complaints", STREAM): "critical"}
    (why,) = await stopped(database)
    assert why == f"{STREAM} is stopped: 40 complaints about 10,000 delivered in 72 hours: 0.40%"
    before = await rows(database, "SELECT since, until FROM breakers")
    await judged(database, tmp_path)
    assert await rows(database, "SELECT since, until FROM breakers") == before


async def test_what_was_counted_before_a_breaker_ended_does_not_trip_it_again(
    database: Database, tmp_path: Path
) -> None:
    await of_yahoo(database, "delivered", 10_000)
    await of_yahoo(database, "complained", 60, at=NOW - timedelta(hours=1))
    await judged(database, tmp_path)
    async with database.transaction() as connection:
        await breakers.finish(connection, (APPLICATION, "marketing", "yahoo"), "anna")

    assert (await judged(database, tmp_path), await stopped(database)) == ({}, [])


async def test_an_alarm_of_a_rule_that_is_switched_off_is_over(database: Database, tmp_path: Path) -> None:
    await of_yahoo(database, "delivered", 900)
    await of_yahoo(database, "bounced", 100)
    bounces = ("hard_bounces", "marketing mail of shop")
    assert await judged(database, tmp_path) == {bounces: "critical"}
    async with database.transaction() as connection:
        state = await change(connection, RULES[AlarmKind.HARD_BOUNCES], {"critical": 0.5}, "anna")
        assert (state.values["critical"], state.values["warn"], state.by) == (0.5, 0.02, "anna")
    assert await judged(database, tmp_path) == {bounces: "warning"}
    async with database.transaction() as connection:
        await change(connection, RULES[AlarmKind.HARD_BOUNCES], {"critical": None, "enabled": 0}, "anna")
        assert (await rules(connection))[AlarmKind.HARD_BOUNCES].values["critical"] == 0.05
    assert await judged(database, tmp_path) == {}


async def test_a_share_that_falls_is_seen_by_topic_and_stream(database: Database, tmp_path: Path) -> None:
    await of_yahoo(database, "delivered", 9_900, at=NOW - timedelta(days=3))
    await of_yahoo(database, "bounced", 100, at=NOW - timedelta(days=3))
    await of_yahoo(database, "delivered", 100, at=NOW - timedelta(hours=1))
    await of_yahoo(database, "deferred", 300, at=NOW - timedelta(hours=1))

    assert await judged(database, tmp_path) == {("delivered_share", STREAM): "critical"}


async def test_queue_rests_records_and_certificates(database: Database, tmp_path: Path) -> None:
    (tmp_path / "inbound.pem").write_bytes(self_signed("host", NOW - timedelta(days=3640)))
    (tmp_path / "other.pem").write_text("no certificate")
    await execute(
        database,
        "INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at)"
        " VALUES (gen_random_uuid(), 0, 'transactional', 'a.example', 'u@a.example', 'u@a.example',"
        " now() - interval '9 minutes')",
    )
    await execute(
        database,
        "INSERT INTO throttles (kind, subject, site, state, since, rate, rule, class, reply, stepped_at) VALUES"
        " ('ip', '192.0.2.1', 'gmail', 'throttled', now() - interval '5 hours', 1, 'r', 'c', 'slow down', now())",
    )
    for name, status, record in (
        ("gone.example", "temporary_failure", "failed"),
        ("half.example", "verified", "pending"),
    ):
        await execute(
            database,
            "INSERT INTO domains (id, application_id, name, return_path_domain, status, record_status) VALUES"
            " (gen_random_uuid(), %s, %s, 'x', %s, jsonb_build_object('spf', jsonb_build_object('status', %s::text)))",
            [APPLICATION, name, status, record],
        )

    assert await judged(database, tmp_path) == {
        ("certificate", str(tmp_path / "inbound.pem")): "warning",
        ("queue_age", "transactional"): "warning",
        ("ip_resting", "192.0.2.1 at gmail"): "warning",
        ("domain_lost", "gone.example of shop"): "critical",
        ("dns_record", "half.example of shop"): "warning",
    }
    for table in ("delivery_queue", "throttles", "domains"):
        await execute(database, f"DELETE FROM {table}")
    (tmp_path / "inbound.pem").unlink()
    assert await judged(database, tmp_path) == {}


async def test_a_pool_whose_ips_all_rest_is_told_until_one_sends_again(database: Database, tmp_path: Path) -> None:
    addresses = ("192.0.2.1", "192.0.2.2")
    async with database.transaction() as connection:
        await ensure_pool(
            connection, "receipts", Lane.TRANSACTIONAL, [EgressIp(one, one, "mail.x") for one in addresses]
        )
    rest = (
        "INSERT INTO throttles (kind, subject, site, state, since, rest_until, rate, rule, class, reply, stepped_at)"
        " VALUES ('ip', %s, %s, 'throttled', now() - interval '9 minutes', now() + interval '9 minutes', 1, 'r', 'c',"
        " 'slow down', now())"
    )
    await execute(database, rest, [addresses[0], "gmail"])
    assert await judged(database, tmp_path) == {}
    await execute(database, rest, [addresses[1], "*"])
    alarm = {("pool_resting", "receipts at gmail"): "warning"}
    assert await judged(database, tmp_path) == alarm
    await execute(database, "UPDATE throttles SET state = 'probing', since = now() WHERE site = 'gmail'")
    assert await judged(database, tmp_path) == alarm
    await execute(database, "UPDATE throttles SET state = 'recovering' WHERE site = 'gmail'")
    assert await judged(database, tmp_path) == {}


async def test_one_judge_at_a_time(database: Database, tmp_path: Path) -> None:
    await of_yahoo(database, "delivered", 10_000)
    await of_yahoo(database, "complained", 60)
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [Lock.JUDGING_ALARMS])
        assert await judged(database, tmp_path) == {}
    assert len(await judged(database, tmp_path)) == 1


async def test_a_process_that_went_silent_is_an_alarm_until_another_has_its_place(
    database: Database, tmp_path: Path
) -> None:
    heard = (
        "INSERT INTO heartbeats (id, name, host, pid, version, seen_at, started_at) VALUES (gen_random_uuid(), %s,"
        " 'one', 7, '1', now() - make_interval(secs => %s), now() - make_interval(secs => %s))"
    )
    await execute(database, heard, ["scheduler", 1, 9000])
    await execute(database, heard, ["api", 300, 9000])
    alarm = {("process_silent", "api on one, process 7"): "critical"}
    assert await judged(database, tmp_path) == alarm
    await execute(database, heard, ["api", 1, 30])
    async with database.transaction() as connection:
        await heartbeats.forget(connection)
    assert await judged(database, tmp_path) == {}
