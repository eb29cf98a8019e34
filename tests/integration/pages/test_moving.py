"""Another address: nothing moves before its reader has confirmed, then choices and history go along, once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from accounts import capture_rules
from audience import contacts
from audience.choices import What
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes
from audience.links import MoveLink
from campaigns import erasing
from pages.limits import MOVES_A_DAY
from tests.integration.messages.emails import rows
from tests.integration.pages.conftest import ANN, Reader, link_in

NEW = "ann@new.example"


async def asked(reader: Reader, to: str = NEW) -> str:
    """The path in the confirmation mail."""
    await reader.press("move", address=to)
    (text,) = (await mails_to(reader, to))[-1:]
    return link_in(text)


async def mails_to(reader: Reader, address: str) -> list[str]:
    """Texts of the mail of ours on its way to an address, oldest first."""
    found = await rows(
        reader.database,
        "SELECT c.body FROM messages m JOIN emails e ON e.id = m.email_id JOIN contents c ON c.id = e.content_id"
        " WHERE m.address = %s AND e.lane = 'transactional' ORDER BY e.id",
        [address],
    )
    return [text for (text,) in found]


async def confirm(reader: Reader, path: str) -> int:
    return (await reader.client.post(path, data={"action": "confirm", "lang": "en"})).status_code


async def test_the_wish_alone_moves_nothing(reader: Reader) -> None:
    path = await asked(reader)
    page = await reader.client.get(path)

    assert "Yes, this is my address" in page.text
    assert NEW in page.text
    assert await reader.past(NEW) == []
    assert [past.what for past in await reader.past()] == [What.MOVE_ASKED]


async def test_the_confirmation_comes_from_the_sender_she_knows(reader: Reader) -> None:
    await asked(reader)
    found = await rows(reader.database, "SELECT sender, \"to\", topic_id FROM emails WHERE lane = 'transactional'")

    assert found == [("Acme <hello@acme.example>", [NEW], None)]


async def test_choices_and_history_move_along(reader: Reader) -> None:
    await reader.press("leave")
    path = await asked(reader)
    assert await confirm(reader, path) == 200

    assert (await reader.takes(NEW))["News"] is False
    assert not (await reader.stands(NEW)).off
    assert (await reader.stands(ANN)).off
    told = [(past.what, past.detail) for past in await reader.past(NEW)]
    assert told[0] == (What.OPT_OUT, f"as {ANN}")
    assert told[-1] == (What.MOVED_FROM, ANN)
    assert (await reader.past(NEW))[0].at == (await reader.past(ANN))[0].at


async def test_the_contact_moves_along(reader: Reader) -> None:
    """In the same transaction: else the next campaign finds nobody at the new address."""
    act = ContactAct(ContactSource.API)
    async with reader.database.transaction() as connection:
        made = await contacts.create(
            connection, reader.account.application_id, ANN, Changes({"first_name": "Ann"}), act
        )
    assert await confirm(reader, await asked(reader)) == 200
    found = await rows(reader.database, "SELECT id, address, email FROM contacts")
    told = await rows(reader.database, "SELECT what, source FROM contact_history ORDER BY id")

    assert found == [(made.contact.id, NEW, NEW)]
    assert told == [("created", "api"), ("address_changed", "link")]


async def test_who_left_everything_has_left_it_at_the_new_address_too(reader: Reader) -> None:
    await reader.press("leave_all")
    assert await confirm(reader, await asked(reader)) == 200

    assert (await reader.stands(NEW)).off


async def test_confirming_again_and_at_once_moves_once(reader: Reader) -> None:
    path = await asked(reader)

    assert await asyncio.gather(*(confirm(reader, path) for _ in range(4))) == [200] * 4
    assert [past.what for past in await reader.past(ANN)].count(What.MOVED_TO) == 1
    assert len(await mails_to(reader, ANN)) == 1


async def test_who_was_erased_comes_back_by_no_older_link(reader: Reader) -> None:
    path = await asked(reader)
    async with reader.database.transaction() as connection:
        await erasing.erase(connection, reader.person(), ContactAct(ContactSource.API))

    assert await confirm(reader, path) == 410
    assert await mails_to(reader, ANN) == []
    assert await reader.past(NEW) == []


async def test_the_old_address_is_told_and_can_take_it_back(reader: Reader) -> None:
    await confirm(reader, await asked(reader))
    (text,) = await mails_to(reader, ANN)
    assert NEW in text
    await reader.press("return", path=link_in(text))

    assert not (await reader.stands(ANN)).off


async def test_moving_back_again_works(reader: Reader) -> None:
    await confirm(reader, await asked(reader))
    back = reader.link(address=NEW)
    await reader.press("move", path=back, address=ANN)
    await confirm(reader, link_in((await mails_to(reader, ANN))[-1]))

    assert not (await reader.stands(ANN)).off
    assert (await reader.stands(NEW)).off


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("no address", "cannot write to this address"),
        ("a@b.example\r\nBcc: victim@example.com", "cannot write to this address"),
        ("a@b.example, c@d.example", "cannot write to this address"),
        ("", "cannot write to this address"),
        ("bounce@sandbox.example", "cannot write to this address"),
        (ANN.upper(), "the address you have now"),
    ],
)
async def test_what_is_no_other_address_is_said(reader: Reader, typed: str, text: str) -> None:
    answer = await reader.press("move", address=typed)

    assert answer.status_code == 422
    assert text in answer.text
    assert await rows(reader.database, "SELECT 1 FROM emails WHERE lane = 'transactional'") == []


async def test_a_name_beside_the_address_goes_nowhere(reader: Reader) -> None:
    await reader.press("move", address="Free money <mark@example.com>")

    assert await rows(reader.database, "SELECT \"to\" FROM emails WHERE lane = 'transactional'") == [
        (["mark@example.com"],)
    ]


async def test_what_may_not_leave_is_captured(reader: Reader) -> None:
    """A staging server that works on a copy of real data: neither address may hear of it."""
    async with reader.database.transaction() as connection:
        await capture_rules.add(connection, reader.account.application_id, "*@*.example")
        await capture_rules.add(connection, reader.account.application_id, ANN)
    await confirm(reader, await asked(reader, "any@qa.new.example"))
    await asked(reader, "delivered@resend.dev")

    queued = await rows(reader.database, "SELECT recipient, capture FROM delivery_queue ORDER BY email_id")
    assert queued[-3:] == [("any@qa.new.example", True), (ANN, True), ("delivered@resend.dev", True)]


async def test_nobody_can_have_many_written_to(reader: Reader) -> None:
    answers = [await reader.press("move", address=f"victim{n}@example.com") for n in range(MOVES_A_DAY + 1)]

    assert [answer.status_code for answer in answers] == [200] * MOVES_A_DAY + [422]
    assert "several times today" in answers[-1].text


async def test_a_confirmation_ends_after_a_week(reader: Reader) -> None:
    facts = (reader.account.application_id, reader.email.id, 0)
    old = MoveLink(*facts, datetime.now(UTC) - timedelta(days=7, minutes=1), ANN, NEW)
    path = f"/m/{reader.seal.seal_move(old)}"

    assert (await reader.client.get(path)).status_code == 410
    assert await confirm(reader, path) == 410
    assert await reader.past(NEW) == []


async def test_the_two_kinds_of_link_are_not_each_other(reader: Reader) -> None:
    path = await asked(reader)

    assert (await reader.client.get(path.replace("/m/", "/u/", 1).partition("?")[0])).status_code == 404
    assert await confirm(reader, reader.link().replace("/u/", "/m/", 1)) == 404
