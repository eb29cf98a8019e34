"""Runs the console (`web/server`), with `/metrics` on a port of its own. Called by `postlane console` and `up`."""

from collections.abc import Callable

from fastapi import FastAPI

from console.app import create_app
from core import metrics
from core import settings as core_settings
from core.logs import configure, get_logger
from core.settings import Settings
from web.connections import ConnectionLimits
from web.server import Service, serve

_CONNECTIONS = 400
"""Far above what the people of one installation open; behind a proxy all of them are one client."""


def run(settings: Settings, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready(host, port)` is told where once the port is bound (with port 0 a free one).

    Raises ConfigurationError when the address cannot be bound.
    """
    if settings.console_in_clear:
        do = "put a TLS proxy in front, and set POSTLANE_CONSOLE_URL to its https address"
        get_logger(__name__).warning("console_without_tls", host=settings.console_host, do=do)
    watched = metrics.serve(settings.metrics_host, settings.metrics_port, lambda: "")
    try:
        serve(service_of(settings), ready)
    finally:
        watched.shutdown()


def service_of(settings: Settings) -> Service:
    """The console as `web/server` serves it."""
    return Service(
        name="Console",
        host=settings.console_host,
        port=settings.console_port,
        make=lambda: create_app(settings),
        factory="console.serve:from_environment",
        limits=ConnectionLimits(_CONNECTIONS, _CONNECTIONS),
    )


def from_environment() -> FastAPI:
    """The application of one of several processes: they start empty and read the settings themselves."""
    settings = core_settings.load()
    configure(settings.log_level, settings.log_mask_addresses, "console")
    return create_app(settings)
