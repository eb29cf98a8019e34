"""The supervisor with real, tiny shell services: order, readiness, restarts, bounded stops, nothing left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cli.running import supervisor as supervisor_module
from cli.running.processes import Process, wait_until
from cli.running.supervisor import Service, ServiceState, Status, Supervisor, http_ready, restart_delay, tcp_ready
from core.errors import UnavailableError

_DIARY = 'trap \'echo "stop {name}" >> diary; exit 0\' TERM; echo "start {name}" >> diary; touch {name}.ready; {rest}'
_FOREVER = "while :; do sleep 0.02; done"


def _service(folder: Path, name: str, *, rest: str = _FOREVER, group: str = "", stop_timeout: float = 3.0) -> Service:
    return Service(
        name,
        ("/bin/sh", "-c", _DIARY.format(name=name, rest=rest)),
        ready=(folder / f"{name}.ready").exists,
        ready_timeout=5.0,
        stop_timeout=stop_timeout,
        group=group,
        cwd=folder,
    )


def _deaf(folder: Path, name: str) -> Service:
    script = f"trap '' TERM; touch {name}.ready; {_FOREVER}"
    ready = (folder / f"{name}.ready").exists
    return Service(name, ("/bin/sh", "-c", script), ready=ready, stop_timeout=60.0, cwd=folder)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _state(supervisor: Supervisor, name: str) -> ServiceState:
    return next(state for state in supervisor.states() if state.name == name)


def _tick_until(supervisor: Supervisor, condition: object, seconds: float = 8.0) -> bool:
    def look() -> bool:
        supervisor.tick()
        return bool(condition())  # type: ignore[operator]

    return wait_until(look, seconds)


def test_starts_in_order_and_stops_in_reverse_order(tmp_path: Path) -> None:
    supervisor = Supervisor([_service(tmp_path, name) for name in ("one", "two", "three")], tmp_path / "logs")
    assert {state.status for state in supervisor.states()} == {Status.WAITING}
    supervisor.start()
    assert [state.status for state in supervisor.states()] == [Status.RUNNING] * 3
    pids = [state.pid for state in supervisor.states()]
    supervisor.stop()
    words = (tmp_path / "diary").read_text().split("\n")[:-1]
    assert words == ["start one", "start two", "start three", "stop three", "stop two", "stop one"]
    assert all(pid and _gone(pid) for pid in pids)
    assert [state.status for state in supervisor.states()] == [Status.STOPPED] * 3
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["one.log", "three.log", "two.log"]


def test_the_next_group_waits_until_the_one_before_is_ready(tmp_path: Path) -> None:
    slow = Service("slow", ("/bin/sh", "-c", f"sleep 0.3; touch slow.ready; {_FOREVER}"), cwd=tmp_path)
    slow = Service(slow.name, slow.command, ready=(tmp_path / "slow.ready").exists, cwd=tmp_path)
    check = "test -f slow.ready && touch good; " + _FOREVER
    supervisor = Supervisor([slow, _service(tmp_path, "next", rest=check)], tmp_path)
    supervisor.start()
    assert wait_until((tmp_path / "good").exists, 3)
    supervisor.stop()


def test_a_killed_service_is_restarted_after_half_a_second_and_counted(tmp_path: Path) -> None:
    supervisor = Supervisor([_service(tmp_path, "one")], tmp_path)
    supervisor.start()
    first = _state(supervisor, "one")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    begun = time.monotonic()
    assert _tick_until(supervisor, lambda: _state(supervisor, "one").status is Status.RESTARTING)
    assert _state(supervisor, "one").pid is None
    assert _tick_until(supervisor, lambda: _state(supervisor, "one").status is Status.RUNNING)
    assert time.monotonic() - begun >= 0.5
    again = _state(supervisor, "one")
    assert (again.restarts, again.exit_code) == (1, -signal.SIGKILL)
    assert again.pid not in (None, first.pid)
    supervisor.stop()


@pytest.mark.parametrize(("crashes", "delay"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (6, 10.0), (5000, 10.0)])
def test_restart_delay_doubles_up_to_ten_seconds(crashes: int, delay: float) -> None:
    assert restart_delay(crashes) == delay


def test_a_service_that_ends_at_its_first_start_is_an_error_with_its_log_and_stops_the_others(tmp_path: Path) -> None:
    broken = Service("broken", ("/bin/sh", "-c", "echo no such setting; exit 3"), ready=lambda: False)
    supervisor = Supervisor([_service(tmp_path, "one"), broken], tmp_path)
    with pytest.raises(UnavailableError, match=r"broken ended with status 3(.|\n)*no such setting"):
        supervisor.run()
    assert "stop one" in (tmp_path / "diary").read_text()


def test_a_service_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    never = Service("never", ("/bin/sleep", "60"), ready=lambda: False, ready_timeout=0.2)
    supervisor = Supervisor([never], tmp_path)
    with pytest.raises(UnavailableError, match=r"never was not ready within 0\.2 s"):
        supervisor.start()
    supervisor.stop()


def test_the_stop_is_bounded_even_when_nobody_obeys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert supervisor_module.STOP_SECONDS == 10
    monkeypatch.setattr(supervisor_module, "STOP_SECONDS", 3.0)
    supervisor = Supervisor([_deaf(tmp_path, name) for name in ("a", "b", "c", "d")], tmp_path)
    supervisor.start()
    pids = [state.pid for state in supervisor.states()]
    begun = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun < 3.5
    assert all(pid and _gone(pid) for pid in pids)


def test_a_second_request_hurries(tmp_path: Path) -> None:
    supervisor = Supervisor([_deaf(tmp_path, name) for name in ("a", "b")], tmp_path)
    supervisor.start()
    supervisor.request_stop()
    supervisor.request_stop()
    begun = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun < 3


def test_a_group_starts_and_stops_together(tmp_path: Path) -> None:
    slow_end = "trap 'sleep 0.5; exit 0' TERM; touch {name}.ready; " + _FOREVER
    services = [
        Service(
            name,
            ("/bin/sh", "-c", slow_end.format(name=name)),
            ready=(tmp_path / f"{name}.ready").exists,
            group="workers",
            cwd=tmp_path,
        )
        for name in ("a", "b", "c", "d")
    ]
    supervisor = Supervisor(services, tmp_path)
    supervisor.start()
    begun = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun < 4 * 0.5
    assert {state.exit_code for state in supervisor.states()} == {0}


def test_a_running_process_is_adopted_and_restarted(tmp_path: Path) -> None:
    process = Process(_service(tmp_path, "server"), tmp_path / "server.log")
    process.start()
    before = process.pid
    assert before is not None
    supervisor = Supervisor([process], tmp_path)
    supervisor.start()
    assert _state(supervisor, "server").pid == before
    os.kill(before, signal.SIGKILL)
    assert _tick_until(supervisor, lambda: process.alive() and process.pid != before)
    supervisor.stop()
    assert not process.alive()


def test_a_broken_display_leaves_no_process(tmp_path: Path) -> None:
    supervisor = Supervisor([_service(tmp_path, "one"), _service(tmp_path, "two")], tmp_path)
    pids: list[int] = []

    def display() -> None:
        pids.extend(state.pid for state in supervisor.states() if state.pid)
        if {state.status for state in supervisor.states()} == {Status.RUNNING}:
            raise RuntimeError("cannot draw")

    with pytest.raises(RuntimeError, match="cannot draw"):
        supervisor.run(display)
    assert len(set(pids)) == 2
    assert all(_gone(pid) for pid in pids)


def test_names_are_unique(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        Supervisor([_service(tmp_path, "one"), _service(tmp_path, "one")], tmp_path)


_PROGRAM = """
import sys
from pathlib import Path
from cli.running.supervisor import Service, Supervisor

