"""Exporting and erasing a person: what is told, what goes, what stays, and mail that is under way at that moment."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from audience import choices, contacts, segments
from audience.choices import Person
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes
from audience.importing import merging
from audience.importing.merging import Merged, Terms
from audience.importing.rows import Row
from audience.topics import Subscription
from campaigns import erasing
from campaigns.erasing import Erased
from campaigns.settle import settle
from core.ids import uuid7
from core.queues import Lane
from messages import choosing, people
from messages.erasing import NOBODY
from messages.model import MessageRef
from messages.people import Wish
from outcomes import engagement, erasures, exporting
from outcomes.record import record
from store.database import Connection, Database
from suppression.reasons import SuppressionScope
from suppression.subjects import hashed
from tests.integration.audience.people import LINK, choose, topic
from tests.integration.campaigns.leftovers import everywhere
from tests.integration.campaigns.world import somebody_waits
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, new_email, recipient, rows, store
from tests.integration.outcomes.facts import attempt, bounce, outcome

ANN, BOB = "ann@example.com", "bob@example.com"
ACT = ContactAct(ContactSource.API, actor="API key 1")
PERSON = Person(APPLICATION, ANN)


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def sent(database: Database, to: list[tuple[str, str]], subject: str = "Your receipt") -> UUID:
    """An email in the queue, by kind and address of its recipients; its id."""
    boxes = {kind: tuple(f'"Who" <{box}>' for own, box in to if own == kind) for kind in ("to", "cc")}
    receivers = tuple(recipient(box, kind) for kind, box in to)
    email = new_email(recipients=receivers, subject=subject, **boxes)
    await store(database, email)
    return email.id


async def delivered(database: Database, email: UUID, reply: str = "250 ok") -> None:
    """Its first recipient's server took it."""
    async with database.transaction() as connection:
        await record(connection, [outcome(MessageRef(email, 0), attempt=attempt(reply=reply))])


async def a_person(database: Database, about: str = "Newsletter") -> UUID:
    """Ann with all that can be known of her; the contact's id."""
    news = await topic(database, about)
    async with database.transaction() as connection:
        wish = Wish(Changes({"first_name": "Ann", "last_name": "Quillfeather"}, {}, True, {"text": "Yes, ann"}))
        made = await people.create(connection, APPLICATION, "Ann@Example.com", wish, ACT)
        await engagement.report_activity(connection, APPLICATION, ANN, datetime.now(UTC))
    await choose(database, PERSON, news, Subscription.OPT_OUT)
    await execute(
        database,
        "INSERT INTO soft_bounces (address, kind, count, days, first_at, last_at, reply, email_id)"
        " VALUES (%s, 'full', 1, '{}', now(), now(), '452 full', %s)",
        [ANN, made.contact.id],
    )
    await execute(
        database,
        "INSERT INTO suppressions (id, address, scope, reason, source, owner_id)"
        " VALUES (gen_random_uuid(), %s, %s, 'manual', 'api', %s)",
        [ANN, f"{APPLICATION} transactional", APPLICATION],
    )
    return made.contact.id


async def erased(database: Database, scope: SuppressionScope = SuppressionScope.MARKETING) -> Erased:
    async with database.transaction() as connection:
        return await erasing.erase(connection, PERSON, ACT, scope)


async def exported(database: Database) -> Any:
    async with database.connection() as connection:
        return await exporting.export(connection, PERSON)


async def test_all_of_a_person_is_told(database: Database) -> None:
    contact = await a_person(database)
    mail = await sent(database, [("to", ANN)], subject="Hello Ann")
    await delivered(database, mail)
    held = await exported(database)

    assert held.contact.id == contact
    assert [one.what.value for one in held.history] == ["confirmed", "created"]
    assert [one.what.value for one in held.now.choices] == ["opt_out"]
    assert [one.reason.value for one in held.now.entries] == ["manual"]
    assert held.now.engagement.active_at is not None
    assert [(one.email_id, one.subject, one.state) for one in held.mail] == [(mail, "Hello Ann", "delivered")]
    assert held.mail[0].text == "Thank you."
    assert [one.kind for one in held.mail[0].events] == ["delivered"]


