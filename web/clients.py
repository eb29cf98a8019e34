"""Who asks: the address of the person's browser or mail provider, behind the reverse proxies that we know.

`X-Forwarded-For` is read from the right, past our own proxies: what stands further left anybody could have written.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fastapi import Request

_Address = IPv4Address | IPv6Address


class Clients:
    """Reads client addresses. `proxies` are addresses or networks."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._proxies = [ip_network(text, strict=False) for text in proxies]

    def address(self, request: Request) -> str:
        """The client's IP address; "" when there is none (a Unix socket, a test)."""
        found = _address(request.client.host) if request.client else None
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while found is not None and self._ours(found) and forwarded:
            before = _address(forwarded.pop().strip())
            if before is None:
                break
            found = before
        return str(found) if found is not None else ""

    def _ours(self, address: _Address) -> bool:
        return any(address in network for network in self._proxies)


@lru_cache(4096)
def _address(text: str) -> _Address | None:
    try:
        found = ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
