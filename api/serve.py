"""Runs the API (`web/server`)."""

from collections.abc import Callable

from fastapi import FastAPI

from api.app import create_app
from core import settings as core_settings
from core import tracing
from core.logs import configure
from core.settings import Settings
from web.connections import ConnectionLimits
from web.server import Service, serve


def run(settings: Settings, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready(host, port)` is told where once the port is bound (with port 0 a free one).

    Raises ConfigurationError when the address cannot be bound. With several processes each reads the environment anew,
    so `settings` must be those of the environment then.
    """
    serve(service_of(settings), ready)


def service_of(settings: Settings) -> Service:
    """The API as `web/server` serves it."""
    return Service(
        name="API",
        host=settings.api_host,
        port=settings.api_port,
        make=lambda: create_app(settings),
        factory="api.serve:from_environment",
        processes=settings.api_workers,
        limits=ConnectionLimits(settings.api_connections, settings.api_connections_per_client),
    )


def from_environment() -> FastAPI:
    """The application of one of several processes: they start empty and read the settings themselves."""
    settings = core_settings.load()
    configure(settings.log_level, settings.log_mask_addresses, "api")
    tracing.start(settings, "api")
    return create_app(settings)
