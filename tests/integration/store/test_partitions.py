"""Daily partitions: made ahead, dropped when their time is over, and never in the way of mail."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from core.ids import lowest_at, uuid7
from messages.accept import Accepted, Acceptor
from store import partitions
from store.database import Database
from store.partitions import CONTENT_TABLES, EVENT_TABLES, Retention
from tests.integration.messages.emails import execute, new_email, rows, store, submission, waiting

TODAY = datetime.now(UTC).date()
WEEK = Retention(content_days=7, event_days=30)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Another session, such as that of a backup."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        yield connection
        await connection.rollback()


@pytest.fixture(autouse=True)
async def _without_partitions(database: Database) -> None:
    """As it is before the scheduler ran for the first time."""
    await drop_old(database, TODAY + timedelta(days=10), Retention(content_days=0, event_days=0))


async def ensure(database: Database, day: date = TODAY) -> list[str]:
    async with database.connection() as connection:
        return await partitions.ensure(connection, day)


async def drop_old(database: Database, day: date = TODAY, retention: Retention = WEEK) -> list[str]:
    async with database.connection() as connection:
        return await partitions.drop_old(connection, day, retention)


async def tables(database: Database, name: str) -> dict[str, int]:
    """Partitions of a table with their rows."""
    found = await rows(
        database, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [name]
    )
    return {child: (await rows(database, f"SELECT count(*) FROM {child}"))[0][0] for (child,) in found}


def id_of(day: date, seconds: float = 3600) -> UUID:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=seconds)
    return uuid7(lowest_at(at).int >> 80)


async def store_on(database: Database, day: date, seconds: float = 3600) -> UUID:
    """A mail accepted on that day, with an attachment."""
    email = new_email(id=id_of(day, seconds))
    await store(database, email)
    await execute(database, "INSERT INTO attachments VALUES (%s, 0, 'a.txt', 'text/plain', '', 'x')", [email.id])
    return email.id


async def test_partitions_reach_from_yesterday_to_three_days_ahead(database: Database) -> None:
    made = await ensure(database)

    assert len(made) == 5 * len(CONTENT_TABLES + EVENT_TABLES)
    expected = {f"emails_{TODAY + timedelta(days=n):%Y%m%d}" for n in range(-1, 4)} | {"emails_default"}
    assert set(await tables(database, "emails")) == expected


async def test_making_them_again_makes_only_what_is_missing(database: Database) -> None:
    await ensure(database)

    assert await ensure(database) == []
    assert len(await ensure(database, TODAY + timedelta(days=1))) == len(CONTENT_TABLES + EVENT_TABLES)


async def test_first_and_last_moment_of_a_day_lie_in_its_partition(database: Database) -> None:
    await ensure(database)
    for seconds in (0, 86_399.999):
        await store_on(database, TODAY, seconds)
    await store_on(database, TODAY + timedelta(days=1), 0)

    found = await tables(database, "emails")
    assert found[f"emails_{TODAY:%Y%m%d}"] == 2
    assert found[f"emails_{TODAY + timedelta(days=1):%Y%m%d}"] == 1


async def test_mail_of_a_wrong_clock_is_taken_all_the_same(database: Database) -> None:
    await ensure(database)
    await store_on(database, TODAY + timedelta(days=400))

    assert (await tables(database, "messages"))["messages_default"] == 1


async def test_mail_that_came_before_its_partition_moves_into_it(database: Database) -> None:
    """A fresh installation whose API is quicker than its scheduler, or one whose scheduler was away for days."""
    email = await store_on(database, TODAY)
    late = await store_on(database, TODAY + timedelta(days=9))
    made = await ensure(database)

    assert f"messages_{TODAY:%Y%m%d}" in made
    for table in (*CONTENT_TABLES, "emails", "messages"):
        found = await tables(database, table)
        assert (found[f"{table}_{TODAY:%Y%m%d}"], found[f"{table}_default"]) == (1, 1), table
    assert {row[0] for row in await rows(database, "SELECT id FROM emails")} == {email, late}


async def test_many_may_make_partitions_at_the_same_time(database: Database) -> None:
    made = await asyncio.gather(*(ensure(database) for _ in range(4)))

    assert sorted(name for names in made for name in names) == sorted({name for names in made for name in names})
    assert len(await tables(database, "events")) == 6


async def test_mail_is_accepted_while_partitions_are_made(database: Database) -> None:
    """The worst moment: today's partitions are missing, and every mail goes where they are being taken from."""
    acceptor = Acceptor(database, lambda _lane, _destinations, _leaves: None)
    await acceptor.start()

    async def accept() -> None:
        for _ in range(20):
            assert await acceptor.accept(submission()) == Accepted()

    await asyncio.gather(accept(), ensure(database), accept())
    await acceptor.stop()

    assert sum((await tables(database, "messages")).values()) == 40


