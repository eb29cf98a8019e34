"""Leases are kept while mail is under way, and no mail leaves on an old or a missing answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from core.ids import uuid7
from core.queues import Lane
from messages import claim
from messages.model import MessageRef
from store.database import Connection, Database
from tests.integration.messages.emails import execute, make_partitions, new_email, refs, rows, store, suppress, waiting
from workers.claims import FRESH_SECONDS, ClaimKeeper, Permit

WORKER = uuid7()
LEASE = timedelta(seconds=60)


@pytest.fixture
async def held(database: Database) -> list[MessageRef]:
    """Three messages claimed by `WORKER`."""
    await make_partitions(database)
    email = new_email("ann@example.com", "bob@example.com", "eve@example.com")
    await store(database, email)
    async with database.connection() as connection:
        await claim.claim(connection, Lane.TRANSACTIONAL, ["example.com"], WORKER, 10, LEASE)
    return refs(email)


@pytest.fixture
async def away() -> AsyncIterator[Database]:
    """A database that does not answer, and says so after longer than an answer is good for."""
    made = Database("postgresql://nobody@127.0.0.1:1/nowhere", name="away")
    made._pool.timeout = FRESH_SECONDS + 0.1
    await made.open()
    yield made
    await made.close()


def permit(database: Database, of: list[MessageRef], age: float = 0.0, seconds: float = 60.0) -> Permit:
    """A permit whose claim was asked `age` seconds ago and which ends in `seconds`."""
    now = time.monotonic()
    return Permit(database, WORKER, of, now - age, now + seconds)


# Permits


async def test_young_claim_needs_no_question(away: Database, held: list[MessageRef]) -> None:
    allowed = permit(away, held)

    assert await allowed.allows(held[0])


async def test_old_claim_is_asked_about_again(database: Database, held: list[MessageRef]) -> None:
    await suppress(database, "bob@example.com")
    asked = permit(database, held, age=FRESH_SECONDS + 0.1)

    assert [await asked.allows(ref) for ref in held] == [True, False, True]


async def test_one_question_serves_the_whole_batch_for_a_second(database: Database, held: list[MessageRef]) -> None:
    asked = permit(database, held, age=FRESH_SECONDS + 0.1)
    assert await asked.allows(held[0])
    await suppress(database, "bob@example.com")
    assert await asked.allows(held[1]), "the answer is less than a second old"
    asked._checked -= FRESH_SECONDS

    assert not await asked.allows(held[1])


async def test_no_answer_is_no(away: Database, held: list[MessageRef]) -> None:
    assert not await permit(away, held, age=FRESH_SECONDS + 0.1).allows(held[0])


async def test_many_that_wait_share_a_missing_answer(away: Database, held: list[MessageRef]) -> None:
    """Asked one after the other, a batch of 200 would hang for minutes on a database that is away."""
    asked = permit(away, held, age=FRESH_SECONDS + 0.1)
    started = time.monotonic()
    answers = await asyncio.gather(*(asked.allows(held[0]) for _ in range(50)))

    assert answers == [False] * 50
    assert time.monotonic() - started < 3


async def test_those_that_wait_share_a_slow_answer(
    database: Database, held: list[MessageRef], database_url: str
) -> None:
    """Its answer came too late to be good, and the next one is for all of them too."""
    asked = permit(database, held, age=FRESH_SECONDS + 0.1)
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE suppressions IN ACCESS EXCLUSIVE MODE")
        answers = asyncio.gather(*(asked.allows(ref) for ref in held * 20))
        await asyncio.sleep(FRESH_SECONDS + 0.1)
        started = time.monotonic()
        await holder.rollback()
        found = await answers

    assert found == [True] * 60
    assert time.monotonic() - started < 1


async def test_an_answer_older_than_it_is_good_for_is_asked_for_again(
    database: Database, held: list[MessageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list was read, and then the machine slept: meanwhile somebody has had enough."""
    asked = permit(database, held, age=FRESH_SECONDS + 0.1)
    read = claim.still_sendable
    answers = 0

    async def sleepy(connection: Connection, refs: Sequence[MessageRef], worker: UUID) -> set[MessageRef]:
        nonlocal answers
        answers += 1
        answer = await read(connection, refs, worker)
        if answers == 1:
            await suppress(database, "bob@example.com")
            await asyncio.sleep(FRESH_SECONDS + 0.1)
        return answer

    monkeypatch.setattr(claim, "still_sendable", sleepy)

    assert await asyncio.gather(*(asked.departs(ref) for ref in held)) == [True, False, True]
    assert answers == 2


