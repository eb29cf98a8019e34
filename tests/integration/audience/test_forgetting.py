"""Lists and people that are gone are taken away in slices, each committed, and a kill between two loses nothing."""

from contextlib import AbstractAsyncContextManager
from typing import cast
from uuid import UUID

import pytest

from audience import forgetting, membership, segments
from campaigns.withdrawal import delete_application
from core.ids import uuid7
from store.database import Connection, Database, DatabaseUnavailableError
from tests.integration.messages.emails import APPLICATION, execute, rows

PEOPLE = 5
TABLES = ("contacts", "segment_members", "contact_history", "choices", "choice_history", "departed_applications")


@pytest.fixture
async def list_id(database: Database) -> UUID:
    """A list of people who were brought in and have chosen."""
    identifier = uuid7()
    names = {"list": identifier, "application": APPLICATION, "people": PEOPLE}
    await execute(database, "INSERT INTO applications (id, name) VALUES (%(application)s, 'shop')", names)
    await execute(
        database, "INSERT INTO segments (id, application_id, name) VALUES (%(list)s, %(application)s, 'fans')", names
    )
    await execute(
        database,
        "INSERT INTO contacts (id, application_id, address, email, status) SELECT gen_random_uuid(), %(application)s,"
        " 'u' || n || '@one.example', '', 'confirmed' FROM generate_series(1, %(people)s) n",
        names,
    )
    await execute(
        database,
        "INSERT INTO segment_members (segment_id, contact_id, status) SELECT %(list)s, id, 'confirmed' FROM contacts",
        names,
    )
    await execute(
        database,
        "INSERT INTO contact_history (application_id, contact_id, what, source)"
        " SELECT application_id, c, 'created', 'api' FROM contacts, unnest(ARRAY[id, gen_random_uuid()]) c",
    )
    await execute(
        database,
        "INSERT INTO choices (address, application_id, topic_id) SELECT address, application_id, id FROM contacts",
    )
    await execute(
        database,
        "INSERT INTO choice_history (address, application_id, what, source)"
        " SELECT address, application_id, 'opt_in', 'link' FROM contacts",
    )
    return identifier


async def _left(database: Database) -> dict[str, int]:
    found = {table: (await rows(database, f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}
    return {table: n for table, n in found.items() if n}


class Dying:
    """A database whose process is killed after so many transactions."""

    def __init__(self, database: Database, transactions: int) -> None:
        self.connection = database.connection
        self._database, self._left = database, transactions

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        self._left -= 1
        if self._left < 0:
            raise DatabaseUnavailableError("killed")
        return self._database.transaction()


async def _killed(database: Database, after: int) -> None:
    with pytest.raises(DatabaseUnavailableError):
        await forgetting.forget_gone(cast(Database, Dying(database, after)))


async def test_a_deleted_list_loses_its_people_in_slices(
    database: Database, list_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "SLICE", 2)
    async with database.transaction() as connection:
        await segments.delete(connection, APPLICATION, list_id)
        places = await membership.places(
            connection, [row[0] for row in await rows(database, "SELECT id FROM contacts")]
        )
    assert set(map(len, places.values())) == {0}, "it is seen nowhere at once"
    assert (await _left(database))["segment_members"] == PEOPLE

    await _killed(database, after=1)
    assert (await _left(database))["segment_members"] == PEOPLE - 2, "what was committed stays done"
    await forgetting.forget_gone(database)
    assert "segment_members" not in await _left(database)
    assert (await _left(database))["contacts"] == PEOPLE


async def test_the_people_of_an_application_that_left_go_in_slices(
    database: Database, list_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "SLICE", 2)
    other = await _of_another(database)
    await delete_application(database, APPLICATION)
    assert (await _left(database))["contacts"] == PEOPLE + 1

    await _killed(database, after=2)
    found = await _left(database)
    assert (found["contacts"], found["segment_members"]) == (PEOPLE + 1 - 4, PEOPLE - 4)
    assert found["contact_history"] == 2 * PEOPLE - 4, "of whom is gone, so is what is known"
    await forgetting.forget_gone(database)
    assert await _left(database) == {"contacts": 1}
    assert await rows(database, "SELECT id FROM contacts") == [(other,)]


async def _of_another(database: Database) -> UUID:
    identifier = uuid7()
    await execute(
        database,
        "INSERT INTO contacts (id, application_id, address, email, status)"
        " VALUES (%s, gen_random_uuid(), 'ann@one.example', '', 'confirmed')",
        [identifier],
    )
    return identifier