async def test_nothing_of_an_erased_person_is_left_anywhere(database: Database) -> None:
    """Every table is read: a new one that keeps an address fails here."""
    contact = await a_person(database)
    await delivered(database, await sent(database, [("to", ANN)], subject="Hello Ann"))
    waits = await sent(database, [("to", ANN)], subject="Later, Ann")
    shared = await sent(database, [("to", BOB), ("cc", ANN)])
    assert len(await everywhere(database, ANN)) > 8
    gone = await erased(database)

    assert (gone.contact_id, gone.cancelled, gone.mails, gone.under_way) == (contact, 2, 3, 0)
    assert await everywhere(database, ANN) == []
    assert await everywhere(database, "quillfeather") == []
    assert await rows(database, "SELECT state FROM messages WHERE email_id = %s", [waits]) == [("cancelled",)]
    assert await rows(database, "SELECT recipient, position FROM delivery_queue") == [(BOB, 0)]
    assert await rows(database, 'SELECT "to", cc FROM emails WHERE id = %s', [shared]) == [
        ([f'"Who" <{BOB}>'], [NOBODY])
    ]


async def test_what_they_wrote_goes_and_segments_that_hold_their_address_are_named(database: Database) -> None:
    async with database.transaction() as connection:
        by_name = await segments.create(connection, APPLICATION, "Ann", f'email = "{ANN}"')
        await segments.create(connection, APPLICATION, "Others", f'email = "{BOB}"')
    for author, kind in ((ANN, "auto_reply"), (BOB, "auto_reply"), ("mailer-daemon@example.com", "bounce")):
        await execute(
            database,
            "INSERT INTO inbound_mail (id, envelope_to, mail_from, peer, raw, result, author, kind) VALUES"
            " (%s, 'abuse@acme.example', '', '', '', 'unplaced', %s, %s)",
            [uuid7(), f"Who <{author.title()}>", kind],
        )
    found = await erased(database)

    assert found.segments == ((by_name.id, "Ann"),)
    left = await rows(database, "SELECT lower(author) FROM inbound_mail ORDER BY 1")
    assert left == [(f"who <{BOB}>",), ("who <mailer-daemon@example.com>",)]


async def test_they_are_not_written_to_again(database: Database) -> None:
    await a_person(database)
    await erased(database)
    kept = await rows(database, "SELECT address, scope, owner_id FROM suppressions ORDER BY scope")
    async with database.transaction() as connection:
        again = await contacts.create(connection, APPLICATION, ANN, Changes(), ACT)
        left = await contacts.unsubscribed(connection, [again.contact])
        standing = await choosing.standing(connection, PERSON)

    assert kept == [
        (hashed(ANN), f"{APPLICATION} marketing", None), (hashed(ANN), f"{APPLICATION} transactional", APPLICATION),
    ]  # fmt: skip
    assert left == {again.contact.id}
    assert standing.off


async def test_they_come_back_by_their_own_hand(database: Database) -> None:
    await a_person(database)
    await erased(database)
    async with database.transaction() as connection:
        assert await choosing.return_to_all(connection, PERSON, LINK)

    assert await rows(database, "SELECT count(*) FROM suppressions WHERE scope LIKE '%% marketing'") == [(0,)]


async def test_not_even_receipts(database: Database) -> None:
    await erased(database, SuppressionScope.ALL)

    assert await rows(database, "SELECT address, scope FROM suppressions") == [(hashed(ANN), str(APPLICATION))]


