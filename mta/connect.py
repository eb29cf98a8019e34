"""Opens one session: bind our source IP or go through its proxy, connect, read the banner, say EHLO, change to TLS;
where the source is a relay, `mta/relay` does all that.

Owns the way from nothing to "ready for MAIL FROM", including the second connection after a TLS failure, and whether
plain text will do. It never keeps or shares a session (`mta/session`) and sends no mail (`mta/smtp_client`).
"""

import asyncio
import errno
import ipaddress
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import UnavailableError
from mta.model import IPV6, EgressIp, Host, Phase, Response, Trouble
from mta.providers import Tls
from mta.relay import RelayClient, Relays
from mta.smtp_client import SmtpClient
from mta.smtp_timeouts import Timeouts
from mta.socks import ASK_SECONDS, EXHAUSTED, connect_through, greeting
from mta.tls import TlsMode, TlsPolicy
from mta.upgrade import Upgrade
from mta.via import LOCAL, parse_via

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux (linux/in.h), not in the socket module of Python 3.11: the port is chosen at connect, so that each remote
address has all ephemeral ports of a source IP to itself instead of sharing them."""

_TROUBLES = {
    errno.ECONNREFUSED: Trouble.REFUSED,
    errno.ECONNRESET: Trouble.CLOSED,
    errno.ETIMEDOUT: Trouble.TIMEOUT,
    errno.EADDRNOTAVAIL: Trouble.LOCAL_ADDRESS,
}

TlsOf = Callable[[str], Tls]
"""What a session to the mail server of this name needs: `Providers.tls_of`."""


@dataclass(slots=True, eq=False)
class Session:
    """One open connection, ready for mail."""

    client: SmtpClient | RelayClient
    source: EgressIp
    host: Host
    tls: str
    """"TLSv1.3 verified", "TLSv1.3 unverified", "none" or "none (handshake failed)"."""
    encryptable: bool = False
    """It is in plain text although the server offers STARTTLS."""
    carried: int = 0
    """Mails it has carried so far, refused ones included."""
    ended_after: int = 0
    """Mails after which its server took no more; those that were under way behind are not among them. 0: it did not."""
    users: int = 1
    """Mails that have it now: several where they go one behind the other by BDAT."""
    solo: bool = False
    """Whoever has it now wants nobody behind: their mail may take its time before it is written."""
    spent: bool = False
    """Whoever has it may finish; nobody else gets it."""
    idle_since: float = 0.0
    """Loop time in seconds at which it was last given back."""


@dataclass(slots=True)
class _Opening:
    """One call of `open`, over up to three connections."""

    source: EgressIp
    host: Host
    mode: TlsMode
    """Only gets worse."""
    encrypted_only: bool
    failed: Upgrade | None = None
    """How the last handshake failed, BROKEN or CUT."""


class Connector:
    """Opens sessions to one port. Knows hosts with broken TLS through its `TlsPolicy`."""

    def __init__(
        self,
        port: int,
        timeouts: Timeouts,
        tls: TlsPolicy,
        tls_of: TlsOf = lambda _name: Tls.OPPORTUNISTIC,
        relays: Relays | None = None,
    ) -> None:
        self._port = port
        self._relays = relays or Relays(timeouts)
        self._timeouts = timeouts
        self._tls = tls
        self._tls_of = tls_of

    async def open(self, source: EgressIp, host: Host) -> Session | Response:
        """A session from `source` to `host`, or what stood in the way (phases CONNECT, BANNER, EHLO, STARTTLS).

        Connects again when a handshake fails: without verification after a bad certificate, in plain text after a
        broken one. Where TLS is required plain text is no way out: phase STARTTLS, trouble TLS, so that the mail waits.
        UnavailableError when this process can open no more sockets.
        """
        if source.is_relay:
            client = await self._relays.open(source)
            return client if isinstance(client, Response) else Session(client, source, host, client.tls)
        required = self._tls_of(host.name) is Tls.REQUIRED or self._tls.is_demanded(host)
        opening = _Opening(source, host, self._tls.mode(host), required)
        while True:
            result = await self._attempt(opening)
            if result is not None:
                return result

    async def _attempt(self, opening: _Opening) -> Session | Response | None:
        """One connection. None asks for another one in the mode that `opening` has now."""
        client = await self._connect(opening.source, opening.host)
        if isinstance(client, Response):
            return client
        try:
            return await self._prepare(client, opening)
        except BaseException:
            # Cancelled by the caller: nobody else knows of this connection.
            client.abort()
            raise

    async def _prepare(self, client: SmtpClient, opening: _Opening) -> Session | Response | None:
        refused = await client.greet(opening.source.ehlo_name)
        if refused is not None:
            client.close()
            return refused
        if not client.features.starttls:
            return self._plain(client, opening, "offers no STARTTLS")
        if opening.mode is TlsMode.PLAIN:
            return self._plain(client, opening, "has broken TLS")
        upgraded = await client.starttls(self._tls.context(opening.mode), opening.host.name)
        if isinstance(upgraded, Response):
            return upgraded
        upgrade, why = upgraded
        if upgrade is Upgrade.DECLINED:
            return self._plain(client, opening, f"declines STARTTLS: {why}")
        if upgrade is Upgrade.UNTRUSTED:
            opening.mode = TlsMode.ENCRYPT
            return None
        if upgrade is not Upgrade.ENCRYPTED:
            return _in_plain_next(opening, upgrade, f"no handshake: {why}")
        return await self._hello_again(client, opening)

    async def _hello_again(self, client: SmtpClient, opening: _Opening) -> Session | Response | None:
        refused = await client.hello(opening.source.ehlo_name)
        if refused is None:
            word = "verified" if opening.mode is TlsMode.VERIFY else "unverified"
            self._tls.worked(opening.host, opening.mode)
            return Session(client, opening.source, opening.host, f"{client.tls_version} {word}")
        client.close()
        if refused.trouble in (Trouble.CLOSED, Trouble.PROTOCOL):
            # In TLS 1.3 a server's objection to the handshake arrives after our end of it is done.
            return _in_plain_next(opening, Upgrade.CUT, f"ended after the handshake: {refused.trouble}")
        return refused

    def _plain(self, client: SmtpClient, opening: _Opening, why: str) -> Session | Response:
        """The session that came about without TLS, where that will do. A handshake that broke on the way to it is
        remembered only now: a server that takes no mail either way has no broken TLS, it has trouble."""
        if opening.encrypted_only:
            client.close()
            return _tls_missing(opening.host, why)
        if opening.failed is not None:
            self._tls.broken(opening.host, opening.failed is Upgrade.CUT)
        tls = "none (handshake failed)" if opening.mode is TlsMode.PLAIN and client.features.starttls else "none"
        return Session(client, opening.source, opening.host, tls, encryptable=client.features.starttls)

    async def _connect(self, source: EgressIp, host: Host) -> SmtpClient | Response:
        if host.family not in source.families:
            text = f"{source.bind_address} cannot reach {host.address}: different IP versions"
            return Response(Phase.CONNECT, text=text, trouble=Trouble.UNREACHABLE)
        loop = asyncio.get_running_loop()
        if source.via == LOCAL:
            sock = await self._directly(loop, source, host)
        else:
            sock = await self._through(source, host)
        if isinstance(sock, Response):
            return sock
        try:
            factory: Callable[[], SmtpClient] = lambda: SmtpClient(loop, self._timeouts)  # noqa: E731
            return (await loop.create_connection(factory, sock=sock))[1]
        except BaseException:
            sock.close()
            raise

    async def _through(self, source: EgressIp, host: Host) -> socket.socket | Response:
        via = parse_via(source.via)
        if isinstance(via, str):
            return Response(Phase.CONNECT, text=via, trouble=Trouble.PROXY)
        return await connect_through(via, host.address, self._port, self._timeouts.connect)

    async def _directly(
        self, loop: asyncio.AbstractEventLoop, source: EgressIp, host: Host
    ) -> socket.socket | Response:
        family = socket.AF_INET6 if host.family == IPV6 else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise UnavailableError(f"cannot open a socket: {error.strerror}") from error
        try:
            failed = _bind(sock, source.bind_address) or await self._connected(loop, sock, host)
        except BaseException:
            sock.close()
            raise
        if failed is None:
            return sock
        sock.close()
        return failed

    async def _connected(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, host: Host) -> Response | None:
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await loop.sock_connect(sock, (host.address, self._port))
        except TimeoutError:
            return Response(Phase.CONNECT, trouble=Trouble.TIMEOUT)
        except OSError as error:
            return _failure(error)
        return None


async def reachable(source: EgressIp, seconds: float = ASK_SECONDS) -> str:
    """Why this process cannot send from `source`; empty when it binds the address, or when its proxy lets us in.

    `seconds` is for the proxy. A kernel with `ip_nonlocal_bind` binds every address, so there empty says little.
    """
    via = parse_via(source.via)
    if isinstance(via, str):
        return via
    if via.relay:
        return ""  # its owner would not like a login every half minute: the next mail tells
    if via.host:
        why = await greeting(via, seconds)
        return f"proxy {via.masked}: {why}" if why else ""
    return _bindable(source.bind_address)


def _bindable(address: str) -> str:
    try:
        version = ipaddress.ip_address(address).version  # a name would be looked up by bind, and block this process
        sock = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    except ValueError:
        return f"{address!r} is not an IP address"
    except OSError as error:
        return f"cannot open a socket: {error.strerror}"
    with sock:
        failed = _bind(sock, address)
    return failed.text if failed is not None else ""


def _in_plain_next(opening: _Opening, failed: Upgrade, why: str) -> Response | None:
    """What to do after no TLS came about: None, for another connection in plain text, where that will do."""
    if opening.encrypted_only:
        return _tls_missing(opening.host, why)
    opening.mode, opening.failed = TlsMode.PLAIN, failed
    return None


def _tls_missing(host: Host, why: str) -> Response:
    return Response(Phase.STARTTLS, text=f"TLS is required, and {host.name} {why}"[:1000], trouble=Trouble.TLS)


def _bind(sock: socket.socket, address: str) -> Response | None:
    sock.setblocking(False)
    try:
        if sys.platform == "linux":  # at this level for IPv6 as well
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((address, 0))
    except OSError as error:
        text = f"cannot bind {address}: {error.strerror}"
        return Response(Phase.CONNECT, text=text, trouble=Trouble.LOCAL_ADDRESS)
    return None


def _failure(error: OSError) -> Response:
    if error.errno in EXHAUSTED:
        raise UnavailableError(f"cannot connect: {error.strerror}") from error
    trouble = _TROUBLES.get(error.errno or 0, Trouble.UNREACHABLE)
    return Response(Phase.CONNECT, text=error.strerror or str(error), trouble=trouble)
