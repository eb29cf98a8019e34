"""`postlane doctor`: processes that are dead or missing, pools without IPs, flags that are switched."""

from typing import Any

import psycopg
import pytest

from flags import service
from flags.service import Change
from store.database import Database
from tests.integration.cli.commands import in_database
from tests.integration.cli.test_doctor import add_domain, doctor, levels, told
from tests.integration.messages.emails import execute

__all__ = ["doctor"]

_PROCESS = """
INSERT INTO heartbeats (id, name, host, pid, version, seen_at, trouble)
VALUES (gen_random_uuid(), %s, 'one', 7, '1.0', now() - make_interval(secs => %s), %s)
"""
_NEEDED = ("api", "scheduler", "worker-transactional-0", "worker-marketing-0", "worker-background-0")


def _say(url: str, *processes: tuple[str, int, str]) -> None:
    async def work(database: Database) -> None:
        await execute(database, "DELETE FROM heartbeats")
        for process in processes:
            await execute(database, _PROCESS, process)

    in_database(url, work)


def test_processes_are_dead_missing_or_fine(doctor: Any, database_url: str) -> None:
    assert levels(doctor())["processes"] == "warning"

    _say(database_url, *((name, 1, "") for name in _NEEDED))
    assert told(doctor(), "processes") == "5 run "

    _say(database_url, *((name, 200 if name == "scheduler" else 1, "") for name in _NEEDED), ("inbound", 1, "no room"))
    found = doctor()
    assert levels(found)["process scheduler"] == "failed"
    assert "silent for 3 min" in told(found, "process scheduler")
    assert "on one: no room" in told(found, "process inbound")
    assert "no scheduler runs" in told(found, "processes")
    assert found.status == 1


def test_a_lane_without_a_default_pool_or_an_ip_is_told(doctor: Any, database_url: str) -> None:
    add_domain(database_url, "5e" * 32)  # with a pool of two IPs for the transactional lane
    found = doctor()
    assert told(found, "pool transactional") == "main, 2 active IPs "
    assert levels(found)["pool marketing"] == "failed"
    assert "--lane marketing --default" in told(found, "pool marketing")

    in_database(database_url, lambda database: execute(database, "UPDATE egress_ips SET active = false"))
    assert "main has no active IP" in told(doctor(), "pool transactional")


def test_switched_flags_are_told_as_of_now(doctor: Any, database_url: str) -> None:
    assert "as declared" in told(doctor(), "flags")

    async def switch(database: Database) -> None:
        async with database.transaction() as connection:
            await service.switch(connection, "tracking", Change(20), "ann")

    in_database(database_url, switch)
    found = doctor()
    assert levels(found)["flags"] == "warning"
    assert "tracking on for 20 % of mail" in told(found, "flags")
    assert "as of " in told(found, "flags")


def test_without_postgresql_the_last_switches_hold(doctor: Any) -> None:
    assert "goes by what it read last" in told(doctor(database_url="postgresql://nobody@127.0.0.1:1/none"), "flags")


@pytest.mark.parametrize("table", ["flags", "heartbeats"])
def test_a_schema_that_is_older_stops_nothing(doctor: Any, database_url: str, table: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {table}")
    found = doctor()
    assert "flags" not in levels(found)
    assert "dns" in levels(found)
