"""A worker whose clock is two hours ahead of or behind the database's.

Path: the database's `now()` is shifted, which makes the worker's clock the wrong one; the real pipeline delivers,
defers, expires and gives mail back.
Expectation: due, lease and expiry are the database's times. A wrong clock neither parks mail for hours, nor repeats an
attempt at once, nor expires mail before its time.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.lane import OneLane, one_lane, opened, pretend, settings_for

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.parametrize("wrong_by", [timedelta(hours=2), timedelta(hours=-2)], ids=["ahead", "behind"]),
]


@pytest.fixture
async def lane(database_url: str, redis_url: str, tmp_path: Path, wrong_by: timedelta) -> AsyncIterator[OneLane]:
    """A worker whose clock is wrong by that much."""
    pretend(database_url, "now", f"pg_catalog.now() - make_interval(secs => {wrong_by.total_seconds()})")
    settings = settings_for(database_url, redis_url, tmp_path)
    async with opened(database_url) as database, one_lane(database, settings) as lane:
        (ahead,) = await lane.row("SELECT extract(epoch FROM %s - now())::float8", datetime.now(UTC))
        assert abs(ahead - wrong_by.total_seconds()) < 60
        yield lane


async def _deferred(lane: OneLane, recipient: str, expires: timedelta | None = None) -> float:
    """Send a mail that is refused for now; seconds until its next attempt."""
    email_id = await lane.put(recipient, expires)
    await lane.deliver(recipient)
    await lane.committed()
    assert await lane.state(email_id) == "deferred"
    return await lane.due_in(email_id)


async def test_mail_is_delivered_and_the_event_bears_the_right_time(lane: OneLane) -> None:
    email_id = await lane.put("someone@small-001.sim")
    await lane.deliver("someone@small-001.sim")
    await lane.committed()
    assert await lane.state(email_id) == "delivered"
    (off,) = await lane.row(
        "SELECT abs(extract(epoch FROM now() - at))::float8 FROM events WHERE email_id = %s", email_id
    )
    assert off < 10


async def test_the_next_attempt_comes_after_the_first_step_of_the_retry_clock(lane: OneLane) -> None:
    # A full mailbox is looked at again after an hour, and up to a tenth later.
    assert 3590 < await _deferred(lane, "full@small-001.sim") < 3970


async def test_mail_expires_at_its_time_and_not_before(lane: OneLane) -> None:
    later = await _deferred(lane, "full@small-001.sim", expires=timedelta(hours=1))
    assert 3590 < later < 3600.5
    soon = await _deferred(lane, "full2@small-002.sim", expires=timedelta(seconds=20))
    assert 10 < soon < 20.5


async def test_mail_that_was_not_tried_is_due_again_at_once(lane: OneLane) -> None:
    email_id = await lane.put("someone@small-001.sim")
    sending = asyncio.create_task(lane.deliver("someone@small-001.sim"))
    while not lane.collaborators.permits:
        await asyncio.sleep(0)
    for permit in lane.collaborators.permits:
        permit.stop()  # as at the end of the worker
    await sending
    assert await lane.state(email_id) == "queued"
    assert -10 < await lane.due_in(email_id) <= 1
