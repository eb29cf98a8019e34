"""Which addresses we may connect to where somebody else names the host: webhooks, relays, mail servers, mailboxes.

Such names come from people who should not reach what only this machine reaches: other services on it, the cloud's
metadata, the machines behind it. Judged is the address that is connected to, never the name, which may mean another
one by the time of the connection. `Guard` is pure; `reach` and `reach_in_thread` are the ways to a host it allows.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from mta.resolve import is_forbidden

Network = IPv4Network | IPv6Network

_Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
_Found = tuple[int, int, int, str, _Address]
"""As `getaddrinfo` has it."""

_SPECIAL: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; older Pythons call parts of it global
        "192.88.99.0/24",  # relays of 6to4
        "64:ff9b::/96",  # IPv4 by NAT64, and its local kind
        "64:ff9b:1::/48",
        "2001::/23",  # Teredo and other assignments
        "2002::/16",  # 6to4
    )
)
_METADATA: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: 169.254.169.254 at nearly all clouds
        "fe80::/10",
        "168.63.129.16/32",  # Azure's own services, at an address that looks public
        "100.100.100.200/32",  # Alibaba, within what is shared by carriers
        "fd00:ec2::254/128",  # Amazon by IPv6, within what is private
    )
)
"""Where credentials are handed out to whoever asks: reached only when a network within these is named."""


class ForbiddenTargetError(OSError):
    """The address may not be connected to."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Which addresses may be connected to."""

    networks: tuple[Network, ...] = ()
    """The operator's own, which strangers could not reach."""
    public: bool = True
    setting: str = "POSTLANE_SERVER_NETWORKS"
    """What names `networks`."""

    def allows(self, address: str) -> bool:
        """Whether a connection to this address may be made."""
        ip = ip_address(address)
        allowed = [network for network in self.networks if _within(ip, [network])]
        if apart := [network for network in _METADATA if _within(ip, [network])]:
            return any(network.prefixlen >= one.prefixlen for network in allowed for one in apart)
        return bool(allowed) or (self.public and not is_forbidden(str(ip)) and not _within(ip, _SPECIAL))

    def refusal(self, host: str, addresses: Sequence[str]) -> str:
        """Why a host whose addresses are these is not connected to."""
        at = "" if list(addresses) == [host] else f" at {', '.join(addresses[:3])}, which is"
        return f"{host} is{at} not {self.where}"

    @property
    def where(self) -> str:
        """Where one may go, in words."""
        return f"{'a public address, nor ' if self.public else ''}in a network that {self.setting} names"


PUBLIC: Final = Guard()


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks of a setting."""
    return tuple(ip_network(text, strict=False) for text in texts)


async def reach(guard: Guard, host: str, port: int, seconds: float) -> socket.socket:
    """A socket connected to the first address of a host that answers, of those that may be connected to. OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        allowed = _allowed(guard, host, await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        for family, address in allowed[:-1]:
            try:
                return await _connected(family, address, seconds / len(allowed))
            except OSError:  # TimeoutError is one
                continue
        return await _connected(*allowed[-1], seconds)


def reach_in_thread(guard: Guard, host: str, port: int, seconds: float) -> socket.socket:
    """The same for a library that blocks."""
    allowed = _allowed(guard, host, socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    for _, address in allowed[:-1]:
        try:
            return socket.create_connection((str(address[0]), port), seconds / len(allowed))
        except OSError:
            continue
    return socket.create_connection((str(allowed[-1][1][0]), port), seconds)


async def _connected(family: int, address: _Address, seconds: float) -> socket.socket:
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(own, address)
    except BaseException:
        own.close()
        raise
    return own


def _allowed(guard: Guard, host: str, found: Sequence[_Found]) -> list[tuple[int, _Address]]:
    """Family and address of each that may be connected to. Raises ForbiddenTargetError when there is none."""
    allowed = [(family, address) for family, *_, address in found if guard.allows(_plain(address))]
    if not allowed:
        raise ForbiddenTargetError(guard.refusal(host, [_plain(address) for *_, address in found]))
    return allowed


def _plain(address: _Address) -> str:
    return str(address[0]).partition("%")[0]


def _within(ip: IPv4Address | IPv6Address, these: Sequence[Network]) -> bool:
    return any(ip in network for network in these if network.version == ip.version)
