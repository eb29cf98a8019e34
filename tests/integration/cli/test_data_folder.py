"""Data folders that were copied, moved, taken, oddly named or cannot be used: nobody gets another folder's database."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import redis

from cli.running import embedded_place
from cli.running.embedded import AlreadyRunningError, Servers, start_servers
from cli.running.embedded_place import LOCATION_FILE, prepare_data_dir
from core.errors import ConfigurationError
from store.ready import make_ready

pytestmark = pytest.mark.usefixtures("copied_clusters")

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="is about what root has to do")


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder that unprivileged accounts can reach."""
    made = Path(tempfile.mkdtemp(prefix="postlane-test-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def elsewhere(parent: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the servers' account cannot enter; data of folders in it goes to `parent`."""
    private = parent / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(embedded_place, "_private_base", lambda data_dir: parent / f"base-{data_dir.name}")
    return private


def _say_nothing(_line: str) -> None:
    return None


def _copy(source: Path, target: Path) -> None:
    """As `cp -a` does it, of a folder whose servers may run; sockets cannot be copied."""
    subprocess.run(["cp", "-a", source, target], check=True)
    shutil.rmtree(target / "run", ignore_errors=True)


def _put(servers: Servers, value: str) -> None:
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def _values(servers: Servers) -> list[str]:
    with psycopg.connect(servers.database_url) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value").fetchall()]


def _answers(servers: Servers) -> bool:
    with closing(redis.Redis.from_url(servers.redis_url)) as client:
        return bool(client.ping()) and all(process.alive() for process in servers.processes)


def test_a_copy_starts_servers_of_its_own_while_the_original_runs(parent: Path) -> None:
    original = start_servers(parent / "data", _say_nothing)
    try:
        _put(original, "before")
        with psycopg.connect(original.postgres.admin_url) as connection:
            connection.execute("CHECKPOINT")
        _copy(parent / "data", parent / "copy")
        told: list[str] = []
        copied = start_servers(parent / "copy", told.append)
        try:
            _put(copied, "only in the copy")
            assert _answers(original)
            assert _values(original) == ["before"]
            assert _values(copied) == ["before", "only in the copy"]
            assert copied.redis_url != original.redis_url
            assert told == []
        finally:
            copied.stop()
        assert _answers(original)
    finally:
        original.stop()


def test_a_moved_folder_takes_its_data_along(parent: Path) -> None:
    first = start_servers(parent / "data", _say_nothing)
    _put(first, "one")
    first.stop()
    (parent / "data").rename(parent / "moved")
    again = start_servers(parent / "moved", _say_nothing)
    try:
        assert _values(again) == ["one"]
        assert not (parent / "data").exists()
    finally:
        again.stop()


@as_root
@pytest.mark.parametrize("running", [True, False])
def test_a_copy_whose_data_is_elsewhere_is_refused(parent: Path, elsewhere: Path, running: bool) -> None:
    original = start_servers(elsewhere / "data", _say_nothing)
    try:
        _put(original, "one")
        if not running:
            original.stop()
        _copy(elsewhere / "data", elsewhere / "copy")
        with pytest.raises(ConfigurationError, match=rf"copy of {elsewhere / 'data'}, whose database is in {parent}"):
            start_servers(elsewhere / "copy", _say_nothing)
        assert not running or _answers(original)
        (elsewhere / "copy" / LOCATION_FILE).unlink()
        begun_anew = start_servers(elsewhere / "copy", _say_nothing)
        begun_anew.stop()
        assert not running or _values(original) == ["one"]
    finally:
        original.stop()


@as_root
def test_a_moved_folder_finds_its_data_elsewhere(elsewhere: Path) -> None:
    first = start_servers(elsewhere / "data", _say_nothing)
    _put(first, "one")
    first.stop()
    (elsewhere / "data").rename(elsewhere / "moved")
    again = start_servers(elsewhere / "moved", _say_nothing)
    try:
        assert _values(again) == ["one"]
    finally:
        again.stop()
    _copy(elsewhere / "moved", elsewhere / "another-disk")
    shutil.rmtree(elsewhere / "moved")
    start_servers(elsewhere / "another-disk", _say_nothing).stop()


@as_root
def test_data_that_is_gone_is_not_replaced_by_an_empty_database(parent: Path, elsewhere: Path) -> None:
    start_servers(elsewhere / "data", _say_nothing).stop()
    (parent / "base-data").rename(parent / "not-mounted")
    with pytest.raises(ConfigurationError, match="that is not there"):
        start_servers(elsewhere / "data", _say_nothing)


@as_root
def test_the_place_of_the_data_is_locked_too(elsewhere: Path) -> None:
    first = start_servers(elsewhere / "data", _say_nothing)
    try:
        (elsewhere / "data").rename(elsewhere / "moved")  # its lock moves along, and a new one could be made
        (elsewhere / "moved" / "postgres.lock").unlink()
        with pytest.raises(AlreadyRunningError, match="already running"):
            start_servers(elsewhere / "moved", _say_nothing)
        assert _answers(first)
    finally:
        (elsewhere / "data").mkdir()
        first.stop()


@pytest.mark.parametrize("name", ["a,b two words", 'it\'s "x" Grüße 世界 %25 back\\slash a=b&c'])
def test_odd_names(parent: Path, name: str) -> None:
    for again in (False, True):
        servers = start_servers(parent / name, _say_nothing)
        try:
            if not again:
                make_ready(servers.database_url)
            assert _answers(servers)
            assert servers.data_dir == parent / name
        finally:
            servers.stop()


@pytest.mark.parametrize("word", ["up", "doctor", "messages"])
def test_a_data_folder_that_is_a_file_is_a_plain_error(word: str, parent: Path) -> None:
    (parent / "file").touch()
    done = _postlane(parent, "file", *([word, "list"] if word == "messages" else [word]))

    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    if word == "up":
        assert "is a file, not a folder" in done.stderr
        assert "POSTLANE_DATA_DIR" in done.stderr


def test_a_folder_below_a_file_or_on_a_read_only_disk_is_a_plain_error(parent: Path) -> None:
    (parent / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made: Not a directory"):
        prepare_data_dir(parent / "file" / "data")
    with pytest.raises(ConfigurationError, match=r"cannot be made|cannot be written|belongs to user"):
        prepare_data_dir(Path("/proc/postlane") if ROOT else Path("/"))


def _postlane(cwd: Path, data_dir: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLANE_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=cwd,
        env=env | {"PYTHONPATH": os.getcwd(), "POSTLANE_DATA_DIR": data_dir},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
