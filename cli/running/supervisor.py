"""Runs several services in one terminal: starts them in order, restarts what crashes, stops everything in order.

Owns order, readiness, restarts and the state that the live terminal shows. Never knows what a service does, and never
starts a thread: the one who calls `run` lends it the main thread and gets control back in `on_tick`. What one single
process is, is `cli.running.processes`.

Promise: after `stop` (at most 10 seconds) no process is left; and should the supervisor itself
be killed, Linux ends its children (elsewhere the next start stops what is left of the embedded servers).
"""

import contextlib
import http.client
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from cli.running.processes import POLL_SECONDS, Process, Service, log_tail
from core.clock import Clock, SystemClock
from core.errors import PostlaneError, UnavailableError

__all__ = ["Service", "ServiceState", "Status", "Supervisor", "http_ready", "restart_delay", "tcp_ready"]

STOP_SECONDS = 10.0
"""The whole stop takes at most this long: who pressed Ctrl-C waits for it."""

FORCE_SECONDS = 0.5
"""Kept for each group that still has to stop: enough for a kill to take effect."""

FIRST_RESTART_SECONDS = 0.5
"""A killed worker's journal is replayed by its successor, so the first restart is quick."""

LONGEST_RESTART_SECONDS = 10.0

STEADY_SECONDS = 30.0
"""A service that ran this long is taken for healthy: its next crash starts from the short delay again."""

TICK_SECONDS = 0.1


class Status(StrEnum):
    """What a service is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    """It ended by itself; the next start is due after a delay."""
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One line of the live terminal."""

    name: str
    status: Status
    since: datetime
    """When the status began, UTC."""
    pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    """How it ended the last time; negative for a signal."""


def restart_delay(crashes: int) -> float:
    """Seconds to wait before the restart after the n-th crash in a row (1, 2, …): 0.5 s, doubled, at most 10 s."""
    return min(LONGEST_RESTART_SECONDS, FIRST_RESTART_SECONDS * 2.0 ** min(crashes - 1, 10))


class _Unit:
    """One process and what the supervisor remembers of it."""

    def __init__(self, process: Process, clock: Clock) -> None:
        self.process = process
        self.service = process.service
        self.restarts = 0
        self.crashes = 0
        self.last_exit: int | None = None
        self.trouble = ""
        """Why it is being restarted, for people."""
        self.due = 0.0
        """Monotonic time: next start while restarting, end of patience while starting, "steady from" while running."""
        self._clock = clock
        self.status = Status.RUNNING if process.alive() else Status.WAITING
        self.since = clock.now()

    def become(self, status: Status, seconds: float = 0.0) -> None:
        self.status, self.since = status, self._clock.now()
        self.due = time.monotonic() + seconds

    def start(self) -> None:
        self.process.start()
        self.become(Status.STARTING, self.service.ready_timeout)

    def state(self) -> ServiceState:
        pid = self.process.pid if self.process.alive() else None
        return ServiceState(self.service.name, self.status, self.since, pid, self.restarts, self.last_exit)

    def tick(self) -> None:
        """Look once; never waits longer than one readiness check."""
        if self.status is Status.RESTARTING and time.monotonic() >= self.due:
            self._restart()
        elif self.status in (Status.STARTING, Status.RUNNING) and not self.process.alive():
            self._crashed(f"ended with status {self.process.exit_code()}")
        elif self.status is Status.STARTING:
            self._check_ready()
        elif self.status is Status.RUNNING and self.crashes and time.monotonic() >= self.due:
            self.crashes = 0

    def _check_ready(self) -> None:
        if self.service.ready():
            self.become(Status.RUNNING, STEADY_SECONDS)
        elif time.monotonic() >= self.due:
            self._crashed(f"was not ready within {self.service.ready_timeout:g} s")

    def _restart(self) -> None:
        self.restarts += 1
        try:
            self.start()
        except (OSError, PostlaneError) as error:
            self._crashed(f"cannot be started: {error}")

    def _crashed(self, trouble: str) -> None:
        self.trouble = trouble
        self.process.kill_group()
        self.last_exit = self.process.exit_code()
        self.crashes += 1
        self.become(Status.RESTARTING, restart_delay(self.crashes))


