"""Sending once more to those who did not get a campaign, or did not open it: to exactly these."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audience.choices import Person
from audience.contact_history import ContactAct, ContactSource
from campaigns import erasing, steering, tallies, work
from campaigns.experiment import Experiment
from campaigns.following import Whom
from campaigns.model import Campaign
from core.refusal import Refused
from store.database import Database
from tests.integration.campaigns.world import WORDS, World, world_test
from tests.integration.messages.emails import execute, rows


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path) as found:
        yield found


async def again(world: World, known: Campaign, whom: Whom) -> Campaign:
    async with world.database.transaction() as connection:
        return await steering.again(connection, known, whom)


async def begun(world: World, draft: Campaign) -> dict[str, str]:
    await world.do("start", draft)
    await work.begin(world.database)
    return await world.states(draft)


async def put(world: World, campaign: Campaign, address: str, changes: str) -> None:
    await execute(
        world.database,
        f"UPDATE campaign_recipients SET {changes} WHERE campaign_id = %s"
        " AND contact_id = (SELECT id FROM contacts WHERE address = %s)",
        [campaign.id, address],
    )


async def test_it_goes_to_exactly_those_who_missed_it(world: World) -> None:
    states = {
        "got": "state = 'delivered'",
        "full": "state = 'bounced', class = 'mailbox_full'",
        "dead": "state = 'bounced', class = 'invalid_recipient'",
        "late": "state = 'expired'",
        "broken": "state = 'failed'",
        "listed": "state = 'suppressed'",
        "gone": "state = 'unsubscribed'",
        "control": "state = 'held_out'",
        "left_since": "state = 'expired'",
        "erased_since": "state = 'expired'",
    }
    for name in states:
        await world.person(f"{name}@example.com")
    first = await world.started()
    for name, changes in states.items():
        await put(world, first, f"{name}@example.com", changes)
    await world.person("new@example.com")
    second = await again(world, await world.campaign(first), Whom.MISSED)
    await execute(
        world.database,
        "UPDATE segment_members SET status = 'unsubscribed' WHERE contact_id ="
        " (SELECT id FROM contacts WHERE address = 'left_since@example.com')",
        [],
    )
    async with world.database.transaction() as connection:
        person = Person(world.lane.application_id, "erased_since@example.com")
        await erasing.erase(connection, person, ContactAct(ContactSource.API))

    assert (second.name, second.words, second.state.value) == ("Spring (missed)", WORDS, "draft")
    assert await begun(world, second) == {
        "full@example.com": "waiting",
        "late@example.com": "waiting",
        "broken@example.com": "waiting",
        "left_since@example.com": "unsubscribed",
    }


async def test_it_goes_to_exactly_those_who_did_not_open_it_as_people(world: World) -> None:
    states = {
        "read": "state = 'delivered', opened_at = now()",
        "clicked": "state = 'delivered', clicked_at = now()",
        "left": "state = 'delivered', unsubscribed_at = now()",
        "cross": "state = 'delivered', complained_at = now()",
        "quiet": "state = 'delivered'",
        "away": "state = 'expired'",
    }
    for name in states:
        await world.person(f"{name}@example.com")
    first = await world.started(open_tracking=True)
    for name, changes in states.items():
        await put(world, first, f"{name}@example.com", changes)
    second = await again(world, await world.campaign(first), Whom.UNOPENED)
    await put(world, first, "quiet@example.com", "opened_at = NULL")

    assert await begun(world, second) == {"quiet@example.com": "waiting"}


async def test_nobody_missed_what_was_not_sent_and_nobody_knows_opens_that_were_not_tracked(world: World) -> None:
    await world.person("ann@example.com")
    draft = await world.draft()
    with pytest.raises(Refused, match="nobody has missed it"):
        await again(world, draft, Whom.MISSED)
    sent = await world.started()
    with pytest.raises(Refused, match="opens were not tracked"):
        await again(world, await world.campaign(sent), Whom.UNOPENED)


async def test_the_earlier_one_is_not_deleted_before_the_second_has_its_people(world: World) -> None:
    await world.person("ann@example.com")
    first = await world.started()
    await world.send()
    second = await again(world, await world.campaign(first), Whom.MISSED)
    with pytest.raises(Refused, match="goes to people of this one"):
        await world.do("remove", first)
    await begun(world, second)

    await world.do("remove", first)


async def test_the_winner_s_words_are_said_again_and_no_local_time_that_is_over(world: World) -> None:
    await world.person("ann@example.com")
    tested = Experiment(({"subject": "B"},), hold_out=0.1, chosen=None)
    first = await world.started(experiment=tested)
    await execute(
        world.database,
        "UPDATE campaigns SET experiment = jsonb_set(experiment, '{chosen}', '1') WHERE id = %s",
        [first.id],
    )
    second = await again(world, await world.campaign(first), Whom.MISSED)

    assert second.words.subject == "B"
    assert second.experiment == Experiment()


async def _two_who_missed_it(world: World) -> tuple[Campaign, Campaign]:
    """The first, that two missed, and the second, that goes to them."""
    for name in ("ann", "bob"):
        await world.person(f"{name}@example.com")
    first = await world.started()
    await _missed(world, first)
    second = await again(world, await world.campaign(first), Whom.MISSED)
    assert await begun(world, second) == {"ann@example.com": "waiting", "bob@example.com": "waiting"}
    return first, second


async def _missed(world: World, first: Campaign) -> None:
    for name in ("ann", "bob"):
        await put(world, first, f"{name}@example.com", "state = 'expired', ended_at = now()")
    changes = {(first.id, "waiting"): -2, (first.id, "expired"): 2}
    async with world.database.transaction() as connection:
        await tallies.add(connection, changes)


async def test_who_gets_the_second_is_not_tried_again_by_the_first(world: World) -> None:
    first, second = await _two_who_missed_it(world)
    with pytest.raises(Refused, match="nobody to try again"):
        await world.do("retry", first)
    await put(world, second, "bob@example.com", "state = 'expired', ended_at = now()")
    assert (await world.do("retry", first)).people == 1
    await work.begin(world.database)

    assert await world.states(first) == {"ann@example.com": "expired", "bob@example.com": "waiting"}
    for _ in range(2):
        await world.send()
    assert await rows(world.database, "SELECT address FROM messages ORDER BY address") == [
        ("ann@example.com",),
        ("bob@example.com",),
    ]


async def test_who_is_tried_again_gets_no_second(world: World) -> None:
    first, second = await _two_who_missed_it(world)
    await execute(world.database, "UPDATE campaign_recipients SET state = 'expired', ended_at = now()")
    assert (await world.do("retry", first)).people == 2
    await work.begin(world.database)
    async with world.database.transaction() as connection:
        await tallies.add(connection, {(second.id, "waiting"): -2, (second.id, "expired"): 2})
    with pytest.raises(Refused, match="nobody to try again"):
        await world.do("retry", second)


async def test_another_one_to_those_who_missed_it_goes_to_nobody_who_gets_it_by_the_second(world: World) -> None:
    first, second = await _two_who_missed_it(world)
    await put(world, second, "bob@example.com", "state = 'failed'")
    third = await again(world, await world.campaign(first), Whom.MISSED)
    assert await begun(world, third) == {"bob@example.com": "waiting"}
