"""Limits that all processes keep together, and each by itself while Redis is away."""

import redis

from cli.running import free_ports
from core.shared_windows import SharedCounts, SharedWindow

LIMIT = 3


def _window(redis_url: str, name: str = "sign-ups") -> tuple[SharedWindow, SharedCounts]:
    """As one process has it."""
    shared = SharedCounts(redis_url)
    return SharedWindow(name, LIMIT, 60, shared), shared


async def test_two_processes_grant_one_limit(redis_url: str) -> None:
    (one, first), (other, second) = _window(redis_url), _window(redis_url)
    answers = [await (one if n % 2 else other).count("ann@example.com") for n in range(LIMIT + 2)]
    assert answers == [True] * LIMIT + [False] * 2
    assert await one.count("bob@example.com"), "each key by itself"
    (elsewhere, third) = _window(redis_url, "other")
    assert await elsewhere.count("ann@example.com"), "each window by itself"
    for shared in (first, second, third):
        await shared.close()


async def test_a_window_ends_and_names_nobody(redis_url: str) -> None:
    window, shared = _window(redis_url)
    for _ in range(2):
        await window.count("ann@example.com")
    with redis.Redis.from_url(redis_url) as client:
        (key,) = client.keys("*")
        assert key.startswith(b"postlane:window:sign-ups:") and b"ann" not in key
        assert (client.get(key), 0 < client.ttl(key) <= 60) == (b"2", True)
    await shared.close()


async def test_while_redis_is_away_each_counts_by_itself(redis_url: str) -> None:
    (port,) = free_ports.take(1)
    (one, first), (other, second) = [_window(f"redis://127.0.0.1:{port}/0") for _ in range(2)]
    for window in (one, other):
        assert [await window.count("ann@example.com") for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]
    for shared in (first, second):
        await shared.close()
