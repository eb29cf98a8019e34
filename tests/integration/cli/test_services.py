"""A process that starts while PostgreSQL is away, and what becomes of it when that comes back with other tables."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cli.running import free_ports
from cli.running.processes import wait_until
from cli.running.supervisor import tcp_ready
from store import revisions
from tests.servers import TestServers, drop_database, with_database

CHECKOUT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def away(servers: TestServers) -> Iterator[str]:
    """A database that is not there yet: PostgreSQL refuses who asks for it."""
    name = f"postlane_away_{uuid.uuid4().hex}"
    yield with_database(servers.database_url, name)
    drop_database(servers.database_url, name)


@pytest.mark.parametrize("words", [["api"], ["worker", "background"]], ids=" ".join)
def test_it_asks_again_and_ends_on_tables_that_are_too_old(
    servers: TestServers, away: str, tmp_path: Path, words: list[str]
) -> None:
    """With the words of one that starts now, and as failed."""
    (port,) = free_ports.take(1)
    env = os.environ | {
        "POSTLANE_DATABASE_URL": away, "POSTLANE_REDIS_URL": servers.redis_url, "POSTLANE_SECRET": "5a" * 32,
        "POSTLANE_API_PORT": str(port), "POSTLANE_API_WORKERS": "2", "POSTLANE_METRICS_PORT": str(port),
        "POSTLANE_DATA_DIR": str(tmp_path),
        "POSTLANE_HOSTNAME": "mail.example.com",
    }  # fmt: skip
    command = [sys.executable, "-m", "cli", *words]
    process = subprocess.Popen(
        command, env=env, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert wait_until(tcp_ready("127.0.0.1", port), 60), "it starts without PostgreSQL"
        with psycopg.connect(servers.database_url, autocommit=True) as connection:
            name = psycopg.conninfo.conninfo_to_dict(away)["dbname"]
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(str(name))))
        logged, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    told = f"the tables are at none, this version needs {revisions.newest()}: `postlane migrate`"
    assert process.returncode == 1
    assert told in " ".join(said.split())
    assert "tables_older" in logged
