"""Who holds a queue row, and what everybody else makes of it: the claim, cancel, reschedule, and what is shown.

A restart of PostgreSQL is simulated by a claim from before the server's start, whose lease is over by its own clock.
"""

from datetime import UTC, datetime, timedelta

import pytest

from core.ids import uuid7
from core.queues import Lane
from messages import claim, repository, search
from messages.model import NewEmail
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, new_email, rows, store

LEASE = timedelta(seconds=60)
WORKER = uuid7()

LONG_LEASE = "claimed_at = pg_postmaster_start_time() - interval '1 hour', due_at = now() - interval '1 second'"
"""Ran out while the server was away or has just come back: its holder has not had its time again."""
SHORT_LEASE = (
    "claimed_at = pg_postmaster_start_time() - interval '10 seconds',"
    " due_at = pg_postmaster_start_time() - interval '9.999 seconds'"
)
"""Its holder has had its time again since the restart."""
LIVE = "claimed_at = now(), due_at = now() + interval '1 minute'"
DEAD = "claimed_at = now() - interval '1 ms', due_at = now()"


@pytest.fixture(params=[(LONG_LEASE, False), (LIVE, False), (SHORT_LEASE, True), (DEAD, True)], ids=str)
async def claimed(request: pytest.FixtureRequest, database: Database) -> tuple[NewEmail, bool]:
    """A scheduled email whose time has come, claimed in some way; and whether others may have it."""
    lease, free = request.param
    await make_partitions(database)
    email = new_email(scheduled_at=datetime.now(UTC))
    await store(database, email)
    await execute(database, f"UPDATE delivery_queue SET claimed_by = %s, {lease}", [WORKER])
    return email, free


async def test_claim(database: Database, claimed: tuple[NewEmail, bool]) -> None:
    email, free = claimed
    names = [email.recipients[0].destination]
    async with database.connection() as connection:
        taken, _ = await claim.claim(connection, Lane.TRANSACTIONAL, names, uuid7(), 10, LEASE)
    assert len(taken) == free


async def test_cancel(database: Database, claimed: tuple[NewEmail, bool]) -> None:
    email, free = claimed
    async with database.transaction() as connection:
        change = await repository.cancel(connection, APPLICATION, email.id, "by a test")
    assert change is not None
    assert change.moved == free
    assert await rows(database, "SELECT count(*) FROM delivery_queue") == [(not free,)]
    told = await rows(database, "SELECT kind, detail FROM events")
    assert told == ([("cancelled", "by a test")] if free else [])


async def test_reschedule(database: Database, claimed: tuple[NewEmail, bool]) -> None:
    email, free = claimed
    async with database.transaction() as connection:
        change = await repository.reschedule(connection, APPLICATION, email.id, datetime.now(UTC) + LEASE)
    assert change is not None
    assert change.moved == free
    assert await rows(database, "SELECT claimed_by FROM delivery_queue") == [(None if free else WORKER,)]


async def test_what_is_shown(database: Database, claimed: tuple[NewEmail, bool]) -> None:
    email, free = claimed
    async with database.connection() as connection:
        (message,) = await search.of_email(connection, email.id)
        (line,) = await search.waiting(connection)
    assert (message.next_attempt_at is not None) == free
    assert line.due == free


async def test_renewing_a_claim_after_a_restart_makes_it_a_claim_of_this_server(database: Database) -> None:
    await make_partitions(database)
    email = new_email()
    await store(database, email)
    await execute(database, f"UPDATE delivery_queue SET claimed_by = %s, {LONG_LEASE}", [WORKER])
    async with database.connection() as connection:
        await claim.renew(connection, [claim.MessageRef(email.id, 0)], WORKER, LEASE)
    kept = "SELECT due_at - claimed_at, claimed_at > pg_postmaster_start_time() FROM delivery_queue"
    assert await rows(database, kept) == [(LEASE, True)]
