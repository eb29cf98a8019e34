"""Two contacts become one while a campaign is under way: one mail for the person, one outcome for each row, which says
why; whichever of the two moves, and wherever their mail is."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from audience import segments
from audience.contact_history import ContactAct, ContactSource
from campaigns import readdressing, report, repository, snapshot, steering, tallies, work
from campaigns.following import Whom
from campaigns.model import Campaign
from core.paging import Window
from messages.people import Wish
from store.database import Database
from tests.integration.campaigns.world import World, somebody_waits, world_test
from tests.integration.messages.emails import execute, rows

ANN, BOB = "ann@one.example", "bob@two.example"
ORDERS = pytest.mark.parametrize(("who", "to"), [(ANN, BOB), (BOB, ANN)])
HELD = "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), claimed_at = now(), due_at = now() + interval '1 min'"
FREE = "UPDATE delivery_queue SET claimed_by = NULL, claimed_at = NULL, due_at = now()"


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


async def _moves(world: World, who: str, to: str) -> None:
    async with world.database.transaction() as connection:
        act = ContactAct(ContactSource.API, actor="shop")
        await readdressing.update(connection, world.lane.application_id, who, Wish(email=to), act)


async def _got(world: World) -> list[str]:
    """Who got mail, as often as they did."""
    return [row[0] for row in await rows(world.database, "SELECT address FROM messages WHERE state = 'delivered'")]


async def _ended(world: World, campaign: Campaign) -> Counter[str]:
    """Send what is left; the outcomes of all rows."""
    for _ in range(3):
        await world.send()
    assert await world.state(campaign) == "finished"
    counted, found = await world.tallied(campaign)
    assert counted == found
    return Counter(found)


async def _fed(world: World, address: str) -> None:
    """The mail of this one alone is made."""
    await execute(
        world.database,
        "UPDATE campaign_recipients SET due_at = now() + interval '1 day' WHERE contact_id <> (SELECT id FROM contacts"
        " WHERE address = %s)",
        [address],
    )
    await world.feed()
    await execute(world.database, "UPDATE campaign_recipients SET due_at = now() WHERE state = 'waiting'")


@ORDERS
@pytest.mark.parametrize("fed", [False, True])
async def test_two_who_wait_become_one_who_gets_it(world: World, who: str, to: str, fed: bool) -> None:
    await world.person(ANN)
    await world.person(BOB)
    campaign = await world.started()
    if fed:
        await world.feed()
    await _moves(world, who, to)

    assert await _ended(world, campaign) == {"delivered": 1, "merged": 1}
    assert await _got(world) == [to]
    (reason,) = await rows(world.database, "SELECT reason FROM campaign_recipients WHERE state = 'merged'")
    stays = await rows(world.database, "SELECT id FROM contacts")
    assert reason == (f"the same person as contact {stays[0][0]}",)


@ORDERS
@pytest.mark.parametrize("queued", [False, True])
async def test_who_got_it_gets_it_no_second_time(world: World, who: str, to: str, queued: bool) -> None:
    await world.person(ANN)
    await world.person(BOB)
    campaign = await world.started()
    await _fed(world, ANN)
    await world.deliver()
    await world.settle()
    if queued:
        await world.feed()
    await _moves(world, who, to)

    assert await _ended(world, campaign) == {"delivered": 1, "merged": 1}
    assert await _got(world) == [ANN]


@ORDERS
async def test_whoever_of_them_is_in_it_gets_it_at_the_new_address(world: World, who: str, to: str) -> None:
    await world.person(ANN)
    campaign = await world.started()
    await world.person(BOB)  # too late for this one
    await _moves(world, who, to)

    assert await _ended(world, campaign) == {"delivered": 1}
    assert await _got(world) == [to]
    assert await world.states(campaign) == {to: "delivered"}


@pytest.mark.parametrize("held", [False, True])
async def test_mail_that_was_made_goes_to_the_new_address(world: World, held: bool) -> None:
    await world.person(ANN)
    campaign = await world.started()
    await world.feed()
    if held:
        await execute(world.database, HELD)
    await _moves(world, ANN, BOB)
    await execute(world.database, FREE)

    assert await _ended(world, campaign) == {"delivered": 1}
    assert await _got(world) == [BOB]
    assert await world.outcomes(campaign) == {BOB: ("delivered", None)}


@ORDERS
@pytest.mark.parametrize("delivered", [False, True])
async def test_one_waits_for_what_a_worker_does_with_the_others_mail(
    world: World, who: str, to: str, delivered: bool
) -> None:
    await world.person(ANN)
    await world.person(BOB)
    campaign = await world.started()
    await _fed(world, who)
    await execute(world.database, HELD)
    await _moves(world, who, to)
    await world.feed()
    await world.settle()
    assert len(await rows(world.database, "SELECT FROM emails")) == 1, "the other one waits"
    ((gone,),) = await rows(world.database, "SELECT contact_id FROM emails")
    assert (await world.outcomes(campaign))[to] == ("waiting", f"waits for what becomes of the mail to contact {gone}")
    if delivered:
        await _delivered(world)
    else:
        await execute(world.database, FREE)

    assert await _ended(world, campaign) == {"delivered": 1, "merged": 1}
    assert await _got(world) == [who if delivered else to]
    assert (await world.states(campaign))[to] == "delivered"


async def _delivered(world: World, contact: UUID | None = None) -> None:
    """What the worker says that had it, with the contact as it was when it took the mail."""
    await execute(world.database, "UPDATE messages SET state = 'delivered'")
    await execute(
        world.database,
        "INSERT INTO campaign_news (campaign_id, contact_id, email_id, kind, at)"
        " SELECT campaign_id, coalesce(%s, contact_id), id, 'delivered', now() FROM emails",
        [contact],
    )
    await execute(world.database, "DELETE FROM delivery_queue")


async def test_who_may_get_it_stands_for_who_might_not(world: World) -> None:
    await world.person(ANN)
    await world.person(BOB, status="unconfirmed")
    campaign = await world.started()
    assert await world.states(campaign) == {ANN: "waiting", BOB: "unconfirmed"}
    await _moves(world, ANN, BOB)

    assert await _ended(world, campaign) == {"delivered": 1, "unconfirmed": 1}
    assert (await world.states(campaign))[BOB] == "delivered"
    assert await _got(world) == [BOB]


async def test_what_a_worker_says_of_a_mail_is_told_of_the_row_that_it_belongs_to_now(world: World) -> None:
    """The two have changed rows, and the worker knew the mail by the contact that went."""
    gone = await world.person(ANN)
    await world.person(BOB, status="unconfirmed")
    campaign = await world.started()
    await world.feed()
    await execute(world.database, HELD)
    await _moves(world, ANN, BOB)
    await _delivered(world, gone)

    assert await _ended(world, campaign) == {"delivered": 1, "unconfirmed": 1}
    assert (await world.states(campaign))[BOB] == "delivered"
    assert await rows(world.database, "SELECT address FROM contacts c JOIN emails e ON e.contact_id = c.id") == [(BOB,)]


@ORDERS
@pytest.mark.parametrize("fed", [False, True])
async def test_who_got_it_gets_it_no_second_time_by_a_campaign_to_those_who_missed_it(
    world: World, who: str, to: str, fed: bool
) -> None:
    """Whichever of the two had got the first, and whichever missed it and is in the second."""
    await world.person(ANN)
    await world.person(BOB)
    first = await world.started()
    await _fed(world, ANN)
    await execute(
        world.database, "UPDATE campaign_recipients SET state = 'expired', ended_at = now() WHERE state = 'waiting'"
    )
    async with world.database.transaction() as connection:
        await tallies.add(connection, {(first.id, "waiting"): -1, (first.id, "expired"): 1})
    await world.deliver()
    await world.settle()
    second = await _again(world, first)
    assert await world.states(second) == {BOB: "waiting"}
    if fed:
        await world.feed()
    await _moves(world, who, to)

    assert await _ended(world, second) == {"merged": 1}
    assert await _got(world) == [ANN]
    ((reason,),) = await rows(world.database, "SELECT reason FROM campaign_recipients WHERE state = 'merged'")
    assert reason == f"they get it by broadcast {first.id}"


async def _again(world: World, first: Campaign) -> Campaign:
    async with world.database.transaction() as connection:
        second = await steering.again(connection, await repository.get(connection, None, first.id), Whom.MISSED)
    await world.do("start", second)
    await work.begin(world.database)
    return second


@ORDERS
async def test_who_got_it_is_not_tried_again_for_who_did_not(world: World, who: str, to: str) -> None:
    """The row that stays is that of the mail which arrived, so nothing is left to try again."""
    await world.person(ANN)
    await world.person(BOB)
    campaign = await world.started()
    await _fed(world, ANN)
    await world.deliver()
    await world.settle()
    await execute(
        world.database, "UPDATE campaign_recipients SET state = 'failed', ended_at = now() WHERE state = 'waiting'"
    )
    async with world.database.transaction() as connection:
        await tallies.add(connection, {(campaign.id, "waiting"): -1, (campaign.id, "failed"): 1})
    await world.settle()
    await _moves(world, who, to)
    await world.do("retry", campaign)
    await work.begin(world.database)
    for _ in range(2):
        await world.send()

    assert (await world.states(campaign))[to] == "delivered"
    assert await _got(world) == [ANN]


async def test_who_is_in_the_audience_gets_it_though_who_stays_is_not(world: World) -> None:
    """The audience is being fixed, and would never come to the one that stays."""
    async with world.database.transaction() as connection:
        berlin = await segments.create(connection, world.lane.application_id, "Berlin", 'city = "Berlin"')
    ann = await world.person(ANN, city="Berlin")
    await world.person(BOB, city="Bonn")
    carl = await world.person("carl@three.example", city="Berlin")
    campaign = await world.draft(segment_id=berlin.id)
    await world.do("start", campaign)
    await _some_rows(world, campaign, [ann])
    await _moves(world, ANN, BOB)
    await work.begin(world.database)

    assert await _ended(world, campaign) == {"delivered": 2}
    assert sorted(await _got(world)) == [BOB, "carl@three.example"]
    assert len(await rows(world.database, "SELECT FROM campaign_recipients WHERE contact_id = %s", [carl])) == 1


async def test_a_slice_that_is_not_committed_yet_is_waited_for(world: World) -> None:
    """Its rows are of contacts as they were: nobody sees them before."""
    await world.person(ANN)
    await world.person(BOB)
    await execute(
        world.database,
        "DELETE FROM segment_members WHERE contact_id = (SELECT id FROM contacts WHERE address = %s)",
        [BOB],
    )
    campaign = await world.draft()
    await world.do("start", campaign)
    async with world.database.transaction() as connection:
        done = await snapshot.fix_slice(connection, await repository.get(connection, None, campaign.id))
        assert done.made == {"waiting": 1}
        moving = asyncio.create_task(_moves(world, ANN, BOB))
        await asyncio.wait_for(somebody_waits(world.database), 20)
    await moving

    assert await _ended(world, campaign) == {"delivered": 1}
    assert await world.states(campaign) == {BOB: "delivered"}


async def test_an_audience_that_is_being_fixed_loses_nobody(world: World) -> None:
    ids = [await world.person(f"u{n}@one.example") for n in range(4)]
    campaign = await world.draft()
    await world.do("start", campaign)
    await _some_rows(world, campaign, ids[:2])
    await _moves(world, "u0@one.example", "u3@one.example")
    await work.begin(world.database)

    assert await _ended(world, campaign) == {"delivered": 3}
    assert sorted(await _got(world)) == ["u1@one.example", "u2@one.example", "u3@one.example"]


async def _some_rows(world: World, campaign: Campaign, contacts: list[UUID]) -> None:
    """As the first slice makes them."""
    await execute(
        world.database,
        "INSERT INTO campaign_recipients (campaign_id, contact_id, due_at, destination)"
        " SELECT %s, id, now(), 'one.example' FROM contacts WHERE id = ANY(%s)",
        [campaign.id, contacts],
    )
    await execute(world.database, "UPDATE campaigns SET fixed_to = %s WHERE id = %s", [contacts[-1], campaign.id])
    await execute(
        world.database,
        "INSERT INTO campaign_tallies (campaign_id, state, n) VALUES (%s, 'waiting', %s)",
        [campaign.id, len(contacts)],
    )


async def test_what_comes_later_is_told_of_the_one_they_are_now(world: World) -> None:
    await world.person(ANN)
    campaign = await world.started()
    await world.send()
    assert await world.state(campaign) == "finished"
    await world.person(BOB)
    await execute(
        world.database,
        "INSERT INTO campaign_news (campaign_id, contact_id, email_id, kind, at)"
        " SELECT campaign_id, contact_id, id, 'opened', now() FROM emails",
    )
    await _moves(world, ANN, BOB)
    await world.settle()

    async with world.database.connection() as connection:
        (found,) = (await report.recipients(connection, campaign.id, report.Wanted(), Window(10))).entries
    assert (found.email, found.state) == (BOB, "delivered")
    assert found.opened_at is not None
    assert (await world.campaign(campaign)).tallies["opened"] == 1


async def test_a_cancelled_one_ends_for_both(world: World) -> None:
    await world.person(ANN)
    await world.person(BOB)
    campaign = await world.started()
    await _fed(world, ANN)
    await execute(world.database, HELD)
    await world.do("cancel", campaign)
    await _moves(world, ANN, BOB)
    await execute(world.database, FREE)
    for _ in range(2):
        await world.settle()

    assert set((await world.tallied(campaign))[1]) <= {"cancelled", "merged"}
    assert await _got(world) == []
