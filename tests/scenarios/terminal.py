"""`postlane up` as a person runs it: a process of its own, in a folder of its own, ended with Ctrl-C."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.running import free_ports
from tests.stack import AS_OTHERS

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0
"""What is promised for a warm install on a machine that has nothing else to do."""
STOP_SECONDS = 10.0
PATIENCE_SECONDS = 240.0
"""How long a busy machine may take for what is promised."""
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What colours text and moves the cursor."""


class Stopwatch:
    """The seconds that a process and those below it would have taken with the machine to themselves.

    Of a machine with two processors of which others used one, half was ours: so 90 seconds count as 45. Nothing is
    taken off on a machine that does nothing else. Without Linux's /proc all seconds count.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begun = time.monotonic()
        self._used = self._others()

    def seconds(self) -> float:
        """Since this was made."""
        took = time.monotonic() - self._begun
        machine = took * (os.cpu_count() or 1)
        return took * max(0.0, 1 - (self._others() - self._used) / machine)

    def _others(self) -> float:
        """Processor seconds that everybody else has used."""
        try:
            user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        except OSError:
            return 0.0
        ours = sum(_used(pid) for pid in (self._pid, *descendants(self._pid)))
        return (user + nice + system + irq + soft + steal - ours) / os.sysconf("SC_CLK_TCK")


def _used(pid: int) -> int:
    """Clock ticks of a process, and of its children that have ended."""
    try:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    except OSError:  # it ended that moment
        return 0


@dataclass(frozen=True)
class Terminal:
    """One run. `printed` is what one would see."""

    process: subprocess.Popen[bytes]
    output: Path

    def printed(self) -> str:
        return _STEERING.sub("", self.output.read_text("utf-8", "replace"))

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> float:
        """Poll until true; the seconds it took. Fails when the time is over or the process has ended."""
        started = time.monotonic()
        while True:
            with contextlib.suppress(OSError, ValueError):
                if condition():
                    return time.monotonic() - started
            if self.process.poll() is not None or time.monotonic() - started > seconds:
                code = self.process.returncode
                raise AssertionError(f"no {what} after {seconds:g} s (exit status {code}):\n{self.printed()[-3000:]}")
            time.sleep(0.05)

    def lines(self, beginning: str) -> list[str]:
        """Printed lines that begin so."""
        return [line for line in self.printed().splitlines() if line.startswith(beginning)]

    def interrupt(self) -> tuple[int, float]:
        """Ctrl-C; exit status, and the seconds until it had ended."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(STOP_SECONDS + 20)
        return status, time.monotonic() - started


@contextlib.contextmanager
def up(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, looked_at: bool = False
) -> Iterator[Terminal]:
    """`postlane up` in this folder, `looked_at` by somebody or written to a file. Whatever happens, it has been told to
    end when the block is left."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTLANE_")}
    ports = map(str, free_ports.take(3))  # the usual ones another test would take at the same moment
    names = ("POSTLANE_API_PORT", "POSTLANE_PUBLIC_PORT", "POSTLANE_CONSOLE_PORT")
    own = {"PYTHONPATH": str(ROOT), **AS_OTHERS, **dict(zip(names, ports, strict=True))}
    output = folder / f"terminal-{time.monotonic_ns()}"
    with _screen(output) if looked_at else output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", *arguments], cwd=folder, stdout=out, stderr=subprocess.STDOUT,
            env=clean | own | dict(env or {}), start_new_session=True,
        )  # fmt: skip
    try:
        yield Terminal(process, output)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS + 20)


@contextlib.contextmanager
def _screen(output: Path) -> Iterator[int]:
    """The end of a terminal that a program writes to; what it shows is kept until the last one has let go of it."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (40, 100))
    threading.Thread(target=_kept, args=(ours, output), name="screen", daemon=True).start()
    try:
        yield theirs
    finally:
        os.close(theirs)


def _kept(terminal: int, output: Path) -> None:
    with output.open("wb", buffering=0) as out, contextlib.suppress(OSError):  # EIO: nobody writes there any more
        while data := os.read(terminal, 65536):
            out.write(data)
    os.close(terminal)


def descendants(pid: int) -> dict[int, str]:
    """Process id → command name of every process below this one."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        below = {int(row[0]): row[2].strip() for row in rows if int(row[1]) in parents}
        found.update(below)
        parents = set(below)
    found_ps = [number for number, name in found.items() if name == "ps"]
    for number in found_ps:
        del found[number]
    return found


def alive(pids: Mapping[int, str]) -> dict[int, str]:
    """Those that still run under the same name."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,comm="], capture_output=True, text=True, check=True).stdout
    running = dict(line.split(None, 1) for line in table.splitlines())
    return {pid: name for pid, name in pids.items() if running.get(str(pid), "").strip() == name}
