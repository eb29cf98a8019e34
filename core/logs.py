"""Structured logs: one JSON line per event on standard output, a constant event name, facts as keys.

`configure` is called once per process by the command line. Addresses are masked when the setting says so: pass them
as `recipient=` or `address=`, the processor does the rest.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

_ADDRESS_KEYS = ("recipient", "address", "sender")


def configure(level: str = "info", mask_addresses: bool = True, service: str = "") -> None:
    """Set up logging for this process; `service` is added to every line."""
    numeric = getattr(logging, level.upper())
    logging.basicConfig(level=max(numeric, logging.WARNING), stream=sys.stdout, format="%(message)s", force=True)
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if mask_addresses:
        processors.append(_mask)
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    if service:
        structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that carries the module's name."""
    return structlog.get_logger(module=name)  # type: ignore[no-any-return]


def masked(address: str) -> str:
    """`bob@example.com` → `b***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


def _mask(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in _ADDRESS_KEYS:
        if isinstance(event.get(key), str):
            event[key] = masked(event[key])
    return event
