"""Opens one session: bind our source IP, connect, read the banner, say EHLO, change to TLS.

Owns the way from nothing to "ready for MAIL FROM", including the second connection after a TLS failure. It never keeps
or shares a session (`mta/session`) and sends no mail (`mta/smtp_client`). Called by the session pool.
"""

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import UnavailableError
from mta.model import EgressIp, Host, Phase, Response, Trouble
from mta.smtp_client import SmtpClient, Timeouts, Upgrade
from mta.tls import TlsMode, TlsPolicy

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux (linux/in.h), not in the socket module of Python 3.11: the port is chosen at connect, so that each remote
address has all ephemeral ports of a source IP to itself instead of sharing them."""

_TROUBLES = {
    errno.ECONNREFUSED: Trouble.REFUSED,
    errno.ECONNRESET: Trouble.CLOSED,
    errno.ETIMEDOUT: Trouble.TIMEOUT,
    errno.EADDRNOTAVAIL: Trouble.LOCAL_ADDRESS,
}
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(slots=True, eq=False)
class Session:
    """One open connection, ready for mail."""

    client: SmtpClient
    source: EgressIp
    host: Host
    tls: str
    """"TLSv1.3 verified", "TLSv1.3 unverified", "none" or "none (handshake failed)"."""
    carried: int = 0
    """Mails it has carried so far, refused ones included."""
    idle_since: float = 0.0
    """Loop time in seconds at which it was last given back."""


class Connector:
    """Opens sessions to one port. Knows hosts with broken TLS through its `TlsPolicy`."""

    def __init__(self, port: int, timeouts: Timeouts, tls: TlsPolicy) -> None:
        self._port = port
        self._timeouts = timeouts
        self._tls = tls

    async def open(self, source: EgressIp, host: Host) -> Session | Response:
        """A session from `source` to `host`, or what stood in the way (phases CONNECT, BANNER, EHLO).

        Connects again when a handshake fails: without verification after a bad certificate, in plain text after a
        broken one. UnavailableError when this process can open no more sockets.
        """
        mode = self._tls.mode(host)
        while True:
            result = await self._attempt(source, host, mode)
            if not isinstance(result, TlsMode):
                return result
            mode = result

    async def _attempt(self, source: EgressIp, host: Host, mode: TlsMode) -> Session | Response | TlsMode:
        """One connection. A TlsMode asks for another one in that mode; modes only get worse, so three at most."""
        client = await self._connect(source, host)
        if isinstance(client, Response):
            return client
        try:
            return await self._prepare(client, source, host, mode)
        except BaseException:
            # Cancelled by the caller: nobody else knows of this connection.
            client.abort()
            raise

    async def _prepare(
        self, client: SmtpClient, source: EgressIp, host: Host, mode: TlsMode
    ) -> Session | Response | TlsMode:
        refused = await client.greet(source.ehlo_name)
        if refused is not None:
            client.close()
            return refused
        if mode is TlsMode.PLAIN or not client.features.starttls:
            failed = mode is TlsMode.PLAIN and client.features.starttls
            return Session(client, source, host, "none (handshake failed)" if failed else "none")
        upgrade, _why = await client.starttls(self._tls.context(mode), host.name)
        if upgrade is Upgrade.DECLINED:
            return Session(client, source, host, "none")
        if upgrade is Upgrade.UNTRUSTED:
            self._tls.untrusted(host)
            return TlsMode.ENCRYPT
        if upgrade is Upgrade.BROKEN:
            self._tls.broken(host)
            return TlsMode.PLAIN
        return await self._hello_again(client, source, host, mode)

    async def _hello_again(
        self, client: SmtpClient, source: EgressIp, host: Host, mode: TlsMode
    ) -> Session | Response | TlsMode:
        refused = await client.hello(source.ehlo_name)
        if refused is None:
            word = "verified" if mode is TlsMode.VERIFY else "unverified"
            return Session(client, source, host, f"{client.tls_version} {word}")
        client.close()
        if refused.trouble is not None:
            # In TLS 1.3 a server's objection to the handshake arrives after our end of it is done.
            self._tls.broken(host)
            return TlsMode.PLAIN
        return refused

    async def _connect(self, source: EgressIp, host: Host) -> SmtpClient | Response:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        if (":" in source.bind_address) != (family == socket.AF_INET6):
            text = f"{source.bind_address} cannot reach {host.address}: different IP versions"
            return Response(Phase.CONNECT, text=text, trouble=Trouble.UNREACHABLE)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise UnavailableError(f"cannot open a socket: {error.strerror}") from error
        try:
            failed = _bind(sock, source) or await self._connected(loop, sock, host)
            if failed is not None:
                sock.close()
                return failed
            factory: Callable[[], SmtpClient] = lambda: SmtpClient(loop, self._timeouts)  # noqa: E731
            return (await loop.create_connection(factory, sock=sock))[1]
        except BaseException:
            sock.close()
            raise

    async def _connected(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, host: Host) -> Response | None:
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await loop.sock_connect(sock, (host.address, self._port))
        except TimeoutError:
            return Response(Phase.CONNECT, trouble=Trouble.TIMEOUT)
        except OSError as error:
            return _failure(error)
        return None


def _bind(sock: socket.socket, source: EgressIp) -> Response | None:
    sock.setblocking(False)
    try:
        if sys.platform == "linux" and sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source.bind_address, 0))
    except OSError as error:
        text = f"cannot bind {source.bind_address}: {error.strerror}"
        return Response(Phase.CONNECT, text=text, trouble=Trouble.LOCAL_ADDRESS)
    return None


def _failure(error: OSError) -> Response:
    if error.errno in _EXHAUSTED:
        raise UnavailableError(f"cannot connect: {error.strerror}") from error
    trouble = _TROUBLES.get(error.errno or 0, Trouble.UNREACHABLE)
    return Response(Phase.CONNECT, text=error.strerror or str(error), trouble=trouble)
