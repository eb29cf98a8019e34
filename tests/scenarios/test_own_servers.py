"""`postlane up` beside servers that exist already.

Path: POSTLANE_DATABASE_URL and POSTLANE_REDIS_URL are set; `postlane up`.
Expectation: the schema is made in that database and mail is served from there; no PostgreSQL and no Valkey is started,
nor any file of one made.
"""

import json
import urllib.request

import psycopg
import pytest

from tests.scenarios.terminal import PATIENCE_SECONDS, STOP_SECONDS, descendants, up
from tests.servers import TestServers, drop_database, with_database
from tests.stack import reachable_folder

pytestmark = pytest.mark.scenario


def test_up_uses_the_servers_it_is_given_and_starts_none(servers: TestServers, redis_url: str) -> None:
    name = "postlane_given"
    drop_database(servers.database_url, name)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE postlane_given")
    url = with_database(servers.database_url, name)
    env = {"POSTLANE_DATABASE_URL": url, "POSTLANE_REDIS_URL": redis_url}
    try:
        with reachable_folder() as folder, up(folder, env=env) as terminal:
            terminal.until(lambda: terminal.lines("API http"), PATIENCE_SECONDS, "API line")
            api_url = terminal.lines("API http")[0].split()[1]
            terminal.until(lambda: _get(f"{api_url}/healthz"), PATIENCE_SECONDS, "API")
            assert json.loads(_get(f"{api_url}/openapi.json"))["info"]
            names = descendants(terminal.process.pid).values()
            assert names
            assert not [name for name in names if "postgres" in name or "valkey" in name or "redis" in name]
            made = {entry.name for entry in (folder / ".postlane").iterdir()}
            assert not made & {"postgres", "valkey", "servers.json", "postgres.lock", "valkey.lock"}
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT count(*) FROM delivery_queue").fetchone() == (0,)
            status, seconds = terminal.interrupt()
            assert (status, seconds <= STOP_SECONDS) == (0, True)
    finally:
        drop_database(servers.database_url, name)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())
