"""The values of an IP pool and of a decision about it. Frozen, no behaviour beyond checking themselves.

`pools/repository` reads pools, `pools/choose` decides, the pipeline acts on `Grant` and `Wait`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.queues import Lane
from mta.model import EgressIp

MAX_WEIGHT: Final = 1000
"""Weights are shares, not counts. The bound keeps the sequence that `pools/choose` spreads mail over short."""


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One IP in one pool."""

    ip: EgressIp
    weight: int = 1
    """Share relative to the other members, up to `MAX_WEIGHT`; 0 takes the IP out without removing it."""
    active: bool = True
    """Switched on by its operator. Whether a provider takes mail from it today is another question: `Health`."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight of {self.ip.address} must be 0 to {MAX_WEIGHT}, not {self.weight}")


@dataclass(frozen=True, slots=True)
class Pool:
    """The IPs that a stream leaves through."""

    id: UUID
    name: str
    lane: Lane
    members: tuple[PoolMember, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """An IP may not be used at a provider."""

    until: datetime | None
    """When it may be used again; None: not before somebody changes something."""
    reason: str
    """The rule and evidence that rest it."""


Health = Callable[[EgressIp, str], Rest | None]
"""Asked for (IP, provider): None when the IP may be used now, otherwise why not and until when. It must not wait or
do I/O: the caller hands over a snapshot, such as a dictionary's look-up."""


def all_healthy(ip: EgressIp, provider: str) -> Rest | None:
    """The `Health` of a system that rests no IP."""
    return None


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send `count` mails through `ip`, over at most `connections` connections at a time."""

    ip: EgressIp
    count: int
    connections: int


@dataclass(frozen=True, slots=True)
class Wait:
    """No IP can take the mail now."""

    until: datetime | None
    """When the first IP returns; None: nobody knows, ask again at your own pace."""
    reason: str
