"""Processor time and memory of processes, from Linux's /proc: where a message's microseconds go.

Reads only. Used by `bench/cases` around a measured time.
"""

import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_SIGNED_BYTES = b"x" * 1200
"""About what the signed headers of a mail have."""


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


def memory_mb(pid: int) -> float:
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


def rsa_signatures_per_second(seconds: float) -> float:
    """RSA-2048 signatures that all cores together make in a second, one process a core: the ceiling of any signer."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        pool.map(_sign_for, [0.1] * cores, chunksize=1)  # imports and keys are not part of it
        return sum(pool.map(_sign_for, [seconds] * cores, chunksize=1))


def _sign_for(seconds: float) -> float:
    key, padding, sha = generate_private_key(65537, 2048), PKCS1v15(), SHA256()
    made = 0
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        key.sign(_SIGNED_BYTES, padding, sha)
        made += 1
    return made / took


def _family(pid: int) -> Iterable[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text("ascii").split()
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
