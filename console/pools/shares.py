"""Which part of a pool's mail each of its IPs carries: by weight among the warm ones, up to its cap while one warms up.
Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pools.administration import PoolMemberRow
from pools.ip_status import IpStatus, WarmingUp


@dataclass(frozen=True, slots=True)
class Share:
    """Of one IP."""

    part: float
    """Of the mail that the warm ones carry; of an IP that warms up, what it carries once it is warm."""
    cap: int | None
    """Mails today while it warms up; None: it has no cap."""

    @property
    def warms(self) -> bool:
        """It carries its cap, and not its part."""
        return self.cap is not None


def shares(members: Sequence[PoolMemberRow], standing: Mapping[str, IpStatus]) -> dict[str, Share]:
    """By address; none for an IP that is switched off or has no weight."""
    sending = [one for one in members if one.active and one.weight]
    caps = {one.address: _cap(standing.get(one.address)) for one in sending}
    every = sum(one.weight for one in sending)
    warm = sum(one.weight for one in sending if caps[one.address] is None) or every
    return {
        one.address: Share(one.weight / (warm if caps[one.address] is None else every), caps[one.address])
        for one in sending
    }


def _cap(status: IpStatus | None) -> int | None:
    """Of today, at all providers together; None where one provider has none any more."""
    warming: WarmingUp | None = status.warming if status else None
    if warming is None:
        return None
    caps = [track.cap for track in warming.tracks if not track.complete and track.cap is not None]
    return sum(caps) if len(caps) == len(warming.tracks) else None
