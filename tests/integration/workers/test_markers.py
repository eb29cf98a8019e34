"""When the markers of a hint go: a worker that takes it leaves none behind under which later mail would wait."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest
import redis

from core.publish import marker
from core.queues import Lane
from core.settings import Settings
from mta.model import FAMILIES
from workers import app
from workers.app import LaneWorker
from workers.loop import LoopThread

LANE = Lane.TRANSACTIONAL


class Busy(NamedTuple):
    """What the task asks its collaborators."""

    idle: bool
    resolver: Any = None
    pools: Any = None


class Looked(NamedTuple):
    """Stands for resolver and pools."""

    ahead_of: list[object]

    def ahead(self, destinations: Sequence[str], families: frozenset[int]) -> None:
        self.ahead_of.append((list(destinations), families))

    async def families(self) -> frozenset[int]:
        return FAMILIES


@pytest.mark.parametrize("idle", [True, False])
def test_markers_go_at_once_where_a_claim_need_not_wait_and_else_with_it(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, idle: bool
) -> None:
    markers = [marker(LANE, name) for name in ("one.example", "two.example")]
    left: list[object] = []

    async def deliver_due(
        lane: Lane, destinations: Sequence[str], c: Any, claims: Callable[[], Awaitable[None]]
    ) -> list[str]:
        left.append(client.exists(*markers))
        await claims()
        left.append(client.exists(*markers))
        return []

    monkeypatch.setattr(app, "deliver_due", deliver_due)
    worker = LaneWorker(Settings(redis_url=redis_url), LANE)
    worker._collaborators = Busy(idle)  # type: ignore[assignment]  # asked for nothing else
    worker._loop = LoopThread()
    with redis.Redis.from_url(redis_url) as client:
        client.mset(dict.fromkeys(markers, "1"))
        worker.deliver(LANE, ["one.example", "two.example"])
    worker._loop.stop()

    assert left == [0 if idle else 2, 0]


def test_servers_are_looked_for_before_the_first_claim_where_mail_is_to_leave(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    looked = Looked([])
    before: list[int] = []

    async def deliver_due(
        lane: Lane, destinations: Sequence[str], c: Any, claims: Callable[[], Awaitable[None]]
    ) -> list[str]:
        before.append(len(looked.ahead_of))
        await claims()
        return [] if len(before) > 1 else list(destinations)

    monkeypatch.setattr(app, "deliver_due", deliver_due)
    worker = LaneWorker(Settings(redis_url=redis_url), LANE)
    worker._collaborators = Busy(True, looked, looked)  # type: ignore[assignment]  # asked for nothing else
    worker._loop = LoopThread()
    worker.deliver(LANE, ["one.example", "two.example"], ["two.example"])
    worker._loop.stop()

    assert before == [0, 1]
    assert looked.ahead_of == [(["two.example"], FAMILIES)]
