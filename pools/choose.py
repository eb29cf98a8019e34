"""Which IPs carry the next n mails. Pure: no clock, no I/O, no memory of its own.

The shares are equal, or by weight, at every moment and not only in the mean, so that every IP of a pool keeps the
volume its reputation was built on and the loss of one is spread over all others. It is given the IPs that may send just
now; those that rest, warm up or are switched off are the business of `pools/grants`.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd

from pools.model import PoolMember, Share


def choose(members: Sequence[PoolMember], n: int, turn: int) -> tuple[Share, ...]:
    """Shares of `n` mails: counts ≥ 1 that add up to n, in the order of `members`, whose weights are all above 0.

    `turn` is how many mails were granted before for this pool and site, by this caller: the mails take places turn,
    turn + 1, … of one endless sequence in which every IP has its share, so the shares are exact over batches of any
    size. Advance it by n; a caller that only counts its batches is fair too as long as the batch sizes do not follow a
    rhythm. Several workers each start at a random turn.

    Raises `ValueError` when n is below 1 or nobody is there to choose: a bug of the caller.
    """
    if n < 1 or not members:
        raise ValueError(f"cannot share {n} mails among {len(members)} IPs")
    counts = _shares(tuple(member.weight for member in members), n, turn)
    return tuple(Share(member.ip, count) for member, count in zip(members, counts, strict=True) if count)


def warming_share(n: int, warming: int, members: int) -> int:
    """How many of `n` mails one of `warming` IPs may ask its allowance for, in a pool where `members` can send.

    Up to twice its equal share, so that a small allowance is used while there is mail, and at most half of the pool's
    mail leaves warm IPs that are used to more: nothing of theirs falls to zero and comes back as a surge.
    """
    equal = -(-n // warming)
    return equal if warming == members else min(equal, -(-2 * n // members))


def _shares(weights: tuple[int, ...], n: int, turn: int) -> list[int]:
    """How many of the places turn … turn + n - 1 belong to each weight."""
    cycle, shares = _cycle(weights)
    rounds, rest = divmod(n, len(cycle))
    counts = [rounds * share for share in shares]
    for place in range(turn, turn + rest):
        counts[cycle[place % len(cycle)]] += 1
    return counts


@lru_cache(maxsize=128)
def _cycle(weights: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shortest sequence of indices in which each appears as often as its weight says, spread as evenly as can be
    (smooth weighted round robin: the one that is furthest behind its share comes next); and how often each appears."""
    divisor = gcd(*weights)
    shares = tuple(weight // divisor for weight in weights)
    total = sum(shares)
    behind = [0] * len(shares)
    places = []
    for _ in range(total):
        behind = [lag + share for lag, share in zip(behind, shares, strict=True)]
        first = behind.index(max(behind))
        behind[first] -= total
        places.append(first)
    return tuple(places), shares