async def test_mail_under_way_is_forgotten_as_it_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker holds it when the person is erased; what it records afterwards names them once more."""
    mail = await sent(database, [("to", ANN)], subject="Hello Ann")
    await execute(
        database,
        "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), claimed_at = now(),"
        " due_at = now() + interval '60 s'",
    )
    gone = await erased(database)
    await erasing.finish(database)
    assert (gone.cancelled, gone.under_way) == (0, 1)
    await delivered(database, mail, reply=f"250 2.0.0 <{ANN}> ok")
    await execute(database, "UPDATE erasures SET due_at = now()")
    monkeypatch.setattr(erasures, "SETTLED", timedelta())
    await erasing.finish(database)

    assert await everywhere(database, ANN) == []
    assert await rows(database, "SELECT count(*) FROM erasures") == [(0,)]
    assert await rows(database, "SELECT state FROM messages") == [("delivered",)]


async def test_recording_and_erasing_at_one_time_leave_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hard bounces and deliveries are written while the person is erased, in whatever order; nobody waits in a circle,
    and nothing of the address is left but its hash."""
    monkeypatch.setattr(erasures, "SETTLED", timedelta())
    mails = [await sent(database, [("to", ANN)]) for _ in range(6)]
    await execute(
        database,
        "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), claimed_at = now(), due_at = now() + interval '60 s'"
        " WHERE email_id = ANY(%s)",
        [mails[:4]],
    )

    async def told(mail: UUID) -> None:
        async with database.transaction() as connection:
            await record(connection, [bounce(MessageRef(mail, 0), ANN)])

    await asyncio.gather(*map(told, mails[:3]), erased(database), *map(told, mails[3:]))
    await execute(database, "UPDATE erasures SET due_at = now()")
    await erasing.finish(database)

    assert await everywhere(database, ANN) == []
    assert await rows(database, "SELECT count(*) FROM delivery_queue") == [(0,)]
    assert (hashed(ANN), "all") in await rows(database, "SELECT address, scope FROM suppressions")


async def test_whoever_comes_anew_is_left_alone_by_what_is_gone_over(database: Database) -> None:
    await a_person(database)
    await erased(database)
    contact = await a_person(database, "Other news")
    mail = await sent(database, [("to", ANN)], subject="Welcome back")
    await execute(database, "UPDATE erasures SET due_at = now()")
    await erasing.finish(database)

    assert await rows(database, "SELECT id FROM contacts") == [(contact,)]
    assert await rows(database, "SELECT subject FROM emails WHERE id = %s", [mail]) == [("Welcome back",)]
    assert await rows(database, "SELECT count(*) FROM engaged") == [(1,)]


async def test_mail_that_a_campaign_was_making_at_that_moment_is_forgotten_too(database: Database) -> None:
    """The feed read the contact before, and commits after: its mail has a higher id."""
    contact = await a_person(database)
    await erased(database)
    made = await sent(database, [("to", ANN)], subject="Hello Ann Quillfeather")
    await execute(database, "UPDATE emails SET contact_id = %s WHERE id = %s", [contact, made])
    receipt = await sent(database, [("to", BOB)])
    await execute(database, "UPDATE erasures SET due_at = now()")
    await erasing.finish(database)

    assert await everywhere(database, ANN) == []
    assert await everywhere(database, "quillfeather") == []
    assert await rows(database, "SELECT email_id FROM delivery_queue") == [(receipt,)]


@pytest.mark.parametrize("deleted", [False, True])
async def test_no_report_of_a_campaign_quotes_the_address(database: Database, deleted: bool) -> None:
    """Not what was there, also of a contact who was deleted before; and not what is told of their mail afterwards."""
    contact, other, campaign, quoting = await a_person(database), uuid7(), uuid7(), f"550 <{ANN}>"
    mail = await sent(database, [("to", ANN)])
    await execute(
        database, "UPDATE emails SET contact_id = %s, campaign_id = %s WHERE id = %s", [contact, campaign, mail]
    )
    await execute(
        database,
        "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), claimed_at = now(), due_at = now() + interval '1 h'",
    )
    before = [(uuid7(), contact, "bounced", quoting), (uuid7(), other, "bounced", quoting)]
    for row in [*before, (campaign, contact, "queued", None)]:
        await execute(
            database,
            "INSERT INTO campaign_recipients (campaign_id, contact_id, state, reason, email_id, due_at, destination)"
            " VALUES (%s, %s, %s, %s, %s, now(), 'example.com')",
            [*row, mail],
        )
    if deleted:
        async with database.transaction() as connection:
            await contacts.remove(connection, [contact])
    await erased(database)
    await execute(
        database,
        "INSERT INTO campaign_news (campaign_id, contact_id, email_id, kind, at, detail)"
        " VALUES (%s, %s, %s, 'bounced', now(), %s)",
        [campaign, contact, mail, f"550 5.1.1 <{ANN}> unknown"],
    )
    await settle(database)

    found = await rows(database, "SELECT contact_id, state, reason FROM campaign_recipients")
    assert Counter(found) == {(contact, "bounced", None): 2, (other, "bounced", quoting): 1}