async def test_lost_claim_is_not_sent(database: Database, held: list[MessageRef]) -> None:
    await execute(database, "UPDATE delivery_queue SET claimed_by = %s WHERE position = 0", [uuid7()])
    asked = permit(database, held, age=FRESH_SECONDS + 0.1)

    assert [await asked.allows(ref) for ref in held] == [False, True, True]


async def test_nothing_is_sent_after_the_batch_has_ended(database: Database, held: list[MessageRef]) -> None:
    assert not await permit(database, held, seconds=-0.1).allows(held[0])


async def test_stopping_holds_for_those_that_wait_for_an_answer_too(
    database: Database, held: list[MessageRef], database_url: str
) -> None:
    asked = permit(database, held, age=FRESH_SECONDS + 0.1)
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE suppressions IN ACCESS EXCLUSIVE MODE")
        answer = asyncio.create_task(asked.allows(held[0]))
        await asyncio.sleep(0.05)
        asked.stop()
        await holder.rollback()

        assert not await answer


async def test_what_is_done_is_not_sent_again_and_not_left(database: Database, held: list[MessageRef]) -> None:
    asked = permit(database, held)
    asked.done(held[0])

    assert not await asked.allows(held[0])
    assert asked.left() == set(held[1:])
    assert asked.young() == 2


async def test_what_is_on_the_wire_waits_for_its_server_and_makes_room_here(
    database: Database, held: list[MessageRef]
) -> None:
    asked = permit(database, held)
    assert await asked.departs(held[0])
    assert asked.young() == 2
    asked.came_back(held[0])
    assert asked.young() == 3


async def test_what_is_on_the_wire_cannot_be_withdrawn(database: Database, held: list[MessageRef]) -> None:
    """Its server may be taking it: returned to the queue it would be sent a second time."""
    asked = permit(database, held)
    assert await asked.departs(held[0])
    assert [asked.withdraw(ref) for ref in held] == [False, True, True]
    assert asked.left() == {held[0]}
    asked.came_back(held[0])

    assert asked.withdraw(held[0])
    assert not asked.withdraw(held[0]), "it is gone already"


async def test_what_was_withdrawn_departs_no_more(database: Database, held: list[MessageRef]) -> None:
    asked = permit(database, held)
    asked.withdraw(held[0])
    asked.done(held[1])

    assert [await asked.departs(ref) for ref in held] == [False, False, True]
    assert [asked.on_wire(ref) for ref in held] == [False, False, True]


# Leases


async def test_leases_of_what_is_under_way_are_renewed(database: Database, held: list[MessageRef]) -> None:
    short = timedelta(seconds=0.4)
    keeper = ClaimKeeper(database, WORKER, short)
    assert keeper.hold(held[:2]) == set(held[:2])
    await keeper.start()
    await asyncio.sleep(1.0)
    await keeper.stop()
    due = await waiting(database)

    soon = datetime.now(UTC) + timedelta(seconds=5)
    assert {ref for ref in held if due[ref] < soon} == set(held[:2])
    assert keeper.held() == 2


async def test_only_what_is_new_is_taken_into_work(database: Database, held: list[MessageRef]) -> None:
    keeper = ClaimKeeper(database, WORKER, LEASE)
    keeper.hold(held[:2])

    assert keeper.hold(held) == {held[2]}
    keeper.let_go(held[:1])
    assert keeper.held() == 2
    assert keeper.hold(held[:1]) == {held[0]}


async def test_keeper_survives_errors_and_an_away_database(
    database: Database, held: list[MessageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end would let every lease run out, and send all mail under way twice."""
    keeper = ClaimKeeper(database, WORKER, timedelta(seconds=0.2))
    keeper.hold(held)
    await execute(database, "ALTER TABLE delivery_queue RENAME TO elsewhere")
    await keeper.start()
    await asyncio.sleep(0.3)
    await execute(database, "ALTER TABLE elsewhere RENAME TO delivery_queue")
    await execute(database, "UPDATE delivery_queue SET due_at = '2000-01-01'")
    await asyncio.sleep(0.4)
    await keeper.stop()

    assert await rows(database, "SELECT count(*) FROM delivery_queue WHERE due_at > '2000-01-01'") == [(3,)]
