"""Structured logs: one JSON line per event on standard output, a constant event name, facts as keys.

`configure` is called once per process by the command line. Addresses are masked when the setting says so, wherever in
a line they stand: replies of mail servers and errors repeat them. Lines of foreign libraries take the same form.
Logging never raises: a full disk under the log may not cost a mail its outcome.
"""

import contextlib
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, BinaryIO

import orjson
import structlog

from core.visible import json_for_terminals

_ADDRESS_KEYS = ("recipient", "address", "sender")

_ADDRESS = re.compile(r"([^\s<>\"'(),:;@])[^\s<>\"'(),:;@]*@(?=[\w.-])")
"""An address within a text, up to its domain; the first character of the local part stays."""


def configure(level: str = "info", mask_addresses: bool = True, service: str = "") -> None:
    """Set up logging for this process; `service` is added to every line, whichever thread it comes from."""
    numeric = getattr(logging, level.upper())
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if service:
        processors.append(_Named(service))
    if mask_addresses:
        processors.append(_mask)
    out = _Output(sys.stdout.buffer)
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer(serializer=_json)],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=lambda *_args: out,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[_Foreign()], force=True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that carries the module's name."""
    return structlog.get_logger(module=name)  # type: ignore[no-any-return]


def masked(address: str) -> str:
    """`bob@example.com` → `b***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


class _Output:
    """Where lines go, written in one piece each and at once. What cannot be written is lost, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        self._inner = structlog.BytesLogger(file)

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # disk full, reader gone, file closed at the end
            self._inner.msg(line)

    debug = info = warning = warn = error = critical = fatal = exception = msg


class _Named:
    """Adds the service to a line."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = self._service
        return event


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


def _json(event: Any, **options: Any) -> bytes:
    """JSON of a line, harmless on a terminal; lone surrogates are written escaped instead of raising."""
    try:
        line = orjson.dumps(event, **options)
        return line if line.isascii() else json_for_terminals(line.decode()).encode()
    except TypeError:
        return orjson.dumps({key: _plain(value) for key, value in event.items()}, default=repr)


def _plain(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _mask(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            if key in _ADDRESS_KEYS:
                event[key] = masked(value)
            elif "@" in value:
                event[key] = _ADDRESS.sub(r"\1***@", value)
    return event
