"""A lease that runs out under mail that is still on its way, or whose outcome could not be committed yet.

Path: what SIGSTOP or an absent PostgreSQL does to a worker's claims is done here at the worst moment: between claim and
reply, and between reply and commit. Then the same worker claims again, or another one does.
Expectation: a worker knows its own mail; and nobody takes over a claim that ran out while PostgreSQL was away, before
its owner has had time to commit what it knows. Nothing leaves twice, and there is one terminal event.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from store.database import Database
from tests.chaos.lane import HeldCourier, OneLane, one_lane, opened, pretend, settings_for

pytestmark = pytest.mark.chaos


LONG_AGO = "pg_catalog.now() - interval '1 hour'"
_CLAIMED_A_MINUTE_AGO = (
    "UPDATE delivery_queue SET claimed_by = %s, claimed_at = now() - interval '1 minute' RETURNING 1"
)
JUST_NOW = "pg_catalog.now() - interval '1 second'"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """On a server that has been up for an hour."""
    pretend(database_url, "pg_postmaster_start_time", LONG_AGO)
    async with opened(database_url) as database:
        yield database


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
        assert lane.collaborators.claims.held() == 0, "a committed message must not be held for ever"


@pytest.mark.parametrize(("started", "takes_over"), [(LONG_AGO, True), (JUST_NOW, False)], ids=["long ago", "just now"])
async def test_expired_claims_of_others_are_taken_over_unless_the_server_has_just_come_back(
    database_url: str, redis_url: str, tmp_path: Path, started: str, takes_over: bool
) -> None:
    pretend(database_url, "pg_postmaster_start_time", started)
    recipient = "someone@small-001.sim"
    settings = settings_for(database_url, redis_url, tmp_path)
    async with opened(database_url) as database, one_lane(database, settings) as lane:
        email_id = await lane.put(recipient)
        await lane.row(_CLAIMED_A_MINUTE_AGO, uuid4())
        await lane.let_lease_run_out(email_id)
        await lane.deliver(recipient)
        await lane.committed()
        assert await lane.state(email_id) == ("delivered" if takes_over else "queued")
