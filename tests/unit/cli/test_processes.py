"""One child process: log files and their rotation, accounts of waiting, the end of a whole process group."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cli.running import processes
from cli.running.processes import Process, Service, log_tail, open_log, wait_until


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # killed but not yet reaped by init counts as gone
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return sys.platform != "linux"


def test_output_goes_to_a_private_log_that_is_kept_over_restarts(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "greeter.log"
    process = Process(
        Service("greeter", ("/bin/sh", "-c", 'echo "out $GREETING"; echo err >&2'), {"GREETING": "hi"}), log
    )
    for _ in range(2):
        process.start()
        assert process.wait_exit(5)
    assert log.read_text() == "out hi\nerr\n" * 2
    assert log.stat().st_mode & 0o777 == 0o600
    assert process.exit_code() == 0


def test_standard_input_and_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_SECRET", "hidden")
    log = tmp_path / "reader.log"
    service = Service("reader", ("/bin/sh", "-c", "cat; env"), inherit_env=False, stdin=b"port 1\n")
    process = Process(service, log)
    process.start()
    assert process.wait_exit(5)
    assert log.read_text().startswith("port 1\n")
    assert "hidden" not in log.read_text()


def test_log_is_rotated_by_size_and_three_old_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_ROTATE_BYTES", 3)
    log = tmp_path / "x.log"
    for text in (b"one!", b"two!", b"three!", b"four!", b"five!"):
        with open_log(log) as file:
            file.write(text)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "x.log": b"five!",
        "x.log.1": b"four!",
        "x.log.2": b"three!",
        "x.log.3": b"two!",
    }


def test_log_tail_gives_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert log_tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(2000)))
    assert log_tail(log, 2) == "line 1998\nline 1999"


def test_a_process_that_ignores_the_stop_signal_is_forced_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo $! > child; while :; do sleep 0.05; done"
    process = Process(Service("stubborn", ("/bin/sh", "-c", script), cwd=tmp_path), tmp_path / "x.log")
    process.start()
    assert wait_until(lambda: (tmp_path / "child").exists() and bool((tmp_path / "child").read_text().strip()), 5)
    child = int((tmp_path / "child").read_text())
    begun = time.monotonic()
    process.stop(0.2)
    assert process.exit_code() == -signal.SIGKILL
    assert wait_until(lambda: not _alive(child), 2)
    assert time.monotonic() - begun < 5


def test_a_missing_program_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Process(Service("nothing", ("/no/such/program",)), tmp_path / "x.log").start()
