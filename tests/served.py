"""An application of ours behind a real socket of the loopback, in a thread: for browsers, and clients that want one."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from web.server import Service, config_of


@contextmanager
def served(service: Service) -> Iterator[str]:
    """It runs, on a free port, while the block does; its URL."""
    config = config_of(service, service.make())
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name=service.name)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
    assert not thread.is_alive(), "the server did not end"
