"""What an operator says of an IP or a relay, checked and in normal form. Pure but for `usable`, which opens sockets.

An IP is named by its public address everywhere; a relay, which has none that matters, by a name of the operator's own.
Every function raises `Refused` naming the field.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from core.addresses import AddressError, fold_domain
from core.refusal import Refused, invalid
from mta.model import EgressIp, RelayLimits
from mta.via import LOCAL, is_relay, parse_via

Trouble = Callable[[EgressIp], Awaitable[str]]
"""Says why this host cannot use an IP, or a relay not be used; "" when it can."""

_RELAY_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_MOST_CONNECTIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class LimitsChange:
    """What a relay takes, where it is to differ from what it was, or from the defaults. None: it does not."""

    connections: int | None = None
    messages_per_second: float | None = None
    messages_per_hour: int | None = None


SAME_LIMITS: Final = LimitsChange()


@dataclass(frozen=True, slots=True)
class IpChange:
    """What to change of an IP; None leaves a field as it is. An IP's address is its name and never changes."""

    ehlo_name: str | None = None
    bind_address: str | None = None
    via: str | None = None
    limits: LimitsChange = SAME_LIMITS


def no_ip(address: str) -> Refused:
    """We have no such IP."""
    return Refused("not_found", f"there is no IP {address!r}", hint="`postlane ips list` shows the IPs.")


def egress_ip(
    address: str, ehlo_name: str, bind_address: str = "", via: str = LOCAL, limits: LimitsChange = SAME_LIMITS
) -> EgressIp:
    """The IP, or the relay, that these texts describe, in normal form."""
    way = parse_via(via or LOCAL)
    if isinstance(way, str):
        raise invalid("via", way)
    if way.relay:
        # Whoever logged in may call itself localhost, as an installation without a name of its own does.
        named = ehlo_name if ehlo_name == "localhost" else _name(ehlo_name)
        return _relay(EgressIp(address, bind_address, named, via), limits)
    if limits != SAME_LIMITS:
        raise invalid("via", "only a relay has limits of its own: those of mailbox providers are in the providers file")
    normal = _address(address, "address")
    bound = _address(bind_address, "bind_address") if bind_address else normal
    if normal.version != bound.version:
        raise invalid("bind_address", f"{bound} is not of the same IP version as {normal}")
    return EgressIp(str(normal), str(bound), _name(ehlo_name), via or LOCAL)


def changed(ip: EgressIp, change: IpChange) -> EgressIp:
    """The IP as it would be; a relay stays a relay, and an IP an IP."""
    via = ip.via if change.via is None else change.via or LOCAL
    if is_relay(via) != is_relay(ip.via):
        raise invalid("via", f"{ip.address} cannot become {'a relay' if is_relay(via) else 'an IP'}: add another")
    bind = ip.bind_address if change.bind_address is None else change.bind_address
    ehlo = ip.ehlo_name if change.ehlo_name is None else change.ehlo_name
    before = ip.limits
    limits = change.limits
    if before is not None:
        limits = LimitsChange(
            before.connections if limits.connections is None else limits.connections,
            before.messages_per_second if limits.messages_per_second is None else limits.messages_per_second,
            before.messages_per_hour if limits.messages_per_hour is None else limits.messages_per_hour,
        )
    return egress_ip(ip.address, ehlo, bind, via, limits)


async def usable(ip: EgressIp, reachable: Trouble, relay_trouble: Trouble) -> None:
    """Raise Refused, naming the field, when this host cannot send from the IP, or not through the relay."""
    problem = await (relay_trouble if ip.is_relay else reachable)(ip)
    if problem and ip.via == LOCAL:
        raise invalid(
            "bind_address" if ip.bind_address != ip.address else "address",
            f"this host cannot send from it ({problem}); name a proxy in `via`, or say `elsewhere` when it belongs to"
            " another worker's host",
        )
    if problem:
        what = "the relay" if ip.is_relay else "the proxy"
        raise invalid("via", f"{problem}; say `elsewhere` when only another worker's host reaches {what}")


def in_order(address: str) -> tuple[int, bytes, str]:
    """A key to sort by: IPs as numbers, not as text; then relays by name."""
    try:
        found = ip_address(address)
    except ValueError:
        return 9, b"", address
    return found.version, found.packed, ""


def is_address(text: str) -> bool:
    """Whether this names an IP, and no relay."""
    return in_order(text)[0] != 9


def normal_address(text: str) -> str:
    """The address, or the relay's name, as it is stored. Raises Refused: we have no such IP."""
    if _RELAY_NAME.fullmatch(text.strip().lower()):
        return text.strip().lower()
    try:
        return str(_address(text, "address"))
    except Refused:
        raise no_ip(text) from None


def _relay(given: EgressIp, limits: LimitsChange) -> EgressIp:
    name = given.address.strip().lower()
    if not _RELAY_NAME.fullmatch(name):
        raise invalid("address", "a relay is called by a name of yours: a letter, then letters, digits and hyphens")
    if given.bind_address:
        raise invalid("bind_address", "a relay is not bound to an address")
    default = RelayLimits()
    most = default.connections if limits.connections is None else limits.connections
    if not 1 <= most <= _MOST_CONNECTIONS:
        raise invalid("connections", f"it must be a whole number from 1 to {_MOST_CONNECTIONS}, not {most}")
    per_second, per_hour = limits.messages_per_second or 0.0, limits.messages_per_hour or 0
    if not 0 <= per_second < float("inf"):
        raise invalid("messages_per_second", "it must be 0 (no limit) or more")
    if per_hour < 0:
        raise invalid("messages_per_hour", "it must be 0 (no limit) or more")
    return replace(given, address=name, limits=RelayLimits(most, per_second, per_hour))


def _name(ehlo_name: str) -> str:
    try:
        return fold_domain(ehlo_name)
    except AddressError as error:
        raise invalid("ehlo_name", f"it must be the host name of the IP's PTR record: {error.reason}") from None


def _address(text: str, field: str) -> IPv4Address | IPv6Address:
    """An address that mail can leave from."""
    try:
        found = ip_address(text.strip())
    except ValueError:
        raise invalid(field, f"{text[:60]!r} is neither an IPv4 nor an IPv6 address") from None
    if isinstance(found, IPv6Address) and (found.scope_id or found.ipv4_mapped):
        raise invalid(field, "an IPv6 address is written without a zone, and an IPv4 address as such")
    if found.is_unspecified or found.is_multicast or str(found) == "255.255.255.255":
        raise invalid(field, f"mail cannot leave from {found}")
    return found
