"""Two contacts become one while automations are under way: each step once for the person."""

import asyncio

import pytest

from audience.contacts import Contact
from campaigns import readdressing
from campaigns.automations import entering, forgetting
from messages.people import Wish
from outcomes import engagement
from store.database import Database
from tests.integration.campaigns.automations.world import ACT, World, delay, mail, world_of
from tests.integration.campaigns.world import somebody_waits
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.outbox import told as outbox_told

ANN, BOB = "ann@one.example", "bob@one.example"


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def moves(world: World, who: Contact, to: str) -> None:
    async with world.database.transaction() as connection:
        await readdressing.update(connection, APPLICATION, who.id, Wish(email=to), ACT)


async def left(world: World) -> None:
    """All mail that waits has left."""
    await execute(world.database, "UPDATE messages SET state = 'delivered'")
    await execute(world.database, "DELETE FROM delivery_queue")


async def waiting(world: World) -> list[tuple[str]]:
    """The addresses that mail waits for."""
    return await rows(world.database, "SELECT address FROM delivery_queue ORDER BY email_id")


async def test_mail_that_waits_goes_to_the_new_address_once(world: World) -> None:
    await world.automation("order.paid", mail(), delay("1 day"), mail())
    ann = await world.person(first_name="Ann")
    await world.told("order.paid", contact_id=ann.id)
    await world.turn()
    await left(world)
    await world.later("1 day")
    await world.turn()
    assert await waiting(world) == [(ANN,)]
    await moves(world, ann, BOB)
    assert await waiting(world) == []
    for _ in range(2):
        await world.turn()

    assert await waiting(world) == [(BOB,)]
    assert [to for to, _ in await world.mails()] == [ANN, ANN, BOB]
    assert await world.runs() == [("completed", 3, None)]
    assert await world.steps() == [(0, "completed", None), (2, "completed", None)]
    (said,) = await rows(world.database, "SELECT detail FROM events WHERE kind = 'cancelled'")
    assert said == ("its recipient has another address now",)


@pytest.mark.parametrize("both_wait", [True, False])
async def test_a_run_goes_back_no_further_than_to_what_has_not_left(world: World, both_wait: bool) -> None:
    """A server that takes no mail for days is a reason to change one's address."""
    await world.automation("order.paid", mail(), delay("1 day"), mail())
    ann = await world.person()
    await world.told("order.paid", contact_id=ann.id)
    await world.turn()
    await world.later("1 day")
    await world.turn()
    if not both_wait:
        await execute(
            world.database, "DELETE FROM delivery_queue WHERE email_id = (SELECT max(id::text)::uuid FROM emails)"
        )
    await moves(world, ann, BOB)
    for _ in range(2):
        await world.turn()
        await world.later("1 day")

    taken_back = "its recipient has another address now"
    if both_wait:
        assert await waiting(world) == [(BOB,), (BOB,)]
        assert await world.steps() == [(0, "completed", None), (2, "completed", None)]
    else:
        assert await waiting(world) == []
        assert await world.steps() == [(0, "skipped", taken_back), (2, "completed", None)]


async def test_who_may_not_get_it_at_the_new_address_is_passed_over(world: World) -> None:
    """Whoever moves somebody without being trusted proves no consent there."""
    await world.automation("order.paid")
    ann = await world.person()
    await world.told("order.paid", contact_id=ann.id)
    await world.turn()
    async with world.database.transaction() as connection:
        await readdressing.update(connection, APPLICATION, ann.id, Wish(email=BOB, trusted=False), ACT)
    await world.turn()

    assert await waiting(world) == []
    assert await world.steps() == [(0, "skipped", "unconfirmed")]


async def test_mail_that_a_worker_has_is_left_to_it(world: World) -> None:
    await world.automation("order.paid")
    ann = await world.person()
    await world.told("order.paid", contact_id=ann.id)
    await world.turn()
    await execute(
        world.database,
        "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), claimed_at = now(),"
        " due_at = now() + interval '1 minute'",
    )
    await moves(world, ann, BOB)
    await world.turn()

    assert [to for to, _ in await world.mails()] == [ANN]
    assert await world.steps() == [(0, "completed", None)]


