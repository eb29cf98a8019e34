"""At most so many events per key within so long, counted by all processes together: in Redis.

Each process counts in its own memory beside: while Redis is away it goes on with what it has seen itself, so that the
limit is at most as many times itself as there are processes. Keys are hashed: addresses of people and of their machines
stand nowhere in Redis.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Hashable
from typing import Final

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.logs import get_logger
from core.rate_windows import RateWindow

_log = get_logger(__name__)

TIMEOUT_SECONDS: Final = 0.25
"""For one question, connecting included: somebody waits for a page."""
PAUSE_SECONDS: Final = 0.5
"""After a question that failed nothing is asked for so long: each page would wait for the time-out."""
_PREFIX: Final = "postlane:window:"


class SharedCounts:
    """The counts of several windows in Redis, asked by one event loop. Connects at the first question."""

    def __init__(self, redis_url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._client = redis.Redis.from_url(
            redis_url,
            socket_timeout=None,  # `asyncio.timeout` bounds it; the library's own loses cancellations
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._away = False
        self._quiet_until = 0.0

    async def add(self, key: str, seconds: int) -> int | None:
        """One more of a key, whose window begins with its first; how many there are. None: Redis cannot be asked."""
        if self._away and self._monotonic() < self._quiet_until:
            return None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._client.pipeline(transaction=True) as pipeline:
                pipeline.set(key, 0, ex=seconds, nx=True)
                pipeline.incr(key)
                _, count = await pipeline.execute()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            await self._failed(error)
            return None
        self._away = False
        return int(count)

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def _failed(self, error: Exception) -> None:
        self._quiet_until = self._monotonic() + PAUSE_SECONDS
        if not self._away:
            _log.warning("redis_away", limits="each process by itself", error=str(error) or type(error).__name__)
        self._away = True
        with contextlib.suppress(RedisError, OSError):  # after a fail-over they lead to the wrong server
            await self._client.connection_pool.disconnect(inuse_connections=False)


class SharedWindow:
    """At most `limit` events per key within `seconds`, over all processes."""

    def __init__(self, name: str, limit: int, seconds: int, shared: SharedCounts) -> None:
        """`name` tells it from all others."""
        self._name = name
        self._limit = limit
        self._seconds = seconds
        self._shared = shared
        self._own = RateWindow(limit, float(seconds))

    async def count(self, key: Hashable) -> bool:
        """Note one event; False when it is one too many."""
        own = self._own.count(key)
        found = await self._shared.add(self._hashed(key), self._seconds)
        return own if found is None else found <= self._limit

    def _hashed(self, key: Hashable) -> str:
        digest = hashlib.blake2b(f"{self._name} {key}".encode(), digest_size=16).hexdigest()
        return f"{_PREFIX}{self._name}:{digest}"
