"""A campaign begins: who is in, when each is due where they live, and what that is to campaigns beside it."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from campaigns import retrying, snapshot, work
from campaigns.model import Campaign
from campaigns.plan import Plan, due_locally
from core.ids import uuid7
from store.database import Connection, Database
from tests.integration.campaigns.world import WORDS, World, with_words, world_test
from tests.integration.messages.emails import execute, rows

SLICE = 5


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def sliced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audience has many slices, and a turn is one for each."""
    monkeypatch.setattr(work, "TURN_SECONDS", 0.0)
    for name in ("SLICE", "FIRST_SLICE"):
        monkeypatch.setattr(snapshot, name, SLICE)
    monkeypatch.setattr(retrying, "SLICE", SLICE)
    monkeypatch.setattr(work, "SLICE", SLICE)


async def _people(world: World, many: int) -> None:
    for n in range(many):
        await world.person(f"u{n}@one.example")


async def _sending(world: World, **changes: Any) -> Campaign:
    campaign = await world.draft(**changes)
    await world.do("start", campaign)
    return campaign


async def _fixed(world: World, campaign: Campaign) -> Counter[str]:
    """To the end; how many are in which state."""
    while (await world.campaign(campaign)).fixed_at is None:
        await work.begin(world.database)
    return Counter((await world.states(campaign)).values())


async def _other_list(world: World) -> UUID:
    """With one person."""
    made = uuid7()
    await execute(
        world.database,
        "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'few')",
        [made, world.lane.application_id],
    )
    await execute(
        world.database,
        "INSERT INTO segment_members (segment_id, contact_id, status)"
        " SELECT %s, id, 'confirmed' FROM contacts ORDER BY id LIMIT 1",
        [made],
    )
    return made


@pytest.mark.usefixtures("sliced")
async def test_a_small_campaign_does_not_wait_for_the_audience_of_a_large_one(world: World) -> None:
    await _people(world, 8 * SLICE)
    large = await _sending(world)
    await work.begin(world.database)
    small = await _sending(world, segment_id=await _other_list(world))
    await work.begin(world.database)
    await world.send()

    assert await world.state(small) == "finished"
    assert (await world.campaign(large)).fixed_at is None
    assert (await _fixed(world, large)).total() == 8 * SLICE


@pytest.mark.usefixtures("sliced")
async def test_a_small_campaign_does_not_wait_for_the_end_of_a_large_one(world: World) -> None:
    await _people(world, 4 * SLICE)
    small, large = await _sending(world, segment_id=await _other_list(world)), await _sending(world)
    for campaign in (small, large):
        await _fixed(world, campaign)
        await world.do("cancel", campaign)
    await work.finish(world.database)

    assert set((await world.states(small)).values()) == {"cancelled"}
    assert Counter((await world.states(large)).values()) == {"waiting": 3 * SLICE, "cancelled": SLICE}
    for _ in range(5):
        await work.finish(world.database)
    assert await rows(world.database, "SELECT FROM halted_campaigns") == []
    assert set((await world.states(large)).values()) == {"cancelled"}


@pytest.mark.usefixtures("sliced")
async def test_who_joins_while_the_rows_are_made_is_not_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await _people(world, 2 * SLICE)
    known = await world.person("known@one.example")
    await execute(world.database, "DELETE FROM segment_members WHERE contact_id = %s", [known])
    campaign = await _sending(world)
    slices = snapshot.fix_slice

    async def joined(*given: Any) -> Any:
        made = await slices(*given)
        await world.person(f"late{uuid7()}@one.example")
        await execute(
            world.database,
            "INSERT INTO segment_members (segment_id, contact_id, status) VALUES (%s, %s, 'confirmed')"
            " ON CONFLICT DO NOTHING",
            [world.segment_id, known],
        )
        return made

    monkeypatch.setattr(snapshot, "fix_slice", joined)
    assert await _fixed(world, campaign) == {"waiting": 2 * SLICE}


async def test_who_was_being_written_down_when_it_began_is_in(world: World) -> None:
    await world.person("ann@one.example")
    async with world.database.transaction() as connection:
        await _join(world, connection, "bob@one.example")
        campaign = await _sending(world)
        await work.begin(world.database)
        assert await world.states(campaign) == {}, "it waits for them"
    await work.begin(world.database)
    assert set(await world.states(campaign)) == {"ann@one.example", "bob@one.example"}


async def test_a_transaction_without_end_holds_no_campaign_up(world: World) -> None:
    await world.person("ann@one.example")
    async with world.database.transaction() as connection:
        await connection.execute("SELECT 1")
        campaign = await _sending(world)
        await execute(world.database, "UPDATE campaigns SET started_at = now() - interval '6 seconds'")
        await execute(world.database, "UPDATE contacts SET created_at = created_at - interval '1 day'")
        await execute(world.database, "UPDATE segment_members SET added_at = added_at - interval '1 day'")
        await work.begin(world.database)
        assert await world.states(campaign) == {"ann@one.example": "waiting"}


async def _join(world: World, connection: Connection, address: str) -> None:
    identifier = uuid7()
    await connection.execute(
        "INSERT INTO contacts (id, application_id, address, email, status) VALUES (%s, %s, %s, %s, 'confirmed')",
        [identifier, world.lane.application_id, address, address],
    )
    await connection.execute(
        "INSERT INTO segment_members (segment_id, contact_id, status) VALUES (%s, %s, 'confirmed')",
        [world.segment_id, identifier],
    )


@pytest.mark.parametrize(
    ("local", "due"),
    [
        ("2034-10-29T02:30", "2034-10-29T00:30Z"),  # twice: the first
        ("2034-03-26T02:30", "2034-03-26T01:00Z"),  # never: when the clocks change
        ("2034-06-01T09:00", "2034-06-01T07:00Z"),
    ],
)
async def test_everybody_is_due_when_it_is_that_late_where_they_live(world: World, local: str, due: str) -> None:
    zones = {"ann": "Europe/Berlin", "bob": "Australia/Lord_Howe", "eve": None, "joe": "Mars/Olympus"}
    for name, zone in zones.items():
        contact = await world.person(f"{name}@one.example")
        await execute(world.database, "UPDATE contacts SET time_zone = %s WHERE id = %s", [zone, contact])
    at = datetime.fromisoformat(local)
    await world.started(WORDS, plan=Plan(local=at, zone="America/New_York"))
    found = await rows(
        world.database,
        "SELECT split_part(c.address, '@', 1), r.due_at FROM campaign_recipients r"
        " JOIN contacts c ON c.id = r.contact_id",
    )
    assert {name: moment.astimezone(UTC) for name, moment in found} == {
        "ann": datetime.fromisoformat(due),
        "bob": due_locally(at, "Australia/Lord_Howe"),
        "eve": due_locally(at, "America/New_York"),
        "joe": due_locally(at, "America/New_York"),
    }


async def test_one_that_failed_for_everybody_says_why(world: World) -> None:
    """Its only person with a name lost it after the start."""
    ann = await world.person("ann@one.example", first_name="Ann")
    await world.person("eve@one.example", "unconfirmed")
    campaign = await world.started(with_words(html="<p>{{ first_name }}</p>"))
    await execute(world.database, "UPDATE contacts SET first_name = NULL WHERE id = %s", [ann])
    await world.send()

    found = await world.campaign(campaign)
    assert (found.state, await world.states(campaign)) == (
        "finished", {"ann@one.example": "failed", "eve@one.example": "unconfirmed"},
    )  # fmt: skip
    assert (
        found.reason.startswith("nobody got it, all 1 failed: it cannot be rendered") and "first_name" in found.reason
    )