async def test_what_one_of_them_is_in_goes_on_for_the_other(world: World) -> None:
    await world.automation("order.paid", mail(), delay("1 day"), mail())
    ann, bob = await world.person(first_name="Ann"), await world.person(BOB, first_name="Bob")
    await world.told("order.paid", {"plan": "pro"}, contact_id=ann.id)
    await world.turn()
    await left(world)
    await moves(world, ann, BOB)
    await world.later("1 day")
    await world.turn()
    await forgetting.forget_gone(world.database)

    assert [(to, "Hello Bob, you have pro" in html) for to, html in await world.mails()] == [(ANN, False), (BOB, True)]
    assert await world.runs() == [("completed", 3, None)]
    assert await rows(world.database, "SELECT contact_id FROM application_events") == [(bob.id,)]


async def test_who_was_welcomed_as_either_of_them_is_welcomed_no_second_time(world: World) -> None:
    await world.automation("postlane:contact.confirmed", mail(), delay("1 day"), mail())
    ann, bob = await world.person(), await world.person(BOB)
    await world.turn()
    await moves(world, ann, BOB)
    assert await waiting(world) == [(BOB,)], "what waited for the other one was the same"
    await world.later("1 day")
    await world.turn()

    assert [to for to, _ in await world.mails()] == [ANN, BOB, BOB]
    found = await rows(world.database, "SELECT contact_id = %s, state, reason FROM automation_runs", [bob.id])
    assert sorted(found) == [
        (False, "cancelled", f"the same person as contact {bob.id}"), (True, "completed", None),
    ]  # fmt: skip


async def test_who_said_yes_a_moment_before_is_welcomed(world: World) -> None:
    await world.automation()
    bob = await world.person(BOB, confirm=False)
    ann = await world.person()
    await moves(world, ann, BOB)
    await world.turn()

    assert [to for to, _ in await world.mails()] == [BOB]
    assert await rows(world.database, "SELECT contact_id FROM automation_runs") == [(bob.id,)]


async def test_the_application_hears_that_the_one_is_gone_and_how_the_other_is_now(world: World) -> None:
    hook = await make_endpoint(world.database, events=["contact.deleted", "contact.updated"])
    ann, bob = await world.person(last_name="Berg"), await world.person(BOB)
    await moves(world, ann, BOB)
    told = await outbox_told(world.database, hook)

    assert [(one["type"], one["data"]["id"], one["data"]["last_name"]) for one in told] == [
        ("contact.deleted", str(ann.id), "Berg"), ("contact.updated", str(bob.id), "Berg"),
    ]  # fmt: skip


async def test_whoever_enters_holds_people_in_the_order_of_their_addresses(world: World) -> None:
    """As an import does, and who changes an address: whoever is the older contact."""
    await world.automation()
    bob, ann = await world.person(BOB), await world.person()
    async with world.database.transaction() as holding:
        await holding.execute("SELECT FROM contacts WHERE id = %s FOR UPDATE", [ann.id])
        entering_them = asyncio.create_task(entering.enter_confirmed(world.database))
        await asyncio.wait_for(somebody_waits(world.database, "transactionid"), 20)
        await holding.execute("SELECT FROM contacts WHERE id = %s FOR UPDATE", [bob.id])

    assert await entering_them == 2


@pytest.mark.parametrize(("trusted", "known"), [(True, True), (False, False)])
async def test_who_reads_is_not_silent_at_another_address(world: World, trusted: bool, known: bool) -> None:
    ann = await world.person()
    await execute(
        world.database,
        "INSERT INTO engaged (application_id, address, opened_at, opens) VALUES (%s, %s, '2026-01-02Z', 3)",
        [APPLICATION, ANN],
    )
    async with world.database.transaction() as connection:
        await readdressing.update(connection, APPLICATION, ann.id, Wish(email=BOB, trusted=trusted), ACT)
        found = await engagement.engagement_of(connection, APPLICATION, BOB)

    assert (found is not None and found.opens == 3) is known
