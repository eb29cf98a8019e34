"""Variants, the group that gets nothing, and the winner for all others."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from campaigns import steering, work
from campaigns.experiment import HELD_OUT, REST, Experiment, Winner, place_of, variant_of
from campaigns.snapshot import WINNER_LATER
from core.refusal import Refused
from store.database import Database
from tests.integration.campaigns.world import World, world_test
from tests.integration.messages.emails import execute, rows

PEOPLE = 60


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path) as made:
        for n in range(PEOPLE):
            await made.person(f"u{n}@one.example")
        yield made


async def test_everybody_gets_the_variant_of_their_place_and_the_others_the_winner(world: World) -> None:
    tested = Experiment(({"subject": "Two"},), 0.5, 0.2, Winner.CLICKS, 1.0)
    campaign = await world.started(experiment=tested, click_tracking=True)
    found = await rows(world.database, "SELECT contact_id, variant, state FROM campaign_recipients")
    assert len(found) == PEOPLE
    assert {contact: variant for contact, variant, _ in found} == {
        contact: variant_of(tested, place_of(campaign.id, contact)) for contact, _, _ in found
    }
    assert all((variant == HELD_OUT) == (state == "held_out") for _, variant, state in found)
    await world.send()
    await work.decide(world.database)
    assert await world.state(campaign) == "sending"  # some wait for the winner
    await execute(world.database, "UPDATE campaign_recipients SET clicked_at = now() WHERE variant = 1")
    await execute(world.database, "UPDATE campaign_recipients SET queued_at = queued_at - interval '2 hours'")
    for _ in range(2):
        await work.decide(world.database)
    await world.send()

    assert (await world.campaign(campaign)).experiment.chosen == 1
    assert await world.state(campaign) == "finished"
    waited = {contact for contact, variant, _ in found if variant == REST}
    won = await rows(world.database, "SELECT contact_id FROM campaign_recipients WHERE variant = 1")
    assert waited <= {contact for (contact,) in won}
    subjects = Counter(subject for (subject,) in await rows(world.database, "SELECT subject FROM emails"))
    assert subjects["Two"] == len(won)
    assert subjects.total() == sum(variant != HELD_OUT for _, variant, _ in found)


async def test_an_empty_test_gives_the_others_the_first_variant(world: World) -> None:
    await execute(
        world.database,
        "UPDATE contacts SET status = 'unconfirmed' WHERE address <> 'u0@one.example' AND address <> 'u1@one.example'",
    )
    campaign = await world.started(
        experiment=Experiment(({"subject": "Two"},), 0.5, after_hours=1.0), click_tracking=True
    )
    await execute(
        world.database,
        "UPDATE campaign_recipients SET variant = -1, due_at = %s WHERE state = 'waiting'",
        [WINNER_LATER],
    )
    for _ in range(2):
        await work.decide(world.database)
    await world.send()

    assert (await world.campaign(campaign)).experiment.chosen == 0
    assert await world.state(campaign) == "finished"


async def test_no_variant_wins_before_the_whole_test_was_out_for_its_time(world: World) -> None:
    campaign = await world.started(
        experiment=Experiment(({"subject": "Two"},), 0.5, after_hours=1.0), click_tracking=True
    )
    await execute(world.database, "UPDATE campaigns SET started_at = started_at - interval '1 day'")
    await work.decide(world.database)
    assert (await world.campaign(campaign)).experiment.chosen is None, "nothing was made"
    await world.feed()
    await execute(world.database, "UPDATE campaign_recipients SET queued_at = queued_at - interval '2 hours'")
    await work.decide(world.database)
    assert (await world.campaign(campaign)).experiment.chosen is None, "nothing has left"
    await world.deliver()
    await world.settle()
    await execute(world.database, "UPDATE campaign_recipients SET clicked_at = now() WHERE variant = 1")
    await work.decide(world.database)
    assert (await world.campaign(campaign)).experiment.chosen == 1


@pytest.mark.parametrize(
    ("winner", "switch"), [(Winner.OPENS, "open_tracking"), (Winner.CLICKS, "click_tracking")], ids=str
)
async def test_what_decides_is_tracked_or_it_does_not_begin(world: World, winner: Winner, switch: str) -> None:
    tested = Experiment(({"subject": "Two"},), 0.5, winner=winner)
    blind = await world.draft(experiment=tested)
    with pytest.raises(Refused, match=f"its {winner} are not tracked") as refused:
        await world.do("start", blind)
    assert (refused.value.field, refused.value.code) == ("experiment.winner", f"{winner}_not_tracked")
    assert f"`{switch}`" in refused.value.hint and "`hand`" in refused.value.hint

    await execute(world.database, f"UPDATE domains SET {switch} = true")
    await world.do("start", blind)
    with pytest.raises(Refused, match="are not tracked"):
        await world.do("start", await world.draft(experiment=tested, **{switch: False}))
    with pytest.raises(Refused, match=f"no {winner} are seen") as refused:
        async with world.database.transaction() as connection:
            await steering.start(connection, await world.draft(experiment=tested), pages=False)
    assert (refused.value.field, refused.value.code) == ("experiment.winner", "no_public_pages")
    assert "POSTLANE_PUBLIC_URL" in refused.value.hint and "`hand`" in refused.value.hint
    everybody = Experiment(({"subject": "Two"},), winner=winner)
    await world.do("start", await world.draft(experiment=everybody, **{switch: False}))


async def test_a_winner_by_hand_wins_once(world: World) -> None:
    tested = Experiment(({"subject": "Two"},), 0.5, winner=Winner.HAND)
    campaign = await world.started(experiment=tested)
    await work.decide(world.database)
    for variant in (0, 1):
        async with world.database.transaction() as connection:
            known = await world.campaign(campaign)
            if variant:
                with pytest.raises(Refused, match="nobody waits"):
                    await steering.choose(connection, known, variant)
            else:
                await steering.choose(connection, known, variant)
    await work.decide(world.database)
    await world.send()
    assert await world.state(campaign) == "finished"
