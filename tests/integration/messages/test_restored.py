"""What may have left since a backup is held after its restore, until a person decides."""

from datetime import UTC, datetime, timedelta

import pytest

from core.ids import uuid7
from core.queues import Lane
from messages import claim, restored
from messages.model import NewEmail
from store.database import Connection, Database
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, new_email, rows, store

LATER = "now() + interval '1 hour'"


@pytest.fixture
async def mails(database: Database) -> list[NewEmail]:
    """Due, in a worker's hands, put off for an IP, and scheduled."""
    await make_partitions(database)
    made = [new_email(f"{name}@one.example") for name in ("due", "claimed", "held")]
    made.append(new_email("later@one.example", scheduled_at=datetime.now(UTC) + timedelta(hours=1)))
    for email in made:
        await store(database, email)
    await execute(
        database,
        f"UPDATE delivery_queue SET claimed_by = %s, claimed_at = now(), due_at = {LATER} WHERE email_id = %s",
        [uuid7(), made[1].id],
    )
    await execute(
        database, f"UPDATE delivery_queue SET hold = 'no IP', due_at = {LATER} WHERE email_id = %s", [made[2].id]
    )
    return made


async def test_what_may_have_left_is_held_and_nothing_else(database: Database, mails: list[NewEmail]) -> None:
    async with database.transaction() as connection:
        assert await _restored(connection) == 3
        (found,) = await restored.held(connection)
    assert (found.messages, found.stream, found.application_id) == (3, "transactional", APPLICATION)
    await execute(database, "UPDATE delivery_queue SET due_at = now() WHERE hold IS NULL")
    async with database.connection() as connection:
        taken, _ = await claim.claim(connection, Lane.TRANSACTIONAL, ["one.example"], uuid7(), 10, timedelta(seconds=9))
    assert [one.ref.email_id for one in taken] == [mails[3].id]


async def test_released_it_is_due_with_a_clock_of_its_own(database: Database, mails: list[NewEmail]) -> None:
    async with database.transaction() as connection:
        await _restored(connection)
        assert await restored.release(connection, uuid7(), 10) == 0
        assert await restored.release(connection, APPLICATION, 2) == 2
        assert await restored.release(connection, None, 10) == 1
        assert await restored.held(connection) == []
    due = await rows(database, "SELECT count(*) FROM delivery_queue WHERE due_at <= now() AND hold IS NULL")
    assert due == [(3,)]
    anew = "SELECT count(*) FROM emails WHERE id = ANY(%s) AND scheduled_at > now() - interval '1 minute'"
    assert await rows(database, anew, [[mail.id for mail in mails[:3]]]) == [(3,)]


async def test_cancelled_it_ends_and_its_timeline_says_why(database: Database, mails: list[NewEmail]) -> None:
    async with database.transaction() as connection:
        await _restored(connection)
        assert await restored.cancel(connection, None, 10) == 3
    assert await rows(database, "SELECT email_id FROM delivery_queue") == [(mails[3].id,)]
    told = await rows(database, "SELECT DISTINCT kind, left(detail, 22) FROM events")
    assert told == [("cancelled", "restored from a backup")]
    assert await rows(database, "SELECT count(*) FROM messages WHERE state = 'cancelled'") == [(3,)]


async def test_two_who_release_at_once_take_different_rows(database: Database, mails: list[NewEmail]) -> None:
    async with database.transaction() as connection:
        await _restored(connection)
    async with database.transaction() as first:
        assert await restored.release(first, None, 2) == 2
        async with database.transaction() as second:
            assert await restored.release(second, None, 10) == 1
    assert await rows(database, "SELECT count(*) FROM delivery_queue WHERE hold IS NOT NULL") == [(0,)]


async def _restored(connection: Connection) -> int:
    """The queue comes out of a backup; how much of it is held."""
    await connection.execute("CREATE TEMP TABLE copied ON COMMIT DROP AS TABLE delivery_queue")
    await connection.execute("DELETE FROM delivery_queue")
    await restored.watch(connection)
    await connection.execute("INSERT INTO delivery_queue SELECT * FROM copied")
    return await restored.watched(connection)
