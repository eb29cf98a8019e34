"""Processor time and memory of processes, from Linux's /proc: where a message's microseconds go.

Reads only.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class CpuSample:
    """Processor seconds used so far, by name."""

    seconds: Mapping[str, float]

    def since(self, earlier: "CpuSample") -> dict[str, float]:
        """Seconds used between two samples; a process that was not there earlier counts whole."""
        return {name: used - earlier.seconds.get(name, 0.0) for name, used in self.seconds.items()}


def sample(pids: Mapping[str, int]) -> CpuSample:
    """Processor time of these processes with all their descendants, and of this one as `load generator`."""
    seconds = {name: sum(_seconds(pid) for pid in _family(pid)) for name, pid in pids.items()}
    return CpuSample(seconds | {"load generator": time.process_time()})


def microseconds_per_message(used: Mapping[str, float], messages: int) -> dict[str, float]:
    """Processor time of a message by process, the largest first."""
    ordered = sorted(used.items(), key=lambda item: -item[1])
    return {name: round(seconds / messages * 1e6, 1) for name, seconds in ordered if seconds > 0}


BESIDE = ("smtp-sink", "receiver", "load generator")
"""Processes that stand for others: whoever takes the mail, whoever is told of it, and whoever gives it."""


def ours(each: Mapping[str, float]) -> float:
    """What Postlane itself has used of it, with its PostgreSQL and Valkey."""
    return sum(used for name, used in each.items() if name not in BESIDE)


def memory_mb(pid: int) -> float:
    """Resident memory in MB."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int) -> float:
    """The most resident memory that it ever had, in MB."""
    return _status_mb(pid, "VmHWM:")


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1000
    return 0.0


def _family(pid: int) -> Iterable[int]:
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has just ended, as PostgreSQL's processes do when they have cleaned up
        return
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii").split()
        except OSError:  # the thread has just ended
            continue
        for child in children:
            yield from _family(int(child))


def _seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended: fields 14 to 17 of proc(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS
