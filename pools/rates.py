"""How many mails may leave now, per key, over all workers: token buckets and hourly limits in Redis.

A key is whatever a limit counts by, such as an IP at a provider. Owns the buckets and the count of what was sent
lately; decides no rate (`pools/throttle`, `mta/providers`) and knows no mail.

The promise, over all processes together: a key is granted at most per_second · t + burst in any t seconds, and at most
per_hour in any 3600 seconds (of a steady stream that can be 95 % of the figure, because time leaves in parts of three
minutes). A step of Redis' clock adds at most a second's worth. Grants that Redis made and whose answer was lost count
as used. Redis losing its data gives each key one burst and one hour's figure anew.

While Redis cannot be asked, each process has a bucket of its own with `slow` of the rate, which begins empty.
"""

import math
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pools.scripts import TIMEOUT_SECONDS, Script

SLOW = 0.1
"""Share of a rate that each process takes when it cannot ask: up to ten processes stay within the whole."""

LONGEST_WAIT = 5.0
"""Seconds that a caller is sent away for while Redis is away: it may be back soon."""

_LOCAL_KEYS = 50_000
_PREFIX = b"postlane:rate:"
_WANTED = struct.Struct("<IdIII")
_TAKEN = struct.Struct("<If")
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class RateRequest:
    """`n` mails wanted of one key, and the limits of that key now."""

    key: str
    n: int
    per_second: float
    """Mails per second, such as 0.05; 0: no such limit."""
    per_hour: int
    """Mails in any hour; 0: no such limit."""
    burst: int
    """Mails that may leave at once after a pause; at least 1 is taken."""
    ahead: int = 0
    """Tokens this request may take before they are there. Those who come after it wait the longer, so on the long run
    the rate stays what it is: for a mail that must not wait behind a queue."""

    def __post_init__(self) -> None:
        if not (0 <= self.n <= _MOST and 0 <= self.per_hour <= _MOST and self.burst <= _MOST):
            raise ValueError(f"n, per_hour and burst of {self.key} must be 0 to {_MOST}")
        if not (self.per_second >= 0 and math.isfinite(self.per_second)):
            raise ValueError(f"per_second of {self.key} must be a number of at least 0, not {self.per_second}")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one request got."""

    granted: int
    """0 … n; counts as sent unless it is given back."""
    wait_seconds: float
    """Until the next one can be granted, if nobody else takes it; 0: now."""


@dataclass(slots=True)
class _Local:
    """The bucket of one key in this process."""

    tokens: float
    at: float
    since: float
    granted: int = 0


class LocalBuckets:
    """Buckets of one process, for the time in which the shared ones cannot be asked. They begin empty."""

    def __init__(self, share: float, monotonic: Callable[[], float]) -> None:
        self._share = share
        self._monotonic = monotonic
        self._buckets: dict[str, _Local] = {}

    def take(self, request: RateRequest) -> Taken:
        """As the shared bucket, at `share` of both limits; a key without limits gets what it wants."""
        rate = _lower(request.per_second, request.per_hour / 3600) * self._share
        now = self._monotonic()
        bucket = self._bucket(request.key, now)
        if rate == 0:
            bucket.granted += request.n
            return Taken(request.n, 0.0)
        burst = max(request.burst * self._share, 1.0)
        bucket.tokens, bucket.at = min(bucket.tokens + (now - bucket.at) * rate, burst), now
        granted = min(request.n, int(bucket.tokens + 1e-6))
        bucket.tokens -= granted
        bucket.granted += granted
        return Taken(granted, min(max(1 - bucket.tokens, 0.0) / rate, LONGEST_WAIT))

    def observed(self, key: str) -> float:
        """Mails per second since the shared buckets went away."""
        bucket = self._buckets.get(key)
        return 0.0 if bucket is None else bucket.granted / max(self._monotonic() - bucket.since, 1.0)

    def clear(self) -> None:
        """The shared buckets are back."""
        self._buckets.clear()

    def _bucket(self, key: str, now: float) -> _Local:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _LOCAL_KEYS:
                self._buckets.clear()  # they begin empty again, which is slower, never faster
            bucket = self._buckets[key] = _Local(0.0, now, now)
        return bucket


class Rates:
    """The buckets of all workers, as one process sees them. Used in one event loop."""

    def __init__(
        self,
        redis_url: str,
        slow: float = SLOW,
        timeout: float = TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slow`: share of the rates while Redis is away. `timeout`: seconds that one call may take."""
        self._script = Script(redis_url, "rates", timeout, monotonic)
        self._local = LocalBuckets(slow, monotonic)

    async def start(self) -> None:
        """Connect, so that the first batch need not. Redis being away is no error."""
        await self._script.run((), b"o", b"")

    async def stop(self) -> None:
        """Drop the connections."""
        await self._script.close()

    async def take(self, wanted: Sequence[RateRequest]) -> list[Taken]:
        """What each request gets, in their order; one round trip, at most the time-out, and never an error.

        A key that comes twice is served twice, the earlier request first.
        """
        if not wanted:
            return []
        packed = b"".join([_WANTED.pack(r.n, r.per_second, r.per_hour, max(r.burst, 1), r.ahead) for r in wanted])
        answer = await self._script.run([_PREFIX + r.key.encode() for r in wanted], b"t", packed)
        if answer is None:
            return [self._local.take(request) for request in wanted]
        self._local.clear()
        return [Taken(granted, wait) for granted, wait in _TAKEN.iter_unpack(answer)]

    async def give_back(self, unused: Sequence[tuple[str, int]]) -> None:
        """Grants that were not used, as (key, n): they may be taken again, and do not count as sent.

        While Redis is away they are dropped, which makes the key slower for a moment. ValueError for a negative n.
        """
        unused = [(key, n) for key, n in unused if n]
        if any(n < 0 for _, n in unused):
            raise ValueError("a negative number cannot be given back")
        if unused:
            packed = struct.pack(f"<{len(unused)}I", *(n for _, n in unused))
            await self._script.run([_PREFIX + key.encode() for key, _ in unused], b"r", packed)

    async def observed(self, keys: Sequence[str]) -> list[float]:
        """Mails per second granted lately, of all workers, in the order of `keys`.

        The mean of the last 30 to 60 seconds; of a key that was unused before, the mean since its first mail, over at
        least one second. While Redis is away: of this process only.
        """
        if not keys:
            return []
        answer = await self._script.run([_PREFIX + key.encode() for key in keys], b"o", b"")
        if answer is None:
            return [self._local.observed(key) for key in keys]
        return list(struct.unpack(f"<{len(keys)}f", answer))


def _lower(per_second: float, per_hour: float) -> float:
    """The stricter of two rates, of which 0 is none."""
    return min(per_second, per_hour) if per_second and per_hour else per_second or per_hour
