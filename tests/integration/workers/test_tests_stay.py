"""Property: whatever happens to mail of a test key, nothing of it leaves, and every message ends once.

A story is a random sequence of what can happen between acceptance and end: sending now or later, one or many, to real,
simulated and unknown places; schedules moved, cancellations, claims by workers that die, batches that are given back,
deferrals that come round again, leases that run out. The sink takes all real mail there is.
"""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accounts.capture_rules import CaptureRules
from core.paging import Window
from messages import claim, repository
from messages.capture import marked
from messages.model import NewEmail
from messages.simulated import Behaviour
from sandbox import complaints, mailbox
from store.database import Database
from tests.integration.messages.emails import execute, rows
from tests.integration.workers.lane import KNOWN, LANE, LaneTest, due_now, lane_test, new_worker
from tests.smtp_sink import Rule

DOMAIN = "sandbox.example"
PLACES = (*KNOWN, DOMAIN, "nowhere.example")
STEPS = 25

_PEOPLE = (
    *(f"{name}@{DOMAIN}" for name in Behaviour),
    "bounced@resend.dev", "ann@one.example", "bea@two.example", "cee@nowhere.example", "busy@three.example",
)  # fmt: skip


@pytest.fixture
async def lane(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    busy = Rule("rcpt", "421 4.3.2 shutting down", local="busy")
    async with lane_test(database, database_url, redis_url, tmp_path, busy) as found:
        yield found


async def _send(lane: LaneTest, chance: random.Random) -> None:
    people = chance.sample(_PEOPLE, chance.randint(1, 4))
    later = datetime.now(UTC) + timedelta(minutes=5) if chance.random() < 0.3 else None
    email = lane.email(*people, capture=True, scheduled_at=later)
    caught = marked(email.recipients, CaptureRules(), DOMAIN)
    await lane.put(*people, capture=True, scheduled_at=later, id=email.id, recipients=caught)


async def _cancel(lane: LaneTest, chance: random.Random) -> None:
    async with lane.database.transaction() as connection:
        await repository.cancel(connection, lane.application_id, _one(lane, chance).id, "x", tests_only=True)


async def _move(lane: LaneTest, chance: random.Random) -> None:
    at = datetime.now(UTC) + timedelta(minutes=chance.randint(0, 9))
    async with lane.database.transaction() as connection:
        await repository.reschedule(connection, lane.application_id, _one(lane, chance).id, at)


async def _deliver(lane: LaneTest, chance: random.Random) -> None:
    await lane.deliver(*chance.sample(PLACES, 3), "resend.dev")


async def _die(lane: LaneTest, chance: random.Random) -> None:
    """Another worker claims, and is never heard of again; or gives back what it held."""
    worker = new_worker()
    async with lane.database.connection() as connection:
        claimed, _ = await claim.claim(connection, LANE, PLACES, worker, 50, timedelta(seconds=60))
        if chance.random() < 0.5:
            await claim.give_back(connection, [one.ref for one in claimed], worker, datetime.now(UTC))
        elif chance.random() < 0.5:
            await claim.release_worker(connection, worker)


async def _time_passes(lane: LaneTest, _: random.Random) -> None:
    await execute(lane.database, "UPDATE delivery_queue SET claimed_by = NULL, claimed_at = NULL")
    await due_now(lane)


_CAN_HAPPEN = (_send, _send, _cancel, _move, _deliver, _deliver, _die, _time_passes)


def _one(lane: LaneTest, chance: random.Random) -> NewEmail:
    return chance.choice(lane.stored)


@pytest.mark.parametrize("seed", range(4))
async def test_no_story_of_a_test_mail_ends_on_a_wire(lane: LaneTest, seed: int) -> None:
    chance = random.Random(seed)
    await _send(lane, chance)
    for _ in range(STEPS):
        await chance.choice(_CAN_HAPPEN)(lane, chance)
    for _ in range(3):
        await _time_passes(lane, chance)
        await lane.deliver(*PLACES, "resend.dev")
    await execute(lane.database, "UPDATE simulated_complaints SET due_at = now()")
    await complaints.voice(lane.database)

    assert lane.sink.mails == []
    assert lane.sink.journal.connections == 0
    assert await rows(lane.database, "SELECT count(*) FROM delivery_queue") == [(0,)]
    assert await rows(lane.database, "SELECT address FROM suppressions") == []
    assert await rows(lane.database, "SELECT outcome FROM outcome_counts") == []
    ends = "'delivered', 'bounced', 'suppressed', 'cancelled', 'expired', 'failed'"
    told = await rows(
        lane.database,
        f"SELECT count(*) FROM events WHERE kind IN ({ends}) GROUP BY email_id, position HAVING count(*) <> 1",
    )
    assert told == []
    async with lane.database.connection() as connection:
        kept = (await mailbox.page(connection, mailbox.EVERY, Window())).entries
    taken = await rows(lane.database, "SELECT email_id, position FROM messages WHERE state = 'delivered'")
    assert sorted(one.ref for one in kept) == sorted(taken)
    assert kept
