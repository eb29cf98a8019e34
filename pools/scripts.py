"""Lua in a Redis that may be away. The one way in which `pools` talks to Redis.

Owns the connection, the time-out, the script's presence after a SCRIPT FLUSH or a fail-over, and the knowledge that
Redis is away: then every call answers None at once, and one in `PAUSE_SECONDS` tries again. It never decides what None
means: who runs a script sends slowly then. One loop per object; it needs no locks.
"""

import asyncio
import contextlib
import hashlib
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from core.logs import get_logger

_log = get_logger(__name__)

TIMEOUT_SECONDS = 0.25
"""For one call, connecting included. A call takes about a millisecond; a worker with a batch in hand cannot wait."""

PAUSE_SECONDS = 0.5
"""After a failed call nothing is tried for so long: a hundred batches would each wait for the time-out."""

CLOCK_KEY = b"postlane:clock"
"""What all scripts count time by, see clock.lua."""

_FOLDER = Path(__file__).parent


class Script:
    """One Lua file of this folder, run with clock.lua before it."""

    def __init__(
        self,
        redis_url: str,
        name: str,
        timeout: float = TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`redis_url`: redis://, rediss:// or unix://. `name`: the file without its ending. Connects at the first call.

        ValueError for a URL of another kind.
        """
        self.name = name
        text = "".join((_FOLDER / f"{part}.lua").read_text(encoding="ascii") for part in ("clock", name))
        self._text = text
        self._sha = hashlib.sha1(text.encode("ascii"), usedforsecurity=False).hexdigest()
        self._timeout = timeout
        self._monotonic = monotonic
        self._client = redis.Redis.from_url(
            redis_url,
            # With one, redis-py 8.1 sends within asyncio.wait_for, which in Python 3.11 loses a cancellation that comes
            # as the sending is done (fixed in 3.12): a cancelled caller, and our own time-out, would go unheard.
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._asked: float | None = None
        """When the last call that was answered had been sent: Redis ran it no earlier."""
        self._away_since: float | None = None
        self._quiet_until = 0.0

    @property
    def away(self) -> bool:
        """True when the last call failed, and it is too early for the next try."""
        return self._away_since is not None and self._monotonic() < self._quiet_until

    async def run(self, keys: Sequence[bytes], *args: bytes) -> bytes | None:
        """The script's answer, or None: Redis cannot be asked. The script may have run even so.

        `keys` become KEYS[2] and up, `args` ARGV[2] and up. Takes no longer than the time-out.
        """
        if self.away:
            return None
        sent = self._monotonic()
        measured = -1.0 if self._asked is None else sent - self._asked
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._evaluate((CLOCK_KEY, *keys, struct.pack("<d", measured), *args), len(keys) + 1)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            await self._failed(error)
            return None
        self._asked = sent if self._asked is None else max(self._asked, sent)
        if self._away_since is not None:
            _log.info("redis_back", script=self.name, seconds=round(self._monotonic() - self._away_since, 1))
            self._away_since = None
        return answer

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def _evaluate(self, values: Sequence[bytes], keys: int) -> bytes:
        run: Callable[..., Awaitable[bytes]] = self._client.execute_command
        try:
            answer: bytes = await run("EVALSHA", self._sha, keys, *values)
        except NoScriptError:  # a new server, or SCRIPT FLUSH; EVAL stores it again
            answer = await run("EVAL", self._text, keys, *values)
        return answer

    async def _failed(self, error: Exception) -> None:
        now = self._monotonic()
        self._quiet_until = now + PAUSE_SECONDS
        if self._away_since is None:
            self._away_since = now
            _log.warning("redis_away", script=self.name, error=str(error) or type(error).__name__)
        # After a fail-over the old connections lead to a server that may not be written to.
        with contextlib.suppress(RedisError, OSError):
            await self._client.connection_pool.disconnect(inuse_connections=False)
