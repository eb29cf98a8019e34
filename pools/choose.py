"""Which IPs of a pool carry the next n mails to one provider. Pure: no clock, no I/O, no memory of its own.

The shares are equal, or by weight, at every moment and not only in the mean, so that every IP of a pool keeps the
volume its reputation was built on and the loss of one is spread over all others. Called by the pipeline once a batch.
An IP that rests, is switched off or has weight 0 gets nothing; its share goes to the others in proportion.

Warm-up and fail-over come in from outside: an IP whose allowance is used up, or that has just been throttled, answers
with a `Rest`, and the caller chooses again for what is left.
"""

from datetime import datetime
from functools import lru_cache
from math import gcd

from mta.model import EgressIp
from pools.model import Grant, Health, Pool, PoolMember, Rest, Wait


def choose(pool: Pool, provider: str, n: int, health: Health, connections: int, turn: int) -> tuple[Grant, ...] | Wait:
    """Grants for `n` mails to `provider` (counts ≥ 1 that add up to n, in the pool's order), or why to wait.

    `connections` is what the provider allows one IP at a time. `turn` is how many mails were granted before for this
    pool and provider, by this caller: the mails take places turn, turn + 1, … of one endless sequence in which every
    IP has its share, so the shares are exact over batches of any size. Advance it by n; a caller that only counts its
    batches is fair too as long as the batch sizes do not follow a rhythm. Several workers each start at a random turn.

    Raises `ValueError` when n or connections is below 1: a bug of the caller.
    """
    if n < 1 or connections < 1:
        raise ValueError(f"n {n} and connections {connections} must be at least 1")
    rests = [(member, health(member.ip, provider)) for member in pool.members if member.active and member.weight > 0]
    usable = [member for member, rest in rests if rest is None]
    if not usable:
        return _wait(pool, provider, [(member, rest) for member, rest in rests if rest is not None])
    counts = _shares(tuple(member.weight for member in usable), n, turn)
    return tuple(
        Grant(member.ip, count, min(connections, count)) for member, count in zip(usable, counts, strict=True) if count
    )


def same_ip(pool: Pool, provider: str, address: str, health: Health) -> EgressIp | None:
    """The IP that a greylisted message was refused through, if the pool still has it and the provider takes mail from
    it; otherwise None, and the message is chosen for like any other."""
    for member in pool.members:
        if member.ip.address == address and member.active:
            return member.ip if health(member.ip, provider) is None else None
    return None


def _shares(weights: tuple[int, ...], n: int, turn: int) -> list[int]:
    """How many of the places turn … turn + n - 1 belong to each weight."""
    divisor = gcd(*weights)
    cycle = _cycle(tuple(weight // divisor for weight in weights))
    rounds, rest = divmod(n, len(cycle))
    counts = [rounds * weight // divisor for weight in weights]
    for place in range(turn, turn + rest):
        counts[cycle[place % len(cycle)]] += 1
    return counts


@lru_cache(maxsize=128)
def _cycle(weights: tuple[int, ...]) -> tuple[int, ...]:
    """The shortest sequence of indices in which each appears as often as its weight, spread as evenly as can be
    (smooth weighted round robin: the one that is furthest behind its share comes next)."""
    total = sum(weights)
    behind = [0] * len(weights)
    places = []
    for _ in range(total):
        behind = [lag + weight for lag, weight in zip(behind, weights, strict=True)]
        first = behind.index(max(behind))
        behind[first] -= total
        places.append(first)
    return tuple(places)


def _wait(pool: Pool, provider: str, resting: list[tuple[PoolMember, Rest]]) -> Wait:
    """Nothing is usable: wait for the earliest IP that says when it returns."""
    if not resting:
        return Wait(None, f"pool {pool.name} has no active IP")
    ends: list[datetime] = [rest.until for _, rest in resting if rest.until is not None]
    why = "; ".join(f"{member.ip.address}: {rest.reason}" for member, rest in resting)
    return Wait(min(ends, default=None), f"every IP of pool {pool.name} rests at {provider} ({why})")
