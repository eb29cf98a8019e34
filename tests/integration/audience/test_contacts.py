"""Contacts, their properties, their places on lists, and the history of it all."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from audience import (
    choices,
    contact_history,
    contact_moves,
    contact_retention,
    contacts,
    forgetting,
    membership,
    properties,
)
from audience.choices import Person
from audience.contact_history import Changed, ContactAct, ContactSource
from audience.contacts import Changes, Contact, Made, Status
from audience.importing import merging
from audience.importing.merging import Terms
from audience.importing.rows import Row
from audience.membership import MemberStatus, OnList
from audience.properties import PropertyType
from core.ids import uuid7
from core.paging import Window
from core.refusal import Refused
from messages import choosing
from store.database import Connection, Database
from suppression.subjects import hashed
from tests.integration.audience.people import LINK
from tests.integration.messages.emails import APPLICATION, execute, rows

ACT = ContactAct(ContactSource.API, "203.0.113.9", "API key 1")
ANN = "Ann@Example.com"


async def made(database: Database, email: str = ANN, **changes: Any) -> Made:
    async with database.transaction() as connection:
        return await contacts.create(connection, APPLICATION, email, Changes(**changes), ACT)


async def changed(database: Database, wanted: UUID | str, **changes: Any) -> Contact:
    async with database.transaction() as connection:
        return await contacts.update(connection, APPLICATION, wanted, Changes(**changes), ACT)


async def told(database: Database, contact: UUID) -> list[tuple[str, Any]]:
    async with database.connection() as connection:
        found = await contact_history.page(connection, contact)
    return [(one.what.value, one.detail) for one in reversed(found.entries)]


async def defined(database: Database, key: str, kind: PropertyType = PropertyType.STRING) -> None:
    async with database.transaction() as connection:
        await properties.create(connection, APPLICATION, key, kind)


async def undefined(database: Database, key: str) -> None:
    async with database.transaction() as connection:
        await properties.delete(connection, APPLICATION, key)


async def a_list(database: Database, name: str = "News", filtered: bool = False) -> UUID:
    identifier = uuid7()
    await execute(
        database,
        "INSERT INTO segments (id, application_id, name, filter)"
        " VALUES (%s, %s, %s, CASE WHEN %s THEN '{}'::jsonb END)",
        [identifier, APPLICATION, name, filtered],
    )
    return identifier


async def test_a_contact_is_made_changed_and_deleted_with_its_history(database: Database) -> None:
    await defined(database, "plan")
    first = (await made(database, fields={"first_name": "Ann"}, properties={"plan": "pro"})).contact
    await changed(database, first.address, fields={"first_name": None, "language": "DE"}, properties={"plan": None})
    same = await changed(database, first.id, fields={"language": "de"})
    async with database.transaction() as connection:
        await contacts.delete(connection, APPLICATION, first.id, ACT)
        gone = await contacts.find(connection, APPLICATION, first.id)

    assert (first.email, first.address, first.status) == ("Ann@example.com", "ann@example.com", Status.UNCONFIRMED)
    assert (same.first_name, same.language, same.properties, gone) == (None, "de", {}, None)
    assert await told(database, first.id) == [
        ("created", {}),
        (
            "updated",
            {"changed": {"first_name": ["Ann", None], "language": [None, "de"], "properties.plan": ["pro", None]}},
        ),
        ("deleted", {"address_hash": hashed(first.address)}),
    ]


async def test_one_address_in_any_case_is_one_contact(database: Database) -> None:
    """Twelve who make it at one time make one, and what each gives is there."""
    spellings = ["ann@example.com", "ANN@example.com", "Ann@EXAMPLE.com"] * 4
    found = await asyncio.gather(*[made(database, text, fields={"last_name": "Berg"}) for text in spellings])

    assert len({one.contact.id for one in found}) == 1
    assert [one.created for one in found].count(True) == 1
    assert await rows(database, "SELECT count(*) FROM contacts") == [(1,)]


async def test_consent_is_proved_once_and_never_lost(database: Database) -> None:
    first = (await made(database)).contact
    proof = {"text": "Yes, send me news.", "at": "2026-11-28T08:00:00Z"}
    confirmed = await changed(database, first.id, confirm=True, proof=proof)
    again = (await made(database, fields={"first_name": "Ann"}, confirm=True)).contact

    assert (first.confirmed_at, confirmed.status, again.status) == (None, Status.CONFIRMED, Status.CONFIRMED)
    assert again.confirmed_at == confirmed.confirmed_at is not None
    assert [what for what, _ in await told(database, first.id)] == ["created", "confirmed", "updated"]
    assert (await told(database, first.id))[1][1] == proof


async def test_deleting_and_changing_at_one_time_end_in_one_of_both(database: Database) -> None:
    for _ in range(5):
        contact = (await made(database)).contact

        async def delete(contact: Contact = contact) -> None:
            async with database.transaction() as connection:
                await contacts.delete(connection, APPLICATION, contact.address, ACT)

        done = await asyncio.gather(
            delete(), changed(database, contact.id, fields={"first_name": "Ann"}), return_exceptions=True
        )
        assert done[0] is None
        assert not isinstance(done[1], BaseException) or isinstance(done[1], Refused)
        assert await rows(database, "SELECT count(*) FROM contacts") == [(0,)]


async def test_unsubscribed_is_what_the_suppression_list_says(database: Database) -> None:
    ann, bob = (await made(database)).contact, (await made(database, "bob@example.com")).contact
    async with database.transaction() as connection:
        await choosing.leave_all(connection, ann.person, LINK)
        left = await contacts.unsubscribed(connection, [ann, bob])
        await choosing.return_to_all(connection, ann.person, LINK)
        back = await contacts.unsubscribed(connection, [ann, bob])

    assert (left, back) == ({ann.id}, set())


async def test_a_page_goes_both_ways(database: Database) -> None:
    ids = [(await made(database, f"p{n}@example.com")).contact.id for n in range(4)]
    async with database.connection() as connection:
        first = await contacts.page(connection, APPLICATION, Window(3))
        rest = await contacts.page(connection, APPLICATION, Window(3, after=ids[1]))
        back = await contacts.page(connection, APPLICATION, Window(2, before=ids[0]))
        strange = await contacts.page(connection, uuid7(), Window(3))

    assert ([one.id for one in first.entries], first.has_more) == (ids[:0:-1], True)
    assert ([one.id for one in rest.entries], rest.has_more) == ([ids[0]], False)
    assert [one.id for one in back.entries] == [ids[2], ids[1]]
    assert strange.entries == []


# Another address


async def moved(database: Database, contact: Contact, to: str, *, trusted: bool = True) -> Contact | None:
    async with database.transaction() as connection:
        for address in sorted((contact.address, to.lower())):
            await choices.alone(connection, Person(APPLICATION, address))
        return await contact_moves.move(connection, contact.person, to, ACT, trusted=trusted)


async def test_a_contact_keeps_its_id_at_another_address(database: Database) -> None:
    ann = (await made(database, fields={"first_name": "Ann"})).contact
    found = await moved(database, ann, "New@example.com")

    assert found is not None
    assert (found.id, found.address, found.email, found.first_name) == (
        ann.id, "new@example.com", "New@example.com", "Ann",
    )  # fmt: skip
    assert await told(database, ann.id) == [("created", {}), ("address_changed", {})]


async def test_two_contacts_become_one(database: Database) -> None:
    await defined(database, "plan")
    await defined(database, "shoe")
    news, offers = await a_list(database), await a_list(database, "Offers")
    old = (
        await made(database, fields={"first_name": "Ann", "language": "de"}, properties={"plan": "pro"}, confirm=True)
    ).contact
    new = (await made(database, "new@example.com", fields={"first_name": "A."}, properties={"shoe": "38"})).contact
    async with database.transaction() as connection:
        await membership.put(connection, OnList(news, APPLICATION, ACT), [old.id, new.id], MemberStatus.CONFIRMED)
        await membership.put(connection, OnList(offers, APPLICATION, ACT), [old.id], MemberStatus.UNCONFIRMED)
    async with database.transaction() as connection:
        await membership.leave(connection, OnList(news, APPLICATION, ACT), [old.id])
    found = await moved(database, old, "new@example.com")
    async with database.connection() as connection:
        places = await membership.places(connection, [new.id, old.id])

    assert found is not None
    assert (found.id, found.first_name, found.language, found.status) == (new.id, "A.", "de", Status.CONFIRMED)
    assert found.properties == {"plan": "pro", "shoe": "38"}
    assert {one.segment_id: one.status.value for one in places[new.id]} == {news: "unsubscribed", offers: "unconfirmed"}
    assert places[old.id] == []
    assert [what for what, _ in await told(database, new.id)].count("created") == 2
    assert (await told(database, new.id))[-1] == ("merged", {"contact_id": str(old.id)})


@pytest.mark.parametrize("status", [MemberStatus.CONFIRMED, MemberStatus.UNSUBSCRIBED])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_place_that_nobody_confirmed_takes_nobody_s_word_away(
    database: Database, status: MemberStatus, trusted: bool
) -> None:
    """What they said at the other address is theirs, whoever says later that both are one person."""
    news = await a_list(database)
    old, new = (await made(database)).contact, (await made(database, "new@example.com")).contact
    await _placed(database, news, new, status)
    await _placed(database, news, old, MemberStatus.UNCONFIRMED if trusted else MemberStatus.CONFIRMED)
    await moved(database, old, "new@example.com", trusted=trusted)

    assert await rows(database, "SELECT contact_id, status FROM segment_members") == [(new.id, status.value)]


@pytest.mark.parametrize("status", [MemberStatus.CONFIRMED, MemberStatus.UNSUBSCRIBED])
async def test_a_word_that_was_given_stands_before_a_place_that_came_later_and_nobody_confirmed(
    database: Database, status: MemberStatus
) -> None:
    news = await a_list(database)
    old, new = (await made(database)).contact, (await made(database, "new@example.com")).contact
    await _placed(database, news, old, status)
    await _placed(database, news, new, MemberStatus.UNCONFIRMED)
    await moved(database, old, "new@example.com")

    assert await rows(database, "SELECT contact_id, status FROM segment_members") == [(new.id, status.value)]


@pytest.mark.parametrize(
    ("old_says", "new_says", "stands"),
    [("unsubscribed", "confirmed", "confirmed"), ("confirmed", "unsubscribed", "unsubscribed")],
)
async def test_of_two_words_the_newer_one_counts(database: Database, old_says: str, new_says: str, stands: str) -> None:
    news = await a_list(database)
    old, new = (await made(database)).contact, (await made(database, "new@example.com")).contact
    await _placed(database, news, old, MemberStatus(old_says))
    await _placed(database, news, new, MemberStatus(new_says))
    await moved(database, old, "new@example.com")

    assert await rows(database, "SELECT status FROM segment_members") == [(stands,)]


async def _placed(database: Database, segment: UUID, contact: Contact, status: MemberStatus) -> None:
    await execute(
        database,
        "INSERT INTO segment_members (segment_id, contact_id, status) VALUES (%s, %s, %s)",
        [segment, contact.id, status.value],
    )


async def test_who_left_at_the_old_address_has_left_at_the_new_one_whoever_says_so(database: Database) -> None:
    news = await a_list(database)
    old, new = (await made(database)).contact, (await made(database, "new@example.com")).contact
    await _placed(database, news, new, MemberStatus.CONFIRMED)
    await _placed(database, news, old, MemberStatus.UNSUBSCRIBED)
    await moved(database, old, "new@example.com", trusted=False)

    assert await rows(database, "SELECT contact_id, status FROM segment_members") == [(new.id, "unsubscribed")]


async def test_consent_is_as_old_as_the_later_yes_of_the_two(database: Database) -> None:
    """And not as the moment at which they became one: silence counts from there."""
    ann = (await made(database, confirm=True)).contact
    await made(database, "new@example.com")
    await execute(database, "UPDATE contacts SET confirmed_at = '2025-03-01Z' WHERE id = %s", [ann.id])
    found = await moved(database, ann, "new@example.com")

    assert found is not None
    assert (found.status, found.confirmed_at) == (Status.CONFIRMED, datetime(2025, 3, 1, tzinfo=UTC))


async def test_two_contacts_together_have_no_more_than_one_may_have(database: Database) -> None:
    """More could never be changed again: every change would be refused."""
    for key in "abcdefghi":
        await defined(database, key)
    ann = (await made(database, properties=dict.fromkeys("abcde", "x" * 1900))).contact
    await made(database, "new@example.com", properties=dict.fromkeys("fghi", "y" * 1900))
    found = await moved(database, ann, "new@example.com")

    assert found is not None
    assert set("fghi") < set(found.properties) < set("abcdefghi")
    assert (await changed(database, found.id, fields={"first_name": "Ann"})).first_name == "Ann"


async def test_a_list_that_brings_the_address_in_waits(database: Database) -> None:
    """It locks contacts in the order of their addresses, and this one holds the last: neither waits for the other in a
    circle, whichever is first."""
    zoe = (await made(database, "zoe@example.com")).contact
    listed = [Row(n, one, one, ("Z", None, None, None), "{}") for n, one in enumerate(("ann@example.com", zoe.email))]
    async with database.transaction() as holding:
        await holding.execute("SELECT FROM contacts WHERE id = %s FOR UPDATE", [zoe.id])
        moving = asyncio.create_task(moved(database, zoe, "ann@example.com"))
        await waits(database)
        bringing = asyncio.create_task(brought(database, listed))
        await waits(database, 2)
    found = await moving
    await bringing

    assert found is not None
    assert (found.id, found.address) == (zoe.id, "ann@example.com")
    assert sorted(await rows(database, "SELECT address, first_name FROM contacts")) == [
        ("ann@example.com", "Z"), ("zoe@example.com", "Z"),
    ]  # fmt: skip


async def brought(database: Database, listed: list[Row]) -> None:
    """A slice of an import that changes who is known."""
    async with database.transaction() as connection:
        terms = Terms(APPLICATION, "me", upsert=True, asks=False)
        await merging.merge(connection, terms, uuid7(), listed, merging.copy_text(listed, asks=False))


@pytest.mark.parametrize("what", ["move", "strip"])
async def test_contacts_are_held_in_the_order_of_their_addresses(database: Database, what: str) -> None:
    """As imports do, whoever is the older contact."""
    await defined(database, "plan")
    zoe = (await made(database, "zoe@example.com", properties={"plan": "pro"})).contact
    ann = (await made(database, "ann@example.com", properties={"plan": "pro"})).contact
    await undefined(database, "plan")
    async with database.transaction() as holding:
        await holding.execute("SELECT FROM contacts WHERE id = %s FOR UPDATE", [ann.id])
        doing = asyncio.create_task(
            properties.strip(database) if what == "strip" else moved(database, zoe, "ann@example.com")
        )
        await waits(database)
        await holding.execute("SELECT FROM contacts WHERE id = %s FOR UPDATE", [zoe.id])
    await doing

    assert {one for one, in await rows(database, "SELECT id FROM contacts")} == {
        ann.id, *([zoe.id] if what == "strip" else [])
    }  # fmt: skip


async def waits(database: Database, most: int = 1) -> None:
    """Until so many transactions wait for others."""
    for _ in range(2000):
        ((waiting,),) = await rows(
            database,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        if waiting >= most:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


# Lists


async def test_who_left_a_list_is_not_put_back(database: Database) -> None:
    news, ann = await a_list(database), (await made(database)).contact
    where = OnList(news, APPLICATION, ACT)

    async def status(connection: Connection) -> str:
        return (await membership.places(connection, [ann.id]))[ann.id][0].status.value

    async with database.transaction() as connection:
        assert await membership.put(connection, where, [ann.id], MemberStatus.UNCONFIRMED) == [ann.id]
        assert await membership.put(connection, where, [ann.id], MemberStatus.CONFIRMED) == [ann.id]
        assert await membership.put(connection, where, [ann.id], MemberStatus.UNCONFIRMED) == []
        assert await membership.leave(connection, where, [ann.id]) == [ann.id]
        assert await membership.put(connection, where, [ann.id], MemberStatus.CONFIRMED) == []
        assert await membership.take_out(connection, where, [ann.id]) == []
        assert await status(connection) == "unsubscribed"
        assert await membership.confirm(connection, where, [ann.id]) == [ann.id]
        assert await status(connection) == "confirmed"
        assert await membership.take_out(connection, where, [ann.id]) == [ann.id]
    assert [what for what, _ in await told(database, ann.id)] == [
        "created", "list_joined", "list_joined", "list_left", "list_confirmed", "list_removed",
    ]  # fmt: skip


async def test_nobody_is_put_into_a_filter_or_a_strangers_list(database: Database) -> None:
    news, filtered = await a_list(database), await a_list(database, filtered=True)
    async with database.connection() as connection:
        await membership.lists(connection, APPLICATION, [news])
        for wrong in (filtered, uuid7()):
            with pytest.raises(Refused, match=r"segments\[1\]"):
                await membership.lists(connection, APPLICATION, [news, wrong])
        with pytest.raises(Refused):
            await membership.lists(connection, uuid7(), [news])


# Properties


async def test_a_deleted_property_leaves_no_value(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(properties, "STEP", 2)
    await defined(database, "plan")
    for n in range(5):
        await made(database, f"p{n}@example.com", properties={"plan": "pro"})
    await undefined(database, "plan")
    async with database.connection() as connection:
        assert await properties.known(connection, APPLICATION) == {}
    with pytest.raises(Refused, match="being taken away"):
        await defined(database, "plan", PropertyType.NUMBER)
    await properties.strip(database)
    await defined(database, "plan", PropertyType.NUMBER)

    assert await rows(database, "SELECT DISTINCT properties::text FROM contacts") == [("{}",)]
    with pytest.raises(Refused, match=r"properties\.plan"):
        await made(database, "p0@example.com", properties={"plan": "pro"})


async def test_values_written_while_a_property_is_deleted_go_with_it(database: Database) -> None:
    await defined(database, "plan")
    writers = [made(database, f"p{n}@example.com", properties={"plan": "pro"}) for n in range(6)]
    await asyncio.gather(*writers[:3], undefined(database, "plan"), *writers[3:], return_exceptions=True)
    await properties.strip(database)

    assert await rows(database, "SELECT count(*) FROM contacts WHERE properties <> '{}'") == [(0,)]


async def test_the_history_of_a_contact_has_an_end(database: Database) -> None:
    ann = (await made(database, confirm=True)).contact
    await execute(
        database,
        "INSERT INTO contact_history (application_id, contact_id, what, source)"
        " SELECT %s, %s, 'updated', 'api' FROM generate_series(1, 1500)",
        [APPLICATION, ann.id],
    )
    await changed(database, ann.id, fields={"first_name": "Ann"})
    kept = await rows(database, "SELECT what, count(*) FROM contact_history GROUP BY 1")

    assert dict(kept) == {"updated": contact_history.KEPT, "created": 1, "confirmed": 1}
    assert Changed.CONFIRMED.value in dict(kept)


# What goes by itself


async def test_who_is_not_confirmed_in_time_goes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_retention, "STEP", 2)
    old = [(await made(database, f"old{n}@example.com")).contact.id for n in range(5)]
    confirmed = (await made(database, "yes@example.com", confirm=True)).contact.id
    asked = (await made(database, "asked@example.com")).contact.id
    await execute(database, "UPDATE contacts SET created_at = now() - interval '40 days'")
    await execute(
        database,
        "INSERT INTO confirmations (id, application_id, address, email, language, asked_at, expires_at)"
        " VALUES (%s, %s, 'asked@example.com', 'asked@example.com', 'en', now(), now() + interval '3 days')",
        [uuid7(), APPLICATION],
    )
    fresh = (await made(database, "new@example.com")).contact.id

    assert await contact_retention.forget_unconfirmed(database, 0) == 0
    assert await contact_retention.forget_unconfirmed(database, 30) == 5
    assert {row[0] for row in await rows(database, "SELECT id FROM contacts")} == {confirmed, asked, fresh}
    assert [what for what, _ in await told(database, old[0])] == ["created", "deleted"]


async def test_the_history_of_who_is_gone_goes_in_its_time(database: Database) -> None:
    gone, kept = (await made(database, "gone@example.com")).contact, (await made(database, "kept@example.com")).contact
    async with database.transaction() as connection:
        await contacts.delete(connection, APPLICATION, gone.id, ACT)
    await contact_retention.forget_history(database, 365)
    assert len(await told(database, gone.id)) == 2
    await execute(database, "UPDATE contact_history SET at = now() - interval '400 days'")
    await contact_retention.forget_history(database, 365)

    assert await told(database, gone.id) == []
    assert len(await told(database, kept.id)) == 1


async def test_a_deleted_application_leaves_no_contact(database: Database) -> None:
    await defined(database, "plan")
    ann = (await made(database, properties={"plan": "pro"})).contact
    news = await a_list(database)
    async with database.transaction() as connection:
        await membership.put(connection, OnList(news, APPLICATION, ACT), [ann.id], MemberStatus.CONFIRMED)
        await forgetting.application(connection, APPLICATION)
        await contacts.forget_application(connection, APPLICATION)
    await forgetting.forget_gone(database)
    for table in ("contacts", "contact_history", "contact_properties", "segment_members"):
        assert await rows(database, f"SELECT count(*) FROM {table}") == [(0,)], table
