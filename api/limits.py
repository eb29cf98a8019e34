"""How much a caller may ask for: requests a second per key, and bytes per request.

The rate is kept per process and key in a token bucket that holds one second's worth, so a burst of that size passes and
the average does not exceed the setting. Several API processes each grant the full rate (the setting says so). The
answer carries what is left in `ratelimit-*` (draft-ietf-httpapi-ratelimit-headers-06, as Resend does); `web/edge` adds
the headers to every answer of a request that took a token.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from uuid import UUID

from fastapi import Request

from api.errors import ApiError
from web.edge import ADDED_HEADERS

_JSON_SLACK = 1024 * 1024
"""Bytes of a body beside its attachments and texts: names, quotes, addresses, headers."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a key has left after this request."""

    limit: int
    remaining: int
    reset: int
    """Seconds until the full limit is there again."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The `ratelimit-*` headers of an answer."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset),
        ]


class RateLimiter:
    """Token buckets by key. `rate` is requests a second, 0 for no limit."""

    def __init__(self, rate: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._buckets: dict[UUID, tuple[float, float]] = {}

    def take(self, key: UUID) -> Budget | None:
        """Take one token; None when there is no limit. `remaining` is -1 when the bucket was empty."""
        rate = self._rate
        if not rate:
            return None
        now = self._monotonic()
        tokens, then = self._buckets.get(key, (float(rate), now))
        tokens = min(float(rate), tokens + (now - then) * rate)
        if tokens < 1:
            self._buckets[key] = (tokens, now)
            return Budget(rate, -1, 1)
        self._buckets[key] = (tokens - 1, now)
        return Budget(rate, int(tokens) - 1, ceil((rate - tokens + 1) / rate))


def take(request: Request, key: UUID) -> None:
    """Take a token for this request or raise 429. The limiter is made by `api/app`."""
    limiter: RateLimiter = request.app.state.limiter
    budget = limiter.take(key)
    if budget is None:
        return
    if budget.remaining < 0:
        request.scope[ADDED_HEADERS] = Budget(budget.limit, 0, budget.reset).headers()
        raise ApiError(
            "rate_limit_exceeded",
            f"Too many requests: this key may make {budget.limit} a second.",
            {"retry-after": str(budget.reset)},
        )
    request.scope[ADDED_HEADERS] = budget.headers()


def body_limit(max_message_bytes: int) -> int:
    """Bytes a request body may have when an email may have `max_message_bytes`: base64 takes 4 for 3."""
    return max_message_bytes * 4 // 3 + _JSON_SLACK
