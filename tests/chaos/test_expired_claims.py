"""A lease that runs out under mail that is still on its way, or whose outcome could not be committed yet.

Path: what SIGSTOP or an absent PostgreSQL does to a worker's claims is done here at the worst moment: between claim and
reply, and between reply and commit. Then the same worker claims again.
Expectation: it knows its own mail. Nothing leaves twice, and there is one terminal event.
"""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from store.database import Database
from tests.chaos.lane import HeldCourier, OneLane, one_lane, settings_for

pytestmark = pytest.mark.chaos


async def _ended_once(lane: OneLane, recipient: str) -> None:
    await lane.committed()
    (events,) = await lane.row("SELECT count(*) FROM events WHERE kind = 'delivered'")
    (left,) = await lane.row("SELECT count(*) FROM delivery_queue")
    assert (await lane.arrived(recipient), events, left) == (1, 1, 0)


async def test_mail_that_waits_for_its_reply_is_not_sent_again(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    recipient = "someone@small-001.sim"
    async with one_lane(database, settings_for(database_url, redis_url, tmp_path), held=True) as lane:
        email_id = await lane.put(recipient)
        first = asyncio.create_task(lane.deliver(recipient))
        await lane.arrived(recipient)
        await lane.let_lease_run_out(email_id)
        second = asyncio.create_task(lane.deliver(recipient))
        await lane.leased_again(email_id)
        cast(HeldCourier, lane.collaborators.courier).release.set()
        await asyncio.gather(first, second)
        await _ended_once(lane, recipient)


async def test_mail_whose_outcome_waits_for_its_commit_is_not_sent_again(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    recipient = "someone@small-001.sim"
    async with one_lane(database, settings_for(database_url, redis_url, tmp_path), flush_ms=2000) as lane:
        email_id = await lane.put(recipient)
        await lane.deliver(recipient)
        assert lane.collaborators.recorder.depth() == 1
        await lane.let_lease_run_out(email_id)
        await lane.deliver(recipient)
        await _ended_once(lane, recipient)
        assert lane.collaborators.leases.held() == 0, "a committed message must not be held for ever"
