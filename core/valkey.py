"""What a Valkey or Redis server says of itself."""

from dataclasses import dataclass

import redis

from core.errors import UnavailableError

_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """One server."""

    version: str
    evicts: str
    """The policy by which it throws keys away when it is full; "" when it does not."""


def facts(url: str) -> Facts:
    """Asks it; waits for it for a few seconds. Raises UnavailableError."""
    client = redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
    try:
        told = client.info()
    except redis.RedisError as error:
        raise UnavailableError(str(error)) from error
    finally:
        client.close()
    policy = str(told.get("maxmemory_policy") or "")
    evicts = policy if told.get("maxmemory") and policy != "noeviction" else ""
    return Facts(str(told.get("valkey_version") or told.get("redis_version")), evicts)
