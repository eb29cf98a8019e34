"""Exporting and erasing somebody who had other addresses, other contacts, and a contact that was deleted: all of them
are the person."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from audience import choices, confirmations, contacts, earlier, properties
from audience.choices import Person
from audience.confirmations import Asked, Wanted
from audience.contacts import Changes
from audience.earlier import Move
from audience.importing import imports
from audience.properties import PropertyType
from campaigns import erasing, readdressing
from campaigns.erasing import Erased
from core.ids import uuid7
from messages import people
from messages.people import Wish
from outcomes import engagement, exporting, known_as
from store.database import Database
from suppression.reasons import SuppressionScope
from suppression.subjects import hashed
from tests.integration.campaigns.automations.world import ACT, World, delay, mail, world_of
from tests.integration.campaigns.leftovers import everywhere
from tests.integration.messages.emails import APPLICATION, execute, new_email, recipient, rows, store

OLD, FIRST, SECOND, NOW = "ann@old.example", "ann@first.example", "ann@second.example", "ann@now.example"
BOB = "bob@example.com"
OF_ANN = (FIRST, SECOND, NOW, "quillfeather", "annabella", "vermilion", "plan-of-hers", "forget-me-not")


@pytest.fixture
async def world(database: Database) -> World:
    found = await world_of(database)
    async with database.transaction() as connection:
        await properties.create(connection, APPLICATION, "colour", PropertyType.STRING)
    return found


async def moves(database: Database, who: str, to: str) -> None:
    async with database.transaction() as connection:
        await readdressing.update(connection, APPLICATION, who, Wish(email=to), ACT)


async def created(database: Database, address: str, **fields: Any) -> UUID:
    async with database.transaction() as connection:
        changes = Changes(fields, {"colour": "vermilion"}, confirm=True)
        return (await people.create(connection, APPLICATION, address, Wish(changes), ACT)).contact.id


async def got(database: Database, address: str, subject: str, contact: UUID | None = None) -> UUID:
    """A mail that is stored."""
    email = new_email(recipients=(recipient(address),), to=(f'"Quillfeather" <{address}>',), subject=subject)
    await store(database, email)
    await execute(database, "UPDATE emails SET contact_id = %s WHERE id = %s", [contact, email.id])
    return email.id


async def deleted(database: Database, contact: UUID) -> None:
    async with database.transaction() as connection:
        await contacts.update(connection, APPLICATION, contact, Changes({"first_name": "Annabella"}), ACT)
        await contacts.delete(connection, APPLICATION, contact, ACT)


async def a_long_life(world: World) -> list[UUID]:
    """Ann, who was deleted, came again, went through an automation, became one with another contact of hers, and moved
    on; the ids of all her contacts."""
    database = world.database
    before = await created(database, FIRST, last_name="Quillfeather")
    await deleted(database, before)
    first = await created(database, FIRST, first_name="Ann", last_name="Quillfeather")
    await world.automation("order.paid", mail(), delay("1 day"), mail())
    await world.told("order.paid", {"plan": "plan-of-hers"}, contact_id=first)
    await world.turn()
    await _campaign(database, first)
    await got(database, FIRST, "Hello Annabella", before)
    async with database.transaction() as connection:
        wanted = Wanted("Annabella", "Quillfeather", {"colour": "forget-me-not"}, consent="Yes please")
        await confirmations.ask(connection, Asked(APPLICATION, FIRST, FIRST, None, "en", wanted), timedelta(days=7))
        await engagement.report_activity(connection, APPLICATION, FIRST, datetime.now(UTC))
        kept = await imports.begin(connection, APPLICATION, "list.csv", "me", "{}")
    faults = Jsonb([{"line": 2, "text": "Ann@First.example", "why": "role"}, {"line": 3, "text": BOB}])
    await execute(database, "UPDATE contact_imports SET faults = %s WHERE id = %s", [faults, kept.id])
    second = await created(database, SECOND, first_name="Annabella")
    await moves(database, FIRST, SECOND)
    await got(database, SECOND, "Hello Annabella")
    await moves(database, SECOND, NOW)
    await got(database, NOW, "Hello Annabella")
    return [before, first, second]


async def _campaign(database: Database, contact: UUID) -> None:
    campaign = uuid7()
    await execute(
        database,
        "INSERT INTO campaigns (id, application_id, name, sender) VALUES (%s, %s, 'Spring', 'a@acme.example')",
        [campaign, APPLICATION],
    )
    await execute(
        database,
        "INSERT INTO campaign_recipients (campaign_id, contact_id, state, reason, due_at, destination)"
        " VALUES (%s, %s, 'bounced', %s, now(), 'first.example')",
        [campaign, contact, f"550 <{FIRST}> unknown"],
    )


async def test_nothing_of_a_long_life_is_left_but_hashes(world: World) -> None:
    """Every table is read as text, for each address, name, value and id."""
    ids = await a_long_life(world)
    for text in OF_ANN:
        assert await everywhere(world.database, text), text
    gone = await _erased(world.database, NOW, SuppressionScope.ALL)

    assert {text: await everywhere(world.database, text) for text in OF_ANN} == {text: [] for text in OF_ANN}
    assert {table for one in ids for table in await everywhere(world.database, str(one))} == {"campaign_recipients"}
    assert (gone.contact_id, gone.earlier) == (ids[2], (FIRST, SECOND))
    listed = await rows(world.database, "SELECT address FROM suppressions WHERE scope = %s", [str(APPLICATION)])
    assert sorted(listed) == sorted((hashed(one),) for one in (FIRST, SECOND, NOW))
    ((faults,),) = await rows(world.database, "SELECT faults FROM contact_imports")
    assert [one["text"] for one in faults] == ["", BOB]


async def test_all_of_a_long_life_is_told(world: World) -> None:
    ids = await a_long_life(world)
    async with world.database.connection() as connection:
        held = await exporting.export(connection, Person(APPLICATION, NOW))

    assert held.contact is not None and held.contact.id == ids[2]
    assert [one.address for one in held.earlier] == [FIRST, SECOND]
    signup = held.now.signup  # who moves is asked at the new address
    assert signup is not None and (signup.wanted.last_name, signup.wanted.properties) == (
        "Quillfeather", {"colour": "forget-me-not"},
    )  # fmt: skip
    assert held.now.engagement is not None and held.earlier[0].engagement is not None
    assert {(one.recipient, one.subject) for one in held.mail} >= {
        (one, "Hello Annabella") for one in (FIRST, SECOND, NOW)
    }
    assert [(one.name, one.payload) for one in held.told] == [("order.paid", {"plan": "plan-of-hers"})]
    assert [(one.automation, one.state) for one in held.entered] == [("Welcome", "running")]
    assert [(one.name, one.state, one.reason) for one in held.campaigns] == [
        ("Spring", "bounced", f"550 <{FIRST}> unknown")
    ]
    what = [one.what.value for one in held.history]
    assert (what.count("created"), what.count("deleted"), what.count("merged")) == (3, 1, 1)
    assert [one.what.value for one in held.earlier[1].choices if one.detail == NOW] == ["moved_to"]


async def test_by_an_earlier_address_that_one_goes_and_nobody_who_is_written_to_now(world: World) -> None:
    contact = await created(world.database, FIRST, first_name="Ann")
    await got(world.database, FIRST, "Hello Ann", contact)
    await moves(world.database, FIRST, SECOND)
    await moves(world.database, SECOND, NOW)
    gone = await _erased(world.database, FIRST)

    assert (gone.contact_id, gone.earlier, gone.mails) == (None, (), 1)
    assert await everywhere(world.database, FIRST) == []
    assert await rows(world.database, "SELECT id, address FROM contacts") == [(contact, NOW)]
    async with world.database.connection() as connection:
        past = (await choices.history(connection, Person(APPLICATION, SECOND))).entries
        known = await known_as.of(connection, Person(APPLICATION, NOW))
    assert [one.detail for one in past if one.what.value == "moved_from"] == [earlier.ERASED]
    assert known.addresses == (NOW, SECOND)


async def test_an_earlier_address_of_somebody_who_is_a_contact_there_again_is_theirs(world: World) -> None:
    await created(world.database, FIRST, first_name="Ann")
    await moves(world.database, FIRST, NOW)
    again = await created(world.database, FIRST, first_name="Bob")
    await got(world.database, FIRST, "Hello Bob", again)
    gone = await _erased(world.database, NOW)

    assert gone.earlier == ()
    assert await rows(world.database, "SELECT id, first_name FROM contacts") == [(again, "Bob")]
    assert await rows(world.database, "SELECT subject FROM emails") == [("Hello Bob",)]
    assert await everywhere(world.database, NOW) == []


async def test_the_history_of_who_was_deleted_goes_with_them(world: World) -> None:
    await deleted(world.database, await created(world.database, OLD, first_name="Ann", last_name="Quillfeather"))
    kept = await created(world.database, BOB, first_name="Bob")
    await deleted(world.database, kept)
    await _erased(world.database, OLD)

    assert await everywhere(world.database, "quillfeather") == await everywhere(world.database, "vermilion") == []
    assert await rows(world.database, "SELECT DISTINCT contact_id FROM contact_history") == [(kept,)]


def test_only_ways_that_lead_here_are_theirs() -> None:
    known = [Move("a", "b"), Move("b", "c"), Move("c", "b"), Move("x", "c"), Move("w", "x"), Move("c", "d")]

    assert earlier.before("c", known, {"x"}) == {"a", "b"}
    assert earlier.before("c", known, set()) == {"a", "b", "x", "w"}
    assert earlier.before("a", known, set()) == set()


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("ann@x", "erased"), ("as ann@x", "as erased"), ("as ann@x: import 7", "as erased: import 7"),
        ("as bob@x: ann@x", "as bob@x: erased"), ("joann@x", "joann@x"), ("ann@x.example", "ann@x.example"),
    ],
)  # fmt: skip
def test_an_address_is_taken_out_of_what_a_history_says(detail: str, said: str) -> None:
    assert earlier.without(detail, ["ann@x"]) == said


async def _erased(database: Database, address: str, scope: SuppressionScope = SuppressionScope.MARKETING) -> Erased:
    async with database.transaction() as connection:
        return await erasing.erase(connection, Person(APPLICATION, address), ACT, scope)
