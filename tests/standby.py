"""PostgreSQL on two nodes: a primary, and a standby without which it acknowledges nothing. For tests that lose both.

Both are embedded servers in folders of their own. Clients are given both addresses and take whichever may be written
to (`target_session_attrs`, libpq): nothing of Postlane is told of a fail-over. What a cluster manager does on a server
(judging that the primary is gone, keeping it away, promoting the standby) the test does: `lose`, `promote`.
"""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from cli.running.embedded_place import Place, choose_place, own_folder, prepare_data_dir, socket_folder
from cli.running.embedded_postgres import EmbeddedPostgres, start_postgres
from cli.running.embedded_valkey import EmbeddedValkey, start_valkey
from cli.running.processes import Process

_PATIENCE_SECONDS: Final = 30.0


@dataclass(slots=True)
class _Node:
    """One server."""

    folder: Path
    place: Place
    sockets: Path
    server: EmbeddedPostgres | None = None

    @property
    def cluster(self) -> Path:
        return self.place.base / "postgres"

    def ask(self, statement: str) -> object:
        """The first column of the first row, as superuser; None when there is none."""
        assert self.server is not None
        with psycopg.connect(self.server.admin_url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def start(self) -> None:
        self.server = start_postgres(self.folder, lambda _: None)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
        self.server = None


class Pair:
    """Both nodes, and a Valkey."""

    def __init__(self, folder: Path) -> None:
        self._primary, self._standby = _node(folder / "node-a"), _node(folder / "node-b")
        sockets = ",".join(str(node.sockets) for node in (self._primary, self._standby))
        self.database_url = (
            f"postgresql://postlane@/postlane?host={quote(sockets, safe='')}&port=5432,5432"
            "&target_session_attrs=read-write"
        )
        self._valkey: EmbeddedValkey = start_valkey(folder, lambda _: None)
        self.redis_url = self._valkey.url
        self.processes: tuple[Process, ...] = (self._valkey.process,)
        """What a supervisor may start again. No node: a primary that comes back by itself beside its successor is what
        a cluster manager is there to prevent."""

    def start(self) -> None:
        """The primary, and then its standby."""
        self._primary.start()
        self._follow()

    def stop(self) -> None:
        """Everything."""
        for node in (self._standby, self._primary):
            node.stop()
        self._valkey.stop()

    def lose(self) -> None:
        """kill -9 of the primary: it stays away."""
        server = self._primary.server
        assert server is not None and server.process.pid is not None
        os.kill(server.process.pid, signal.SIGKILL)
        self._primary.stop()

    def promote(self) -> None:
        """The standby is the primary now, and waits for nobody: the lost one may never come back."""
        self._primary, self._standby = self._standby, self._primary
        assert self._primary.ask("SELECT pg_promote()") is True

    def rejoin(self) -> None:
        """The node that was lost is the new primary's standby: with an empty disk, as a new machine would be."""
        shutil.rmtree(self._standby.cluster)
        self._follow()

    def _follow(self) -> None:
        primary, standby = self._primary, self._standby
        _let_replicate(primary)
        _copy(primary, standby)
        standby.start()
        standby.ask("ALTER SYSTEM RESET synchronous_standby_names")  # copied, and for the time after its promotion
        standby.ask("SELECT pg_reload_conf()")
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.ask("SELECT pg_reload_conf()")
        _until(primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'")


def start_pair(folder: Path) -> Pair:
    """Both nodes, and the Valkey; nothing is left running when that fails."""
    made = Pair(folder)
    try:
        made.start()
    except BaseException:
        made.stop()
        raise
    return made


def _node(folder: Path) -> _Node:
    place = choose_place(prepare_data_dir(folder), lambda _: None)
    return _Node(folder, place, socket_folder(place))


def _let_replicate(node: _Node) -> None:
    """Connections of the account the servers run as, for the walreceiver; until the next start writes these anew."""
    account = node.place.account
    with (node.cluster / "pg_hba.conf").open("a") as file:
        file.write("local replication postgres peer map=postlane\n")
    if account is not None:
        with (node.cluster / "pg_ident.conf").open("a") as file:
            file.write(f'postlane "{account.name}" postgres\n')
    node.ask("SELECT pg_reload_conf()")


def _copy(primary: _Node, standby: _Node) -> None:
    """A base backup, with what makes it a standby of `primary`."""
    assert primary.server is not None
    program = Path(primary.server.process.service.command[0]).with_name("pg_basebackup")
    account = standby.place.account
    own_folder(standby.cluster, account)
    run = subprocess.run(
        [
            *(program, "-D", standby.cluster, "-h", primary.sockets, "-p", "5432", "-U", "postgres"),
            *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
        ],
        cwd="/", capture_output=True, text=True, env={"PATH": os.defpath, "LC_ALL": "C"},
        user=account.uid if account else None, group=account.gid if account else None,
        extra_groups=[] if account else None,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def _until(node: _Node, question: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not node.ask(question):
        assert time.monotonic() < deadline, f"waited {_PATIENCE_SECONDS:g} s for {question}"
        time.sleep(0.05)
