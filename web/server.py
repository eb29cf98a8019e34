"""Runs an application: uvicorn with uvloop and httptools, our own log, an orderly end.

uvicorn's access log is off: a line per request costs more than it tells; `web/edge` logs what matters. On SIGTERM or
SIGINT no new connection is taken, running requests get `_GRACE_SECONDS`, then what was opened is closed.
"""

import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from core import metrics
from core.errors import ConfigurationError
from core.logs import get_logger
from web.connections import ConnectionLimits
from web.protocol import BoundedConfig

_GRACE_SECONDS = 3
"""Seconds for running requests at the end. Closing database, hints and acceptor takes up to two more."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s that load balancers commonly keep idle connections: they, not we, end one."""
_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Service:
    """What is served, and where."""

    name: str
    """In the log and in errors: `API`."""
    host: str
    port: int
    make: Callable[[], FastAPI]
    """The application, when this process serves alone."""
    factory: str
    """`module:function` that makes it in one of several processes; it reads the settings from the environment."""
    limits: ConnectionLimits
    """Of each process."""
    processes: int = 1


def serve(service: Service, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready(host, port)` is told where once the port is bound (with port 0 a free one).

    Raises ConfigurationError when the address cannot be bound.
    """
    listener = _bind(service)
    host, port = listener.getsockname()[:2]
    get_logger(__name__).info(f"{service.name.lower()}_listening", host=host, port=port, processes=service.processes)
    if ready is not None:
        ready(host, port)
    if service.processes > 1:
        with metrics.shared():
            Multiprocess(config_of(service, service.factory), sockets=[listener]).run()
    else:
        _swallow_signals()
        uvicorn.Server(config_of(service, service.make())).run(sockets=[listener])


def _swallow_signals() -> None:
    """uvicorn raises the signal that stopped it once more when it is done, for whoever had a handler before it. Ours
    does nothing, so that `serve` returns and the caller can tidy up."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)


def config_of(service: Service, app: FastAPI | str) -> BoundedConfig:
    """uvicorn's configuration for a service."""
    return BoundedConfig(
        app,
        service.limits,
        factory=isinstance(app, str),
        workers=service.processes,
        loop="uvloop",
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


def _bind(service: Service) -> socket.socket:
    host, port = service.host, service.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise ConfigurationError(f"The {service.name} cannot listen on {host} port {port}: {reason}.") from error
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener
