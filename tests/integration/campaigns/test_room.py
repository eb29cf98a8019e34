"""How many mails of a campaign are in the queue, whatever holds them up there; who fails when one cannot be made."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from campaigns import feed, room
from campaigns.model import Campaign
from campaigns.states import CampaignState
from messages import halted, restored
from store.database import Database
from tests.integration.campaigns.world import World, with_words, world_test
from tests.integration.messages.emails import execute, rows

NARROW = 4
"""Mails that may be due, and that may wait for an IP at one destination."""


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_QUEUED", "MOST_HELD"):
        monkeypatch.setattr(room, name, NARROW)
    monkeypatch.setattr(feed, "BATCH", NARROW)


async def _ramped(world: World) -> Campaign:
    """Twelve people of one provider, the first the most engaged, and two of another, who never were."""
    for n in range(12):
        await world.person(f"u{n}@one.example")
    for n in range(2):
        await world.person(f"v{n}@two.example")
    campaign = await world.started()
    await execute(
        world.database,
        "UPDATE campaign_recipients r SET engaged_at = now() - make_interval(days => substring(c.address, 2, 2)::int)"
        " FROM (SELECT id, replace(address, '@', ' ') AS address FROM contacts) c"
        " WHERE c.id = r.contact_id AND r.destination = 'one.example'",
    )
    return campaign


async def _hold(world: World) -> None:
    """No IP can take what is in the queue, as of a ramp whose share of the hour is used."""
    await execute(world.database, "UPDATE delivery_queue SET hold = 'a ramp', due_at = now() + interval '1 hour'")


async def _queued(world: World) -> set[str]:
    found = await rows(world.database, "SELECT split_part(address, '@', 1) FROM delivery_queue")
    return {name for (name,) in found}


@pytest.mark.usefixtures("narrow")
async def test_what_a_ramp_holds_is_bounded_and_keeps_nobody_else_waiting(world: World) -> None:
    await _ramped(world)
    await world.feed()
    assert await _queued(world) == {"u0", "u1", "u2", "u3"}
    for _ in range(3):
        await _hold(world)
        await world.feed()
    assert await _queued(world) == {"u0", "u1", "u2", "u3", "v0", "v1"}


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("hold", [halted.HELD, restored.HELD])
async def test_what_waits_for_a_person_or_its_campaign_keeps_nobody_waiting(world: World, hold: str) -> None:
    campaign = await _ramped(world)
    await world.feed()
    await execute(world.database, "UPDATE delivery_queue SET hold = %s, due_at = now() + interval '1 hour'", [hold])
    async with world.database.connection() as connection:
        assert await room.of(connection, campaign.id) == room.Room(NARROW, is_idle=True)
    await world.feed()
    assert len(await _queued(world)) == 2 * NARROW


@pytest.mark.usefixtures("narrow")
async def test_the_most_engaged_of_all_come_next_when_a_ramp_lets_some_through(world: World) -> None:
    await _ramped(world)
    await world.feed()
    await _hold(world)
    await execute(world.database, "DELETE FROM delivery_queue WHERE address IN ('u0@one.example', 'u1@one.example')")
    await execute(
        world.database,
        "UPDATE campaign_recipients SET engaged_at = now() WHERE state = 'waiting' AND contact_id ="
        " (SELECT id FROM contacts WHERE address = 'u11@one.example')",
    )
    await world.feed()
    assert await _queued(world) == {"u2", "u3", "u11", "u4", "u5", "u6"}


@pytest.mark.usefixtures("narrow")
async def test_many_small_destinations_are_bounded_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(12):
        await world.person(f"u{n}@d{n}.example")
    await world.started()
    monkeypatch.setattr(room, "MOST_HELD_IN_ALL", NARROW)
    for _ in range(3):
        await world.feed()
        await _hold(world)
    assert len(await _queued(world)) == NARROW


@pytest.mark.usefixtures("narrow")
async def test_who_found_nobody_else_looks_again_when_there_is_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking past everybody who waits takes a while where they are many."""
    looks = []
    take = feed._take

    async def counted(*given: Any) -> list[feed.Next]:
        looks.append(given[-1])
        return await take(*given)

    await _ramped(world)
    await world.feed()
    await _hold(world)
    monkeypatch.setattr(feed, "_take", counted)
    for _ in range(4):
        await world.feed()
    assert looks == [frozenset({"one.example"})]
    await execute(world.database, "UPDATE delivery_queue SET due_at = now() WHERE destination = 'one.example'")
    await world.deliver()
    await world.feed()
    assert looks[-1] == frozenset()


async def test_whose_mail_cannot_be_stored_fails_and_nobody_whose_turn_comes_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "bob", "eve"):
        await world.person(f"{name}@one.example", city="Nowhere" if name == "bob" else "Rome")
    campaign = await world.started(with_words(subject="{{ city }}"))
    await execute(world.database, "ALTER TABLE emails ADD CONSTRAINT no_nowhere CHECK (subject <> 'Nowhere')")
    await _due(world, "eve", "now() + interval '1 hour'")
    queue = feed._queue

    async def beside(*given: Any) -> set[str]:
        try:
            return await queue(*given)
        except psycopg.IntegrityError:
            if len(given[-1]) == 1:
                await _due(world, "eve", "now() - interval '1 hour'")  # before everybody else's
            raise

    monkeypatch.setattr(feed, "_queue", beside)
    await world.feed()
    await world.send()
    assert await world.states(campaign) == {
        "ann@one.example": "delivered", "bob@one.example": "failed", "eve@one.example": "delivered",
    }  # fmt: skip
    counted, found = await world.tallied(campaign)
    assert counted == found


async def _due(world: World, name: str, when: str) -> None:
    await execute(
        world.database,
        f"UPDATE campaign_recipients SET due_at = {when} WHERE contact_id ="
        " (SELECT id FROM contacts WHERE address = %s)",
        [f"{name}@one.example"],
    )


async def test_what_nobody_of_a_campaign_can_be_stored_for_stops_it_and_is_nobody_s_fault(world: World) -> None:
    for n in range(feed.MOST_ALIKE + 3):
        await world.person(f"u{n}@one.example")
    campaign = await world.started()
    await execute(world.database, "ALTER TABLE emails ADD CONSTRAINT nobody CHECK (campaign_id IS NULL)")
    await world.feed()
    stopped = await world.campaign(campaign)

    assert stopped.state is CampaignState.STOPPED
    assert "CheckViolation" in stopped.reason
    assert set((await world.states(campaign)).values()) == {"waiting"}
    await execute(world.database, "ALTER TABLE emails DROP CONSTRAINT nobody")
    await world.do("resume", campaign)
    await world.send()
    assert await world.state(campaign) == "finished"


async def test_more_than_a_few_fail_where_others_could_be_stored(world: World) -> None:
    bad: set[UUID] = set()
    for n in range(feed.MOST_ALIKE + 2):
        bad.add(await world.person(f"u{n}@one.example", city="Nowhere"))
    await world.person("z@one.example", city="Rome")
    campaign = await world.started(with_words(subject="{{ city }}"))
    await execute(world.database, "ALTER TABLE emails ADD CONSTRAINT no_nowhere CHECK (subject <> 'Nowhere')")
    await world.send()
    states = await world.states(campaign)
    assert states.pop("z@one.example") == "delivered"
    assert list(states.values()) == ["failed"] * len(bad)
