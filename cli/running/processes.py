"""Child processes: start one, watch it, stop it in bounded time, and never leave it behind.

Owns the mechanics of a single operating-system process: its own session (so that Ctrl-C in the terminal reaches only
the supervisor), its log file, the account it runs as, and the signal it gets from the kernel should its parent be
killed (Linux). Knows nothing of restarts or order: that is `supervisor`. Never starts a thread.

Start processes from a thread that lives as long as they do (the main thread): Linux ties the parent-death signal to the
*thread* that forked, see prctl(2) PR_SET_PDEATHSIG.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import BinaryIO

LOG_ROTATE_BYTES = 10 * 1024 * 1024
"""A log larger than this when its process starts is moved to `.1`; three old ones are kept."""

LOG_GENERATIONS = 3

POLL_SECONDS = 0.02
"""Pause between two looks at a process that is being waited for: short against any start-up, no load to speak of."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system user a server runs as, when that is not the user who started us."""

    name: str
    uid: int
    gid: int


def _at_once() -> bool:
    return True


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """What to run, and how to tell that it is ready and how to end it. Times are seconds."""

    name: str
    """Unique in one supervisor; names the log file."""
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the inherited environment."""
    ready: Callable[[], bool] = _at_once
    """Asked again and again until true; must answer within about a second and may not raise."""
    ready_timeout: float = 30.0
    stop_timeout: float = 5.0
    """How long it may take after the stop signal before it is forced."""
    group: str = ""
    """Neighbours with the same group name start together and stop together."""
    cwd: Path | None = None
    account: Account | None = None
    inherit_env: bool = True
    """False for servers that run as another account: our environment may hold secrets."""
    stdin: bytes = b""
    """Given on standard input, which is then closed. At most 32 KiB, so that the pipe takes it at once."""
    stop_signal: Signals = signal.SIGTERM
    force_signal: Signals = signal.SIGKILL
    """Sent when `stop_timeout` is over; SIGKILL to the whole process group follows in any case."""
    death_signal: Signals = signal.SIGKILL
    """Sent by the kernel when our process dies without having stopped this one (Linux only)."""
    before_start: Callable[[], None] = _nothing
    """Called before each start, restarts included: removes what a crash left over."""


class Process:
    """A `Service` as a running process. May be started again after it ended. Not thread-safe."""

    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self.log = log
        self._popen: subprocess.Popen[bytes] | None = None
        self._group_ended = True

    @property
    def pid(self) -> int | None:
        """Process id, None before the first start."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Start the process without waiting until it is ready. Raises OSError when the program cannot be executed."""
        service = self.service
        service.before_start()
        inherited = dict(os.environ) if service.inherit_env else {"PATH": os.defpath, "LC_ALL": "C"}
        account = service.account
        with open_log(self.log) as log:
            self._popen = subprocess.Popen(
                service.command,
                env=inherited | dict(service.env),
                cwd=service.cwd,
                stdin=subprocess.PIPE if service.stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_die_with_parent(service.death_signal),
            )
        self._group_ended = False
        self._feed_stdin()

    def _feed_stdin(self) -> None:
        if self._popen and self._popen.stdin:
            # BrokenPipeError: it ended before reading; exit_code() tells, with the log.
            with contextlib.suppress(BrokenPipeError), self._popen.stdin as pipe:
                pipe.write(self.service.stdin)

    def exit_code(self) -> int | None:
        """None while it runs; else the exit status, negative for a signal. None as well before the first start."""
        return self._popen.poll() if self._popen else None

    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def send(self, number: Signals) -> None:
        """Send a signal to the process itself, not to its children; nothing happens when it has ended."""
        if self._popen:
            self._popen.send_signal(number)

    def kill_group(self) -> None:
        """SIGKILL to the process and every child that stayed in its process group; reaps the process.

        Done once for each start: later the kernel may have given the number to somebody else.
        """
        if self._popen and not self._group_ended:
            self._group_ended = True
            # PermissionError is what macOS answers for a group that holds only zombies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def wait_exit(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end of the process; true when it has ended."""
        return wait_until(lambda: not self.alive(), seconds)

    def stop(self, seconds: float | None = None) -> None:
        """Stop signal, `seconds` (default: the service's `stop_timeout`) of patience, force signal, SIGKILL."""
        if self.alive():
            self.send(self.service.stop_signal)
            if not self.wait_exit(self.service.stop_timeout if seconds is None else seconds):
                self.send(self.service.force_signal)
                self.wait_exit(1.0)
        self.kill_group()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it is true or the time is over; its last answer."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return condition()
        time.sleep(POLL_SECONDS)
    return True


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending (mode 0600), after moving one that has grown too large out of the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_ROTATE_BYTES:
            _rotate(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0)


def _rotate(path: Path) -> None:
    for generation in range(LOG_GENERATIONS, 0, -1):
        older = path.with_name(f"{path.name}.{generation}")
        newer = path.with_name(f"{path.name}.{generation - 1}") if generation > 1 else path
        if newer.exists():
            newer.replace(older)


def log_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, for an error message; "" when there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 4096))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _die_with_parent(number: Signals) -> Callable[[], None] | None:
    """What the child runs between fork and exec so that it cannot outlive us; None where the kernel has no such thing.

    subprocess calls it after the change of user, which matters: a change of credentials clears the setting (prctl(2)).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        if prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)  # the parent died before we were armed

    return arm
