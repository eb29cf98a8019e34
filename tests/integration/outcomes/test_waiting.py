"""Two who move the same messages at once: the one who waits for the other loses nothing.

Each is tried with a plan for these very messages and, from the sixth time on, with one for any (PostgreSQL's generic
plan), which prunes partitions only when it runs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from messages import claim
from messages.model import MessageRef
from messages.states import State
from outcomes.kinds import Outcome
from outcomes.record import Recorded, record
from store.database import Connection, Database
from tests.integration.messages.emails import make_partitions, new_email, states, until_somebody_waits, waiting
from tests.integration.outcomes.facts import WORKER, deferral, outcome
from tests.integration.outcomes.test_record import claimed

TIMES = 8
"""PostgreSQL plans a prepared statement five times for its values; then it may take a plan for any."""
SOME = 30

Act = Callable[[Connection, Sequence[MessageRef]], Awaitable[object]]


async def release(connection: Connection, _found: Sequence[MessageRef]) -> None:
    await claim.release_worker(connection, WORKER)


async def renew(connection: Connection, found: Sequence[MessageRef]) -> None:
    await claim.renew(connection, found, WORKER, timedelta(seconds=60))


async def put_off(connection: Connection, found: Sequence[MessageRef]) -> None:
    await record(connection, [deferral(ref) for ref in found])


async def end_half(connection: Connection, found: Sequence[MessageRef]) -> None:
    await record(connection, [outcome(ref, State.EXPIRED) for ref in found[::2]])


@pytest.fixture
async def lane(database: Database, database_url: str) -> AsyncIterator[Database]:
    """As a worker of a lane asks: statements are prepared, and look rows up by an index."""
    await make_partitions(database)
    own = Database(database_url, size=1, probing=True)
    await own.open()
    yield own
    await own.close()


async def told(lane: Database, outcomes: Sequence[Outcome]) -> Recorded:
    async with lane.transaction() as connection:
        return await record(connection, outcomes)


async def told_meanwhile(database: Database, lane: Database, act: Act, outcomes: Sequence[Outcome]) -> Recorded:
    """What recording these said, which waited for what `act` had locked."""
    async with database.transaction() as connection:
        await act(connection, [one.ref for one in outcomes])
        waits = asyncio.create_task(told(lane, outcomes))
        await until_somebody_waits(database)
    return await waits


@pytest.mark.parametrize("act", [release, renew, put_off])
async def test_what_waited_for_who_changed_the_queue_ends_in_both_tables(
    database: Database, lane: Database, act: Act
) -> None:
    for _ in range(TIMES):
        found = await claimed(database, *(new_email() for _ in range(SOME)))
        recorded = await told_meanwhile(database, lane, act, [outcome(ref) for ref in found])
        assert recorded.ended == SOME
        assert await waiting(database) == {}
        assert {state for ref, state in (await states(database)).items() if ref in found} == {"delivered"}


async def test_what_waited_for_who_ended_half_of_it_ends_the_other_half(database: Database, lane: Database) -> None:
    for _ in range(TIMES):
        found = await claimed(database, *(new_email() for _ in range(SOME)))
        recorded = await told_meanwhile(database, lane, end_half, [outcome(ref) for ref in found])
        assert (recorded.ended, recorded.repeats) == (SOME // 2, SOME // 2)
        assert await waiting(database) == {}
        now = await states(database)
        assert [now[ref] for ref in found] == ["expired", "delivered"] * (SOME // 2)


async def test_what_waited_for_a_claim_that_was_renewed_is_put_off_in_both_tables(
    database: Database, lane: Database
) -> None:
    for _ in range(TIMES):
        found = await claimed(database, *(new_email() for _ in range(SOME)))
        recorded = await told_meanwhile(database, lane, renew, [deferral(ref) for ref in found])
        assert recorded.deferred == SOME
        now = await states(database)
        assert {now[ref] for ref in found} == {"deferred"}