class Supervisor:
    """Runs services until a signal or `request_stop`. Use from the main thread only."""

    def __init__(self, services: Sequence[Service | Process], logs: Path, clock: Clock | None = None) -> None:
        """Takes services to start, in this order, and processes that run already and are looked after from now on.

        `logs` is the folder for `<name>.log`. Names must be unique.
        """
        clock = clock or SystemClock()
        processes = [one if isinstance(one, Process) else Process(one, logs / f"{one.name}.log") for one in services]
        self._units = [_Unit(process, clock) for process in processes]
        if len({unit.service.name for unit in self._units}) != len(self._units):
            raise ValueError("two services have the same name")
        self._stop_requests = 0

    def states(self) -> tuple[ServiceState, ...]:
        """What each service is doing, in the order of the start."""
        return tuple(unit.state() for unit in self._units)

    def process(self, name: str) -> Process:
        """The process of a service. Its `service` may be changed: the next start is of the changed one."""
        return next(unit.process for unit in self._units if unit.service.name == name)

    def request_stop(self) -> None:
        """Make `run` stop. A second call makes a stop under way hurry: what still runs is forced at once."""
        self._stop_requests += 1

    def run(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Start everything, keep it running until asked to stop, stop everything; `on_tick` is called every 0.1 s.

        SIGINT, SIGTERM and SIGHUP ask for the stop. Raises UnavailableError when a service does not come up the first
        time, and whatever `on_tick` raises; everything is stopped in these cases too.
        """
        with self._signals():
            try:
                self.start(on_tick)
                while not self._stop_requests:
                    self.tick()
                    on_tick()
                    time.sleep(TICK_SECONDS)
            finally:
                self.stop(on_tick)

    def start(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Start group after group, each when the one before is ready. Returns early when a stop is asked for.

        Raises UnavailableError, with the end of its log, when a service ends or is not ready in time.
        """
        for group in self._groups():
            for unit in group:
                if not unit.process.alive():
                    unit.start()
            while any(unit.status is Status.STARTING for unit in group) and not self._stop_requests:
                self.tick()
                _raise_when_failed(group)
                on_tick()
                time.sleep(POLL_SECONDS)
            if self._stop_requests:
                return

    def tick(self) -> None:
        """Look after every service once: notice crashes, restart what is due. Waits at most for readiness checks."""
        for unit in self._units:
            unit.tick()

    def stop(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Stop in reverse order, within 10 seconds in all, by force at the end. May be repeated."""
        groups = self._groups()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            while groups:
                group = groups.pop()
                self._stop_group(group, deadline - FORCE_SECONDS * (len(groups) + 1), on_tick)
        finally:  # a broken `on_tick` must not keep processes alive
            for unit in self._units:
                unit.process.kill_group()

    def _stop_group(self, group: list[_Unit], deadline: float, on_tick: Callable[[], None]) -> None:
        running = [unit for unit in group if unit.process.alive()]
        for unit in running:
            unit.become(Status.STOPPING)
            unit.process.send(unit.service.stop_signal)
        patience = max((unit.service.stop_timeout for unit in running), default=0.0)
        deadline = min(deadline, time.monotonic() + patience)
        self._await_end(running, lambda: time.monotonic() >= deadline or self._stop_requests > 1, on_tick)
        forced = [unit for unit in running if unit.process.alive()]
        for unit in forced:
            unit.process.send(unit.service.force_signal)
        deadline = time.monotonic() + FORCE_SECONDS
        self._await_end(forced, lambda: time.monotonic() >= deadline, on_tick)
        for unit in group:
            unit.process.kill_group()
            unit.last_exit = unit.process.exit_code()
            unit.become(Status.STOPPED)

    def _await_end(self, units: list[_Unit], over: Callable[[], bool], on_tick: Callable[[], None]) -> None:
        while any(unit.process.alive() for unit in units) and not over():
            with contextlib.suppress(OSError):  # the terminal may be gone: that is one reason to be stopping
                on_tick()
            time.sleep(POLL_SECONDS)

    def _groups(self) -> list[list[_Unit]]:
        """Neighbours with the same group name together; a unit without one is alone."""
        keyed = groupby(enumerate(self._units), key=lambda item: item[1].service.group or item[0])
        return [[unit for _, unit in items] for _, items in keyed]

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def asked(_number: int, _frame: FrameType | None) -> None:
            self.request_stop()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _raise_when_failed(group: list[_Unit]) -> None:
    for unit in group:
        if unit.status is Status.RESTARTING:
            log = unit.process.log
            raise UnavailableError(f"{unit.service.name} {unit.trouble}. The end of {log}:\n{log_tail(log)}")


def http_ready(url: str) -> Callable[[], bool]:
    """A readiness check: true when a GET of this plain-http URL is answered with 2xx within half a second."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "") or "/"

    def check() -> bool:
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=0.5)
        try:
            connection.request("GET", target)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def tcp_ready(host: str, port: int) -> Callable[[], bool]:
    """A readiness check: true when somebody listens on the TCP port."""

    def check() -> bool:
        try:
            socket.create_connection((host, port), timeout=0.5).close()
        except OSError:
            return False
        return True

    return check
