"""Runs the public pages (`web/server`), with `/metrics` on a port of its own.

`/metrics` stays off the public port: what this server does is nobody's business out there.
"""

from collections.abc import Callable

from fastapi import FastAPI

from core import metrics
from core import settings as core_settings
from core.logs import configure
from core.settings import Settings
from pages.app import create_app
from web.connections import ConnectionLimits
from web.server import Service, serve


def run(settings: Settings, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready(host, port)` is told where once the port is bound (with port 0 a free one).

    Raises ConfigurationError when the address cannot be bound.
    """
    watched = metrics.serve(settings.metrics_host, settings.metrics_port, lambda: "")
    try:
        serve(service_of(settings), ready)
    finally:
        watched.shutdown()


def service_of(settings: Settings) -> Service:
    """The pages as `web/server` serves them. One client may have every connection: behind a proxy all are one."""
    return Service(
        name="Public",
        host=settings.public_host,
        port=settings.public_port,
        make=lambda: create_app(settings),
        factory="pages.serve:from_environment",
        limits=ConnectionLimits(settings.public_connections, settings.public_connections),
    )


def from_environment() -> FastAPI:
    """The application of one of several processes: they start empty and read the settings themselves."""
    settings = core_settings.load()
    configure(settings.log_level, settings.log_mask_addresses, "public")
    return create_app(settings)
