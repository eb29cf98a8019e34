"""What befalls a pair of events while somebody else has it in hand."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from core.paging import Window
from store.database import Database
from tests.integration.messages.emails import APPLICATION, rows, until_somebody_waits
from tests.integration.webhooks.outbox import EACH, make_endpoint
from tests.integration.webhooks.test_pairs import BOTH, append, pair, shown
from webhooks import events, pairs, queue
from webhooks.events import Attempt, Which
from webhooks.health import Answer, Health
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent
from webhooks.queue import Due, Served, Tried

ALL: Window[UUID] = Window()
DAY = timedelta(days=1)


def served(endpoint: UUID) -> Served:
    return Served(endpoint, "https://shop.example/hook", APPLICATION, Health(None, 0))


def tried(event: Due, status: int = 200, text: str = "") -> Tried:
    now = datetime.now(UTC)
    return Tried(event, now, Answer(status, text, milliseconds=3), None if status < 300 else now + timedelta(minutes=5))


async def due(database: Database, endpoint: UUID) -> list[Due]:
    async with database.connection() as connection:
        found, _ = await queue.due(connection, endpoint, 100)
    return found


async def settle(database: Database, endpoint: UUID, told: Sequence[Tried]) -> None:
    async with database.transaction() as connection:
        await queue.settle(connection, served(endpoint), told)


async def replay(database: Database, endpoint: UUID, event: UUID) -> None:
    async with database.transaction() as connection:
        await events.replay(connection, endpoint, event)


async def tries(database: Database, endpoint: UUID) -> list[Sequence[Attempt]]:
    """At each event, oldest first."""
    found = (await shown(database, endpoint))[::-1]
    async with database.connection() as connection:
        return [(await events.attempts(connection, endpoint, one.id, ALL)).entries for one in found]


async def standing(database: Database, endpoint: UUID) -> list[tuple[str, str, int]]:
    """Type, state and tries of each row, oldest first."""
    told = "SELECT type, state, tries FROM webhook_events WHERE endpoint_id = %s ORDER BY id"
    return [(kind, state, tries) for kind, state, tries in await rows(database, told, [endpoint])]


@pytest.mark.parametrize("which", ["all", "unsent"])
async def test_a_range_that_is_replayed_meanwhile_takes_both(database: Database, which: Which) -> None:
    """Also the one that has become a row of its own while the replay waited."""
    endpoint = await make_endpoint(database)
    await append(database, pair("k"))
    first, second = await due(database, endpoint)
    differ = [tried(first, 200, "one"), tried(second, 200, "other")]
    now = datetime.now(UTC)

    async def replay_all() -> int:
        async with database.connection() as connection:
            return await events.replay_some(connection, endpoint, now - DAY, now + DAY, which)

    async with database.transaction() as connection:
        await queue.settle(connection, served(endpoint), differ if which == "all" else [tried(first, 400)])
        asked = asyncio.create_task(replay_all())
        await until_somebody_waits(database)
    assert await asked == 2
    assert await standing(database, endpoint) == [(kind, "pending", 0) for kind in BOTH]


async def test_what_is_replayed_takes_along_an_elder_that_is_parted_meanwhile(database: Database) -> None:
    endpoint = await make_endpoint(database)
    await append(database, pair("k"))
    first, _ = await due(database, endpoint)
    await append(database, OutboxEvent(EventType.EMAIL_CLICKED, APPLICATION, datetime.now(UTC), {}, "k"))
    click = (await shown(database, endpoint))[0]
    async with database.transaction() as connection:
        await queue.settle(connection, served(endpoint), [tried(first, 400)])
        asked = asyncio.create_task(replay(database, endpoint, click.id))
        await until_somebody_waits(database)
    await asked
    assert len(await due(database, endpoint)) == 3


@pytest.mark.parametrize("which", [0, 1])
async def test_one_that_is_replayed_while_both_are_settled_is_told_again(database: Database, which: int) -> None:
    endpoint = await make_endpoint(database)
    await append(database, pair("k"))
    told = await due(database, endpoint)
    chosen = (await shown(database, endpoint))[1 - which]
    async with database.transaction() as connection:
        await queue.settle(connection, served(endpoint), [tried(one) for one in told])
        asked = asyncio.create_task(replay(database, endpoint, chosen.id))
        await until_somebody_waits(database)
    await asked
    found = await standing(database, endpoint)
    assert [kind for kind, *_ in found] == BOTH
    assert found[which][1:] == ("pending", 0)
    assert found[1 - which][1:] == ("success", 1)


@pytest.mark.parametrize("which", [0, 1])
async def test_what_is_settled_while_one_is_replayed_stands_with_both(database: Database, which: int) -> None:
    """The replay asked for what was under way anyway."""
    endpoint = await make_endpoint(database)
    await append(database, pair("k"))
    told = await due(database, endpoint)
    chosen = (await shown(database, endpoint))[1 - which]
    async with database.transaction() as connection:
        await events.replay(connection, endpoint, chosen.id)
        settling = asyncio.create_task(settle(database, endpoint, [tried(one) for one in told]))
        await until_somebody_waits(database)
    await settling
    assert await standing(database, endpoint) == [(kind, "success", 1) for kind in BOTH]
    assert [len(one) for one in await tries(database, endpoint)] == [1, 1]


@pytest.mark.parametrize("status", [400, 503, 410])
@pytest.mark.parametrize("refused", [0, 1])
@pytest.mark.parametrize("first", [0, 1])
async def test_two_processes_that_told_the_same_pair_are_both_noted(
    database: Database, status: int, refused: int, first: int
) -> None:
    """The lease of one had run out: the other was refused one of both."""
    endpoint = await make_endpoint(database)
    await append(database, pair("k"))
    ahead, after = await due(database, endpoint)
    good = [tried(ahead), tried(after)]
    bad = [tried(ahead, status)] if refused == 0 else [tried(ahead), tried(after, status)]
    for told in [good, bad][:: -1 if first else 1]:
        await settle(database, endpoint, told)

    found = await standing(database, endpoint)
    assert [kind for kind, *_ in found] == BOTH
    if not first:
        assert {state for _, state, _ in found} == {"success"}
    assert [len(one) for one in await tries(database, endpoint)] == [2, 1 if refused == 0 else 2]


async def test_two_that_settle_the_same_pairs_at_once_are_both_noted(database: Database) -> None:
    endpoint = await make_endpoint(database)
    await append(database, *(pair(f"k{n}") for n in range(20)))
    told = await due(database, endpoint)
    assert len(told) == 40
    await asyncio.gather(*(settle(database, endpoint, [tried(one, 200, text) for one in told]) for text in ("a", "b")))
    found = await rows(database, f"SELECT type, state FROM {EACH} e")
    assert sorted(found) == sorted([(kind, "success") for kind in BOTH] * 20)
    for each in await tries(database, endpoint):
        assert sorted(one.response for one in each) == ["a", "b"]


async def test_each_event_has_one_id_at_all_endpoints_whichever_want_it(database: Database) -> None:
    """A program that hears through two of them drops what it knows by its id."""
    for wanted in (None, ["email.sent"], ["email.delivered"]):
        await make_endpoint(database, events=wanted)
    await append(database, pair("k"))
    found = await rows(database, f"SELECT id, array_agg(DISTINCT type), count(*) FROM {EACH} e GROUP BY id ORDER BY id")
    assert [row[1:] for row in found] == [([kind], 2) for kind in BOTH]


async def test_rows_of_before_are_no_pairs_whatever_their_ids(database: Database) -> None:
    """They may have even ids, and follow each other."""
    endpoint = await make_endpoint(database)
    await append(database, pair("a").parts[1], pair("b").parts[1])
    newest = (await shown(database, endpoint))[0]
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE webhook_events SET id = %s WHERE id <> %s", [pairs.id_ahead(newest.id), newest.id]
        )
        await pairs.part(connection, endpoint, [newest.id])
    found = await shown(database, endpoint)
    assert [one.type for one in found] == ["email.delivered"] * 2
    await replay(database, endpoint, found[1].id)
    async with database.connection() as connection:
        assert (await events.get(connection, endpoint, found[1].id)).summary.type == "email.delivered"