async def test_a_backup_holds_up_partitions_and_not_the_mail(
    database: Database, other: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump keeps every table locked for reading to its end. Who waits for a stronger lock makes all others wait."""
    monkeypatch.setattr(partitions, "LOCK_SECONDS", 0.2)
    await other.execute("SELECT count(*) FROM emails")
    async with asyncio.timeout(5):
        made, _ = await asyncio.gather(ensure(database), store_on(database, TODAY))
    assert [name for name in made if name.startswith("emails_")] == []
    await other.rollback()

    assert any(name.startswith("emails_") for name in await ensure(database))


async def test_a_backup_holds_up_retention_and_not_the_mail(
    database: Database, other: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_SECONDS", 0.2)
    await ensure(database, TODAY - timedelta(days=40))
    await other.execute("SELECT count(*) FROM messages")
    async with asyncio.timeout(5):
        dropped = await drop_old(database)

    assert [name for name in dropped if name.startswith("messages_")] == []


async def test_content_goes_after_its_days_and_events_after_theirs(database: Database) -> None:
    for age in (6, 7, 8, 30, 31):
        await ensure(database, TODAY - timedelta(days=age))
    dropped = await drop_old(database)

    kept = {f"{TODAY - timedelta(days=7):%Y%m%d}", f"{TODAY - timedelta(days=30):%Y%m%d}"}
    contents, emails = await tables(database, "contents"), await tables(database, "emails")
    assert min(name for name in contents if name[-1].isdigit()) == f"contents_{min(kept, key=lambda d: -int(d))}"
    assert min(name for name in emails if name[-1].isdigit()) == f"emails_{min(kept)}"
    assert dropped == sorted(dropped)
    assert await drop_old(database) == []


async def test_day_with_mail_on_its_way_is_kept_and_loses_only_the_content_of_finished_mail(
    database: Database,
) -> None:
    """A mail scheduled 30 days ahead needs its content when the others of its day are long gone."""
    day = TODAY - timedelta(days=20)
    await ensure(database, day)
    scheduled, finished = await store_on(database, day), await store_on(database, day)
    await execute(database, "DELETE FROM delivery_queue WHERE email_id = %s", [finished])
    dropped = await drop_old(database)

    assert f"contents_{day:%Y%m%d}" not in dropped
    assert await rows(database, "SELECT id FROM contents") == [(scheduled,)]
    assert await rows(database, "SELECT content_id FROM attachments") == [(scheduled,)]
    await execute(database, "DELETE FROM delivery_queue")
    assert f"contents_{day:%Y%m%d}" in await drop_old(database)


async def test_old_mail_outside_of_all_partitions_goes_too(database: Database) -> None:
    """What a wrong clock left in the default partition is personal data like any other."""
    await ensure(database)
    await store_on(database, TODAY - timedelta(days=100))
    waits = await store_on(database, TODAY - timedelta(days=100))
    recent = await store_on(database, TODAY - timedelta(days=3))
    await execute(database, "DELETE FROM delivery_queue WHERE email_id <> ALL(%s)", [[waits]])
    await drop_old(database)

    for table, key in (("contents", "id"), ("emails", "id"), ("messages", "email_id"), ("attachments", "content_id")):
        assert {row[0] for row in await rows(database, f"SELECT {key} FROM {table}")} == {waits, recent}, table
    assert [ref.email_id for ref in await waiting(database)] == [waits]
