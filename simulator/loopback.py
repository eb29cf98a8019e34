"""The rule that keeps the practice internet on this machine: no socket of it listens or connects elsewhere."""

import ipaddress

from core.errors import ConfigurationError


class NotLoopbackError(ConfigurationError):
    """The practice internet was told to talk where others could hear it."""


def is_loopback(address: str) -> bool:
    """Whether this is an address, and of this machine alone. Names are none."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def require_loopback(address: str) -> None:
    """Raise NotLoopbackError for everything but a loopback address."""
    if not is_loopback(address):
        raise NotLoopbackError(f"{address}: the practice internet uses loopback addresses only")
