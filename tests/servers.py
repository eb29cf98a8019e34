"""PostgreSQL and Valkey for one test run, shared by all pytest-xdist workers.

`shared_servers` is asked by each worker that needs a server; the first one starts a small process (this module as a
program) that runs the embedded servers, tunes them for tests, migrates the template database and writes the URLs. It
ends when it is told to, or when the pytest process that owns the run is gone, so a killed run leaves nothing behind.
"""

import asyncio
import fcntl
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql
from psycopg.rows import TupleRow

from cli.running.embedded import start_servers, stop_requested
from store import migrate, partitions

TEMPLATE = "postlane_template"

_REDIS_DATABASES = 16
"""What a Redis has by default: workers beyond that share one, which the tests' own flush makes unsafe."""

_FACTS = "test-servers.json"
_PID = "test-servers.pid"
_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class TestServers:
    """Where the servers of this run answer."""

    __test__ = False

    database_url: str
    """Any database of the server; its role may create databases."""
    redis_url: str


def shared_servers(folder: Path, owner: int) -> TestServers:
    """The servers of the run that `folder` belongs to, started now if they are not. `owner` is pytest's process id."""
    facts = folder / _FACTS
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():
            _start(folder, owner, facts)
    return TestServers(**json.loads(facts.read_text()))


def stop(folder: Path) -> None:
    """End the servers of a run, if any were started, and wait for them."""
    pid_file = folder / _PID
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    os.kill(pid, 15)
    deadline = time.monotonic() + 20
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def empty_redis(servers: TestServers) -> str:
    """An empty Redis database that no other xdist worker uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    url = f"{servers.redis_url.rsplit('/', 1)[0]}/{int(worker) % _REDIS_DATABASES}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


def make_template(database_url: str) -> None:
    """A migrated database with the partitions of these days, as an installation has it, that others are copied from.
    One that is there from an earlier run is made anew."""
    drop_database(database_url, TEMPLATE)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate.upgrade(with_database(database_url, TEMPLATE))
    asyncio.run(_make_partitions(with_database(database_url, TEMPLATE)))


async def _make_partitions(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await partitions.ensure(connection, datetime.now(UTC).date())


def copy_template(database_url: str, name: str) -> str:
    """A new database with the schema; returns its URL. About 50 ms; copying by WAL takes twice that here."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
    return with_database(database_url, name)


def disconnect_all(connection: psycopg.Connection[TupleRow], name: str) -> None:
    """End the other sessions of our role in a database. Autovacuum belongs to the superuser and is not ours to end."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND usename = current_user AND pid <> pg_backend_pid()",
        [name],
    )


def drop_database(database_url: str, name: str) -> None:
    """Drop a database with whoever of us is connected to it. PostgreSQL itself waits for autovacuum to leave; asked
    for by WITH (FORCE) it would refuse, because ours is no superuser."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        disconnect_all(connection, name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def with_database(database_url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))


def _start(folder: Path, owner: int, facts: Path) -> None:
    log = folder / "servers.log"
    # Its own session: Ctrl-C in the terminal is for pytest, which then ends the servers in order. Not a `Popen`, which
    # warns when the worker that started it ends first.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "tests.servers", str(folder), str(owner)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + _START_SECONDS
    while not facts.exists():
        if os.waitpid(pid, os.WNOHANG)[0] or time.monotonic() > deadline:
            raise RuntimeError(f"the test servers did not start:\n{log.read_text()}")
        time.sleep(0.02)


def _main(folder: Path, owner: int) -> None:
    pid_file = folder / _PID
    with stop_requested() as stop_signals:
        servers = start_servers(folder / "data")
        pid_file.write_text(str(os.getpid()))
        try:
            _tune(servers.postgres.admin_url)
            make_template(servers.database_url)
            _publish(folder / _FACTS, TestServers(servers.database_url, servers.redis_url))
            while not stop_signals and _alive(owner) and all(process.alive() for process in servers.processes):
                time.sleep(0.05)
        finally:
            servers.stop()
            pid_file.unlink()


def _tune(admin_url: str) -> None:
    """Tests need no disk: a power cut ends the run anyway."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")


def _publish(file: Path, servers: TestServers) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_text(json.dumps(asdict(servers)))
    fresh.replace(file)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
