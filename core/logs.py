"""Structured logs: one JSON line per event on standard output, a constant event name, facts as keys.

`configure` is called once per process by the command line. Addresses are masked when the setting says so, wherever in
a line they stand: replies of mail servers and errors repeat them. Lines of foreign libraries take the same form.
Logging never raises: a full disk under the log may not cost a mail its outcome.

A busy worker logs a thousand lines a second, so lines below a warning that an event loop's thread logs wait for
`LATEST` and are written together. Whatever is written at once takes those that wait along, and so does the end of the
process; only one that is killed, or leaves by `os._exit`, loses them.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import orjson
import structlog

from core.visible import json_for_terminals

LATEST: Final = 0.02
"""Seconds that a line below a warning may wait to be written with others."""

_MOST_WAITING: Final = 500
"""Lines: some 200 kB."""

_ADDRESS_KEYS = ("recipient", "address", "sender")

_ADDRESS = re.compile(r"([^\s<>\"'(),:;@])[^\s<>\"'(),:;@]*@(?=[\w.-])")
"""An address within a text, up to its domain; the first character of the local part stays."""


def configure(level: str = "info", mask_addresses: bool = True, service: str = "") -> None:
    """Set up logging for this process; `service` is added to every line, whichever thread it comes from."""
    numeric = getattr(logging, level.upper())
    out = _Output(sys.stdout.buffer)
    structlog.configure(
        processors=[_Line(service, mask_addresses)],
        wrapper_class=_logger_class(numeric),
        logger_factory=lambda *_args: out,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[_Foreign()], force=True)


def flush() -> None:
    """Write what waits, for a process that ends by a signal: nothing else would."""
    for out in _outs:
        out.flush()


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that carries the module's name."""
    return structlog.get_logger(module=name)  # type: ignore[no-any-return]


def _logger_class(least: int) -> type[structlog.typing.FilteringBoundLogger]:
    """structlog's, of lines from `least` on, with an `info` that goes straight to the one processor: a worker logs a
    line for each mail, and structlog's own steps in between took longer than the making of it."""
    usual = structlog.make_filtering_bound_logger(least)

    def info(self: Any, event: str, *args: Any, **fields: Any) -> None:
        if args:
            usual.info(self, event, *args, **fields)
            return
        (line,) = self._processors
        with_event = {**self._context, **fields, "event": event}
        try:
            self._logger.info(line(self._logger, "info", with_event))
        except structlog.DropEvent:
            return

    return type(usual.__name__, (usual,), {"info": info}) if least <= logging.INFO else usual


def masked(address: str) -> str:
    """`bob@example.com` → `b***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


class _Output:
    """Where lines go, whole. What cannot be written is lost, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: deque[bytes] = deque()
        self._due = 0.0
        self._turn = threading.RLock()  # a signal, or what is collected, may log in the middle of it
        _outs.append(self)
        os.register_at_fork(after_in_child=self._anew)

    def soon(self, line: bytes) -> None:
        """Within `LATEST`, with those that come meanwhile. A thread without a loop has nobody to do it later."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.now(line)
            return
        self._waiting.append(line)
        if len(self._waiting) >= _MOST_WAITING:
            self.flush()
        elif (now := time.monotonic()) >= self._due:
            self._due = now + LATEST
            loop.call_later(LATEST, self.flush)

    def now(self, line: bytes) -> None:
        """At once, behind those that wait."""
        self._waiting.append(line)
        self.flush()

    def flush(self) -> None:
        """Write what waits. Others may add to it meanwhile, and nobody may rely on this writing for what comes next: a
        loop's timers come early by what its turn took so far."""
        with self._turn:
            self._due = 0.0
            lines: list[bytes] = []
            while self._waiting:
                lines.append(self._waiting.popleft())
            if lines:
                lines.append(b"")
                # Disk full, reader gone, file closed at the end; RuntimeError: in the middle of a write of this thread.
                with contextlib.suppress(OSError, ValueError, RuntimeError):
                    self._file.write(b"\n".join(lines))
                    self._file.flush()

    def _anew(self) -> None:
        """A child's lines are its own."""
        self._waiting = deque()
        self._due = 0.0
        self._turn = threading.RLock()

    debug = info = msg = soon
    warning = warn = error = critical = fatal = exception = now


_outs: Final[list[_Output]] = []
atexit.register(flush)


class _Line:
    """Makes the JSON of a line. One function, not a chain of processors: a worker makes one for each mail."""

    def __init__(self, service: str, masks: bool) -> None:
        self._service = service
        self._masks = masks
        self._second = -1, ""

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> bytes:
        event["level"] = name
        event["timestamp"] = self._now()
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, name, event)
        if self._service:
            event["service"] = self._service
        return _masked_json(event) if self._masks else _json(event)

    def _now(self) -> str:
        """As of ISO 8601, in UTC. The text of a second serves all lines of it."""
        second, micros = divmod(time.time_ns() // 1000, 1_000_000)
        known, text = self._second
        if known != second:
            text = datetime.fromtimestamp(second, UTC).isoformat()[:-6]
            self._second = second, text
        return f"{text}.{micros:06d}Z"


class _Foreign(logging.Handler):
    """Passes lines of the standard library's logging on, so that all of a process's lines are alike."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            logger = structlog.get_logger(module=record.name)
            level = record.levelname.lower()
            getattr(logger, level if hasattr(logger, level) else "warning")(
                record.getMessage(), exc_info=record.exc_info or None
            )
        except Exception:  # as logging's own handlers: a line that cannot be made may not break what logs it
            self.handleError(record)


def _masked_json(event: MutableMapping[str, Any]) -> bytes:
    """JSON of a line without addresses. Most have none but in the fields for them: others are only looked at when
    there is one more @ than those have."""
    expected = 0
    for key in _ADDRESS_KEYS:
        value = event.get(key)
        if isinstance(value, str):
            event[key] = shown = masked(value)
            expected += shown.count("@")
    line = _json(event)
    if line.count(b"@") == expected:
        return line
    for key, value in event.items():
        if isinstance(value, str) and "@" in value and key not in _ADDRESS_KEYS:
            event[key] = _ADDRESS.sub(r"\1***@", value)
    return _json(event)


def _json(event: MutableMapping[str, Any]) -> bytes:
    """JSON of a line, harmless on a terminal; lone surrogates are written escaped instead of raising."""
    try:
        line = orjson.dumps(event, default=repr)
        return line if line.isascii() else json_for_terminals(line.decode()).encode()
    except TypeError:
        return orjson.dumps({key: _plain(value) for key, value in event.items()}, default=repr)


def _plain(value: Any) -> Any:
    """What JSON has no form for (keys that are no texts, whole numbers of more than 64 bits) as Python shows it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    try:
        orjson.dumps(value, default=repr)
    except TypeError:
        return ascii(value)
    return value
