"""Runs the API: uvicorn with uvloop and httptools, our own log, an orderly end. Called by `postlane api` and `up`.

uvicorn's access log is off: a line per request costs more than it tells; `api/edge` logs what matters. On SIGTERM or
SIGINT no new connection is taken, running requests get `_GRACE_SECONDS`, then what was opened is closed.
"""

import signal
import socket
import threading
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from core import settings as core_settings
from core.errors import ConfigurationError
from core.logs import configure, get_logger
from core.settings import Settings

_GRACE_SECONDS = 3
"""Seconds for running requests at the end. Closing database, hints and acceptor takes up to two more."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s that load balancers commonly keep idle connections: they, not we, end one."""
_BACKLOG = 2048


def run(settings: Settings, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready(host, port)` is told where once the port is bound (with port 0 a free one).

    Raises ConfigurationError when the address cannot be bound. With several processes each reads the environment anew,
    so `settings` must be those of the environment then.
    """
    listener = _bind(settings.api_host, settings.api_port)
    host, port = listener.getsockname()[:2]
    get_logger(__name__).info("api_listening", host=host, port=port, processes=settings.api_workers)
    if ready is not None:
        ready(host, port)
    if settings.api_workers > 1:
        Multiprocess(_config("api.serve:from_environment", settings), sockets=[listener]).run()
    else:
        _swallow_signals()
        uvicorn.Server(_config(create_app(settings), settings)).run(sockets=[listener])


def _swallow_signals() -> None:
    """uvicorn raises the signal that stopped it once more when it is done, for whoever had a handler before it. Ours
    does nothing, so that `run` returns and the caller can tidy up."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)


def from_environment() -> FastAPI:
    """The application of one of several processes: they start empty and read the settings themselves."""
    settings = core_settings.load()
    configure(settings.log_level, settings.log_mask_addresses, "api")
    return create_app(settings)


def _config(app: FastAPI | str, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=settings.api_workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"The API cannot listen on {host} port {port}: {error.strerror or error}.") from error
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener
