"""The task of a lane, without Celery and without a pipeline."""

import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest

from core.queues import Lane
from core.settings import Settings
from workers import app
from workers.app import MARKERS_SECONDS, LaneWorker
from workers.loop import LoopThread


class Busy(NamedTuple):
    """What the task asks its collaborators."""

    idle: bool


@pytest.mark.parametrize("idle", [True, False])
def test_a_valkey_that_says_nothing_keeps_no_claim_waiting(monkeypatch: pytest.MonkeyPatch, idle: bool) -> None:
    """While one claim waits, so do those of other tasks."""
    waited: list[float] = []

    async def deliver_due(
        lane: Lane, destinations: Sequence[str], c: Any, claims: Callable[[], Awaitable[None]]
    ) -> list[str]:
        begun = time.monotonic()
        await claims()
        waited.extend((time.monotonic() - begun, time.monotonic() - started))
        return []

    monkeypatch.setattr(app, "deliver_due", deliver_due)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        worker = LaneWorker(Settings(redis_url=url), Lane.TRANSACTIONAL)
        worker._collaborators = Busy(idle)  # type: ignore[assignment]  # asked for nothing else
        worker._loop = LoopThread()
        started = time.monotonic()
        worker.deliver(Lane.TRANSACTIONAL, ["x.example"])
        worker._loop.stop()

    assert waited[0] >= MARKERS_SECONDS, "its markers are tried once more"
    assert max(waited) < 1