folder = Path(sys.argv[1])
script = "trap '' TERM HUP INT; while :; do sleep 0.02; done"
services = [Service(name, ("/bin/sh", "-c", script), stop_timeout=float(sys.argv[2])) for name in ("a", "b")]
supervisor = Supervisor(services, folder)

def note():
    (folder / "pids").write_text(" ".join(str(state.pid) for state in supervisor.states() if state.pid))

supervisor.run(note)
"""


def _supervising_process(folder: Path, stop_timeout: float) -> tuple[subprocess.Popen[bytes], list[int]]:
    command = [sys.executable, "-c", textwrap.dedent(_PROGRAM), str(folder), str(stop_timeout)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.getcwd()})
    pids = folder / "pids"
    assert wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 10)
    return process, [int(word) for word in pids.read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_kill_9_of_the_supervisor_leaves_no_child(tmp_path: Path) -> None:
    process, pids = _supervising_process(tmp_path, 3.0)
    process.kill()
    process.wait()
    assert wait_until(lambda: all(_gone(pid) for pid in pids), 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    process, pids = _supervising_process(tmp_path, 0.2)
    process.send_signal(number)
    assert process.wait(8) == 0
    assert all(_gone(pid) for pid in pids)


def test_a_second_ctrl_c_hurries(tmp_path: Path) -> None:
    process, pids = _supervising_process(tmp_path, 30.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert all(_gone(pid) for pid in pids)


def test_readiness_checks_of_a_port_and_a_page(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    (tmp_path / "ok").write_text("fine")
    web = Process(
        Service("web", (sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"), cwd=tmp_path), log
    )
    web.start()
    assert wait_until(lambda: "port" in log.read_text(), 10)
    port = int(log.read_text().split("port ")[1].split()[0])
    assert tcp_ready("127.0.0.1", port)()
    assert http_ready(f"http://127.0.0.1:{port}/ok")()
    assert not http_ready(f"http://127.0.0.1:{port}/missing")()
    web.stop()
    assert not tcp_ready("127.0.0.1", port)()
    assert not http_ready(f"http://127.0.0.1:{port}/ok")()
