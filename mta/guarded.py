"""The network below httpcore: every connection goes to an address that a guard judged right then.

For requests whose address somebody else names: links of a campaign, endpoints of a sign-in provider.
"""

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Protocol

import httpcore

from mta.guard import ForbiddenTargetError, Guard

_FIRST_FREE_PORT: Final = 1024
"""Below it other protocols live, which an HTTP request must not be able to disturb."""


class Lookup(Protocol):
    """What is asked of DNS; `mta.resolve.Resolver` answers."""

    async def addresses(self, name: str) -> list[str]:
        """A and AAAA records. Raises UnavailableError."""
        ...


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the guard allows, and to nothing else. `seconds`: for all addresses of a host."""

    def __init__(self, lookup: Lookup, guard: Guard, seconds: float) -> None:
        self._lookup = lookup
        self._guard = guard
        self._seconds = seconds
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """To the first allowed address that answers. Raises ForbiddenTargetError, OSError, httpcore.ConnectError."""
        if port not in (80, 443) and port < _FIRST_FREE_PORT:
            raise ForbiddenTargetError(f"port {port} is not for HTTP")
        addresses = [host] if _is_address(host) else await self._lookup.addresses(host)
        if not addresses:
            raise OSError(f"{host} has no address")
        allowed = [address for address in addresses if self._guard.allows(address)]
        if not allowed:
            raise ForbiddenTargetError(self._guard.refusal(host, addresses))
        for address in allowed[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, self._seconds / len(allowed))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(allowed[-1], port, timeout)

    async def sleep(self, seconds: float) -> None:
        """httpcore's wait between tries, of which there are none."""
        await asyncio.sleep(seconds)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
