"""How the store keeps the `via` of an IP: its password apart, sealed and bound to that IP; and what a relay takes.

An IP whose password cannot be opened (another POSTLANE_SECRET) keeps its `via` without one, which nobody can use: its
mail leaves through the others, and the reason is said like that of any other IP out of reach.
"""

from typing import Final

from core.errors import ConfigurationError
from core.logs import get_logger
from core.secrets import InstanceSecret
from mta.model import EgressIp, RelayLimits
from mta.via import Via, parse_via, with_password

COLUMNS: Final = "via, sealed_password, connections, messages_per_second, messages_per_hour"
"""Of `egress_ips`, in the order of `stored` and `opened`."""

_log = get_logger(__name__)


def stored(
    ip: EgressIp, secret: InstanceSecret | None
) -> tuple[str, bytes | None, int | None, float | None, int | None]:
    """The values of `COLUMNS` for an IP whose `via` has been checked. ConfigurationError: a password, and no secret."""
    via = parse_via(ip.via)
    assert isinstance(via, Via), "the via was checked when the IP was made"
    sealed = None
    if via.password:
        if secret is None:
            raise ConfigurationError("a password is kept sealed with POSTLANE_SECRET, which is not set")
        sealed = secret.seal(via.password.encode(), _context(ip.address))
    limits = ip.limits
    if limits is None:
        return via.without_password, sealed, None, None, None
    return (
        via.without_password, sealed, limits.connections, limits.messages_per_second, limits.messages_per_hour,
    )  # fmt: skip


def opened(address: str, via: str, sealed: bytes | None, secret: InstanceSecret | None) -> str:
    """The whole `via`, with its password."""
    if sealed is None or secret is None:
        return via
    try:
        return with_password(via, secret.open(bytes(sealed), _context(address)).decode())
    except ConfigurationError as error:
        _log.error("password_not_opened", ip=address, error=str(error))
        return via


def limits_of(connections: int | None, per_second: float | None, per_hour: int | None) -> RelayLimits | None:
    """What a relay takes; None for an IP of our own."""
    return None if connections is None else RelayLimits(connections, per_second or 0.0, per_hour or 0)


def _context(address: str) -> str:
    return f"via:{address}"
