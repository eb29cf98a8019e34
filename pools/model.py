"""The values of an IP pool and of a decision about it. Frozen, no behaviour beyond checking themselves.

`pools/repository` reads pools, `pools/choose` and `pools/grants` decide, the pipeline acts on what they return.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.queues import Lane
from mta.model import EgressIp

MAX_WEIGHT: Final = 1000
"""Weights are shares, not counts. The bound keeps the sequence that `pools/choose` spreads mail over short."""

EVERYWHERE: Final = "*"
"""The site of a rest that holds at all of them: an IP that this installation cannot use at all."""


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One IP in one pool."""

    ip: EgressIp
    weight: int = 1
    """Share relative to the other members, up to `MAX_WEIGHT`; 0 takes the IP out without removing it."""
    active: bool = True
    """Not paused by its operator, and within reach of this process. Whether a provider takes mail from it today is
    another question."""
    why: str = ""
    """Why it is not active."""

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
    overflow_id: UUID | None = None
    """The pool that takes what no IP of this one can take now."""
    reserved: bool = False
    """Takes only mail that names it."""


@dataclass(frozen=True, slots=True)
class Rest:
    """An IP, or a sending domain, may not be used at a site."""

    until: datetime | None
    """When it may be used again; None: not before somebody changes something."""
    reason: str
    """The rule and evidence that rest it."""


@dataclass(frozen=True, slots=True)
class Share:
    """`count` mails for `ip`."""

    ip: EgressIp
    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """No IP can take the mail now."""

    until: datetime | None
    """When the first IP returns; None: nobody knows, ask again at your own pace."""
    reason: str
    breaker: str = ""
    """The provider to which a breaker stops its stream; "" for any other reason."""
