"""A front before a real Valkey: ends TLS or a Unix socket, hands the bytes on, and remembers what clients said.

The Valkey of our wheels is built without TLS, so this is its TLS port.
"""

import contextlib
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit


class Front:
    """Listens on loopback (or on `path`) while it is entered."""

    def __init__(
        self, redis_url: str, context: ssl.SSLContext | None = None, path: Path | None = None, *, seconds: float = 0.0
    ) -> None:
        """`seconds`: so long each answer takes."""
        parts = urlsplit(redis_url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._context = context
        self._seconds = seconds
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen()
        self.port = 0 if path else int(self._listener.getsockname()[1])
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = parts._replace(netloc=f"{user}127.0.0.1:{self.port}").geturl()
        """For clients that come by the port and without TLS."""
        self.heard = b""
        """Everything that clients said, decrypted."""
        self.connections = 0
        self._clients: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def away(self) -> None:
        """The server is gone: connections end, and none is taken."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            client = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            with client, socket.create_connection(self._server) as server:
                threading.Thread(target=_copy, args=(server, client, self._seconds), daemon=True).start()
                while data := client.recv(65536):
                    self.heard += data
                    server.sendall(data)


def _copy(source: socket.socket, target: socket.socket, seconds: float) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(seconds)
            target.sendall(data)
