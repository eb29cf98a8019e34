"""Where the processor time of a mail goes, by the steps of `workers/pipeline`: workers are sampled while they send.

py-spy reads the stacks of a running process from outside (`process_vm_readv`) without halting it. A sample says which
thread was busy with what; how long that thread was busy at all is by the account that Linux keeps (/proc/PID/task), so
that a thread which only waits weighs nothing, however often it is seen.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

SAMPLES: Final = 50
"""A second and process."""
TASKS: Final = "tasks"
"""Celery, hints and the turns of the loop itself: what belongs to no step."""
STEPS: Final = ("claim", "load", "route", "choose", "compose", "sign", "send", "record", "log", TASKS)
OTHERS: Final = {"api": "accept", "postgres": "PostgreSQL", "valkey": "Valkey"}
"""What a process of one purpose does for a mail."""
REST: Final = "other processes"

ATTACHED_SECONDS: Final = 2.0
"""Until samples come."""
_END_SECONDS: Final = 20.0
_FRAME: Final = re.compile(r"(?P<function>.+) \((?P<file>[^:()]+):\d+\)$")
_THREAD: Final = re.compile(r"thread \((?P<id>\d+)\)")

_BY_FUNCTION: Final = {
    ("messages/claim.py", "load"): "load",
    ("workers/pipeline.py", "_claim"): "claim",
    ("workers/pipeline.py", "_emails"): "load",
    ("workers/pipeline.py", "_routes"): "route",
    ("workers/pipeline.py", "_deliver"): "choose",
    ("workers/pipeline.py", "deliver_due"): "claim",
}
_BY_FILE: Final = (
    ("core/logs.py", "log"),
    ("messages/claim.py", "claim"),
    ("messages/held.py", "claim"),
    ("workers/claims.py", "claim"),
    ("messages/personal.py", "load"),
    ("mta/resolve.py", "route"),
    ("mta/dns_", "route"),
    ("mta/providers.py", "route"),
    ("pools/connections.py", "send"),
    ("workers/assigning.py", "choose"),
    ("pools/", "choose"),
    ("warmup/", "choose"),
    ("mta/sign.py", "sign"),
    ("messages/timeline.py", "record"),
    ("messages/telling.py", "record"),
    ("messages/news.py", "record"),
    ("messages/moves.py", "record"),
    ("workers/concluding.py", "record"),
    ("outcomes/", "record"),
    ("store/counters.py", "record"),
    ("store/tally.py", "record"),
    ("workers/preparing.py", "compose"),
    ("mta/compose.py", "compose"),
    ("mta/mime_", "compose"),
    ("mta/seven_bit.py", "compose"),
    ("mta/return_path.py", "compose"),
    ("messages/", "compose"),
    ("mta/", "send"),
    ("workers/pipeline.py", "send"),
)
"""The first that fits. What serves every step (`core`, `store`) is counted to whoever called it."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One process while it was watched."""

    stacks: Mapping[int, Counter[str]]
    """By id of the thread, samples by step."""
    threads: Mapping[int, float]
    """Processor seconds of each thread."""
    seconds: float
    """Of the whole process, with threads that have ended."""

    @property
    def samples(self) -> int:
        return sum(stack.total() for stack in self.stacks.values())

    def by_step(self) -> dict[str, float]:
        """Processor seconds by step; they add up to `seconds`."""
        found: dict[str, float] = dict.fromkeys(STEPS, 0.0)
        for thread, used in self.threads.items():
            samples = self.stacks.get(thread, Counter())
            seen = samples.total()
            for step, count in samples.items():
                found[step] += used * count / seen
            if not seen:
                found[TASKS] += used
        found[TASKS] += max(0.0, self.seconds - sum(self.threads.values()))
        return found


def missing() -> str:
    """Why nobody can be sampled here, "" when it can be done."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    if _program() is None:
        return "py-spy is not installed (make setup)"
    try:
        bound = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text("ascii"))
    except (OSError, ValueError):
        bound = 0
    return "" if bound == 0 or os.geteuid() == 0 else "kernel.yama.ptrace_scope forbids to look into other processes"


def _program() -> str | None:
    return shutil.which("py-spy", path=str(Path(sys.executable).parent))


class Watch:
    """Samples one process from `__init__` to `end`."""

    def __init__(self, pid: int, folder: Path) -> None:
        program = _program()
        assert program is not None
        self._pid, self._file = pid, folder / f"stacks-{pid}.txt"
        self._file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [program, "record", "--pid", str(pid), "--nonblocking", "--threads", "--rate", str(SAMPLES),
             "--format", "raw", "--output", str(self._file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._threads, self._seconds = thread_seconds(pid), process_seconds(pid)

    def end(self) -> Sampled:
        """What was seen. Like Ctrl-C, upon which py-spy writes its file."""
        threads, seconds = thread_seconds(self._pid), process_seconds(self._pid)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        lines = self._file.read_text("utf-8").splitlines() if self._file.exists() else []
        used = {thread: value - self._threads.get(thread, 0.0) for thread, value in threads.items()}
        return Sampled(read(lines), used, seconds - self._seconds)


def read(lines: Sequence[str]) -> dict[int, Counter[str]]:
    """Lines of py-spy's raw form: frames from the outermost to the innermost with `;` between, a blank, how often."""
    found: dict[int, Counter[str]] = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        thread = _THREAD.match(frames[0])
        if thread is not None:
            found.setdefault(int(thread["id"]), Counter())[step_of(frames)] += int(count)
    return found


def step_of(frames: Sequence[str]) -> str:
    """The step that a stack is in: that of the innermost frame which belongs to one."""
    for frame in reversed(frames):
        parts = _FRAME.match(frame)
        if parts is None:
            continue
        file = parts["file"]
        step = _BY_FUNCTION.get((file, parts["function"]))
        step = step or next((step for prefix, step in _BY_FILE if file.startswith(prefix)), None)
        if step is not None:
            return step
    return TASKS


def thread_seconds(pid: int) -> dict[int, float]:
    """Processor seconds of each thread so far."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            # Nanoseconds on a processor; `stat` counts in hundredths of a second.
            found[int(task.name)] = int((task / "schedstat").read_text("ascii").split()[0]) / 1e9
        except (OSError, IndexError, ValueError):  # it has just ended
            continue
    return found


def process_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, those that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_step(
    workers: Sequence[Sampled], cpu: Mapping[str, float], messages: int, sampled: Sequence[str]
) -> dict[str, float]:
    """Microseconds of a mail by step: workers by what they were seen at, other processes by `cpu` (microseconds of a
    mail by process, of the same run)."""
    found = {"accept": 0.0, **dict.fromkeys(STEPS, 0.0), "PostgreSQL": 0.0, "Valkey": 0.0, REST: 0.0}
    for worker in workers:
        for step, seconds in worker.by_step().items():
            found[step] += seconds / messages * 1e6
    for name, used in cpu.items():
        if name not in sampled:
            found[OTHERS.get(name, REST)] += used
    return {step: round(used, 1) for step, used in found.items()}


def shown(steps: Mapping[str, float]) -> Table:
    """As people read it."""
    total = sum(steps.values())
    table = Table(title="Processor time of a mail by step", caption="sampled in a run of its own")
    for heading in ("step", "µs", "share"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for step, used in steps.items():
        table.add_row(step, f"{used:,.0f}", f"{used / total:.0%}" if total else "")
    table.add_row("all", f"{total:,.0f}", "", style="bold")
    return table
