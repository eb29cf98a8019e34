"""The way to a mail server through the SOCKS5 proxy on the host that has the source IP (RFC 1928, RFC 1929).

Owns the connection through a proxy, and the question whose fault a failed one is. The proxy's: the IP is of no use at
all now. The mail server's: it is what a direct connection would have met. It binds nothing, because the proxy does
that: one proxy, or one port of it, for each address. It speaks no SMTP. No text made here contains a password.
"""

import asyncio
import errno
import os
import socket

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from core.errors import UnavailableError
from mta.model import Phase, Response, Trouble
from mta.via import Via

ASK_SECONDS = 3.0
"""How long a proxy may take to greet us. It is one of our own hosts, and a greeting needs nobody else."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""This process can open no more sockets: nobody else's fault."""

_TARGET_TROUBLES = {
    1: Trouble.UNREACHABLE,
    2: Trouble.UNREACHABLE,
    3: Trouble.UNREACHABLE,
    4: Trouble.UNREACHABLE,
    5: Trouble.REFUSED,
    6: Trouble.TIMEOUT,
    8: Trouble.UNREACHABLE,
}
"""Reply codes of RFC 1928 section 6 that speak about the mail server, or may: a recipient's domain chooses the address
that a rule of the proxy (2) may forbid, and one such domain may not put an IP out of work. 7, "command not supported",
is left out: who cannot CONNECT is no proxy for us."""

_USERNAME, _NO_LOGIN, _NONE_FITS = 2, 0, 0xFF


async def connect_through(via: Via, address: str, port: int, seconds: float) -> socket.socket | Response:
    """A socket connected to a mail server through the proxy, or what stood in the way (phase CONNECT).

    `seconds` covers the way to the proxy and from there on. When nothing was heard by then, the proxy is asked for a
    greeting (`seconds` again, ASK_SECONDS at most): one that greets is not to blame. UnavailableError when this
    process has no more sockets.
    """
    proxy = Proxy(ProxyType.SOCKS5, via.host, via.port, via.user or None, via.password or None)
    try:
        return await proxy.connect(address, port, timeout=seconds)
    except ProxyTimeoutError:
        why = await greeting(via, min(seconds, ASK_SECONDS))
        if not why:
            return Response(Phase.CONNECT, text=f"no answer, through {via.masked}", trouble=Trouble.TIMEOUT)
    except ProxyError as error:
        trouble = _TARGET_TROUBLES.get(error.error_code or 0)
        if trouble is not None:
            return Response(Phase.CONNECT, text=f"{error}, through {via.masked}", trouble=trouble)
        why = str(error)
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise UnavailableError(f"cannot connect: {error.strerror}") from error
        why = _words(error)
    return Response(Phase.CONNECT, text=f"proxy {via.masked}: {why}"[:1000], trouble=Trouble.PROXY)


async def greeting(via: Via, seconds: float = ASK_SECONDS) -> str:
    """Why the proxy is of no use now; empty when it answers within `seconds` and lets us in."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(via.host, via.port)
            return await _log_in(reader, writer, via)
    except TimeoutError:
        return f"no greeting within {seconds:g} s"
    except asyncio.IncompleteReadError:
        return "closed before it greeted"
    except OSError as error:
        return _words(error)
    finally:
        if writer is not None:
            writer.transport.abort()


async def _log_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, via: Via) -> str:
    """The first half of a SOCKS5 conversation, as RFC 1928 section 3 and RFC 1929 have it."""
    offered = bytes((_NO_LOGIN, _USERNAME) if via.user else (_NO_LOGIN,))
    writer.write(bytes((5, len(offered))) + offered)
    version, method = await reader.readexactly(2)
    if version != 5:
        return "does not speak SOCKS5"
    if method == _NONE_FITS or method not in offered:
        return "wants another way to log in"
    if method == _USERNAME:
        user, password = via.user.encode(), via.password.encode()
        writer.write(bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if (await reader.readexactly(2))[1] != 0:
            return "refuses the user name or the password"
    return ""


def _words(error: OSError) -> str:
    if isinstance(error, ProxyConnectionError) and error.__cause__ is not None:
        error = error.__cause__ if isinstance(error.__cause__, OSError) else error
    # asyncio puts its own words in place of the system's.
    number = error.errno or 0
    return os.strerror(number) if number in errno.errorcode else error.strerror or str(error)