async def test_reports_are_blanked_in_the_order_in_which_news_is_taken(database: Database) -> None:
    """Whichever row stands first in the table: who settles news and who erases wait, and not in a circle."""
    contact, campaigns = await a_person(database), sorted(uuid7() for _ in range(2))
    for campaign in reversed(campaigns):
        await execute(
            database,
            "INSERT INTO campaign_recipients (campaign_id, contact_id, state, reason, due_at, destination)"
            " VALUES (%s, %s, 'bounced', %s, now(), 'example.com')",
            [campaign, contact, f"550 <{ANN}>"],
        )
    async with database.transaction() as connection:
        await _hold_row(connection, campaigns[0])
        erasing_them = asyncio.create_task(erased(database))
        await asyncio.wait_for(somebody_waits(database, "transactionid"), 20)
        await _hold_row(connection, campaigns[1])
    await erasing_them

    assert await everywhere(database, ANN) == []


async def _hold_row(connection: Connection, campaign: UUID) -> None:
    await connection.execute("SELECT FROM campaign_recipients WHERE campaign_id = %s FOR UPDATE", [campaign])


async def test_others_keep_what_they_know(database: Database) -> None:
    """What another application agreed with the same person is not this one's to erase."""
    other = UUID(int=99)
    async with database.transaction() as connection:
        await contacts.create(connection, other, ANN, Changes({"first_name": "Ann"}), ACT)
        await choosing.leave_all(connection, Person(other, ANN), LINK)
        await choices.pause(connection, Person(other, ANN), datetime(2030, 1, 1, tzinfo=UTC), LINK)
    await erased(database)

    assert await rows(database, "SELECT application_id FROM contacts") == [(other,)]
    assert (ANN, f"{other} marketing") in await rows(database, "SELECT address, scope FROM suppressions")
    assert await rows(database, "SELECT count(*) FROM choices") == [(1,)]


def test_texts_that_fit_are_told() -> None:
    mails = [
        exporting.SentMail(
            UUID(int=n), 0, "to", "delivered", datetime.now(UTC), "a", "b", (), Lane.MARKETING, None, "x" * 6, "y", ()
        )
        for n in range(3)
    ]
    assert [one.html is not None for one in exporting.bounded(mails, 14)] == [True, True, False]


async def test_leaving_once_more_writes_no_address_down(database: Database) -> None:
    """The link in an old mail goes on working: it says what is known already, in the hash."""
    await a_person(database)
    await erased(database)
    async with database.transaction() as connection:
        assert not await choosing.leave_all(connection, PERSON, LINK)

    assert await everywhere(database, ANN) == []


async def _slice(connection: Connection) -> Merged:
    row = Row(2, ANN, ANN, (None, None, None, None), "{}")
    return await merging.merge(connection, Terms(APPLICATION, "me"), uuid7(), [row], merging.copy_text([row]))


async def test_an_import_at_that_moment_brings_nobody_back(database: Database) -> None:
    """Whichever of the two is first: the other waits for its commit, and sees it."""
    await a_person(database)
    async with database.transaction() as connection:
        await _slice(connection)
        erasing_them = asyncio.create_task(erased(database))
        await asyncio.wait_for(somebody_waits(database), 20)
    await erasing_them
    assert await rows(database, "SELECT FROM contacts") == await rows(database, "SELECT FROM confirmations") == []

    async with database.transaction() as connection:
        await erasing.erase(connection, PERSON, ACT)
        bringing_in = asyncio.create_task(_in_a_transaction(database))
        await asyncio.wait_for(somebody_waits(database), 20)
    assert (await bringing_in).suppressed == 1
    assert await rows(database, "SELECT FROM contacts") == await rows(database, "SELECT FROM confirmations") == []


async def _in_a_transaction(database: Database) -> Merged:
    async with database.transaction() as connection:
        return await _slice(connection)
