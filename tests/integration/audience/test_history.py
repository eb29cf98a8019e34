"""The history of choices: brought along once, bounded, and cleared of what is long gone."""

import asyncio
from datetime import UTC, datetime

import pytest

from audience import choices, topics
from audience.choices import Act, MoveStands, Source
from audience.topics import Subscription
from messages import choosing
from store.database import Database
from tests.integration.audience.people import LINK, choose, person, topic
from tests.integration.messages.emails import APPLICATION, execute, rows

ANN = "ann@example.com"


async def move(database: Database, who: choices.Person, to: str) -> None:
    async with database.transaction() as connection:
        await choosing.move(connection, who, to, LINK)


async def past_of(database: Database, address: str) -> list[choices.Past]:
    async with database.connection() as connection:
        return list((await choices.history(connection, person(address))).entries)


async def test_moving_there_and_back_brings_what_is_missing(database: Database) -> None:
    """The history doubled with each move back: twenty of them filled a disk."""
    news = await topic(database)
    await choose(database, person(ANN), news, Subscription.OPT_OUT)
    counts = []
    for _ in range(4):
        await move(database, person(ANN), "new@example.com")
        await move(database, person("new@example.com"), ANN)
        counts.append(len(await past_of(database, ANN)))
    told = [one for one in await past_of(database, ANN) if one.what == "opt_out"]

    assert len(told) == 1
    assert counts[3] - counts[2] == counts[1] - counts[0] < 20


@pytest.mark.parametrize("leaves", [True, False])
async def test_only_who_left_it_by_moving_comes_back_by_their_applications_word(
    database: Database, leaves: bool
) -> None:
    """That the mail goes elsewhere ends with a move back; that somebody wants no more of it does not."""
    await move(database, person(ANN), "new@example.com")
    async with database.transaction() as connection:
        left = [await choosing.leave_all(connection, person(ANN), LINK) for _ in range(2)] if leaves else []
    async with database.transaction() as connection:
        await choosing.move(connection, person("new@example.com"), ANN, Act(Source.API))
        off = (await choosing.standing(connection, person(ANN))).off

    assert left == ([True, False] if leaves else []), "said once more it is nothing new"
    assert off is leaves


async def test_the_history_of_a_person_has_an_end(database: Database) -> None:
    news, other = await topic(database), await topic(database, "Other")
    await choose(database, person(ANN), other, Subscription.OPT_IN)
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO choice_history (address, application_id, topic_id, what, source)"
            " SELECT %s, %s, %s, CASE n %% 2 WHEN 0 THEN 'opt_in' ELSE 'opt_out' END, 'link'"
            " FROM generate_series(1, 1500) n",
            [ANN, APPLICATION, news.id],
        )
    await choose(database, person(ANN), news, Subscription.OPT_OUT)
    async with database.connection() as connection:
        (kept,) = await (await connection.execute("SELECT count(*) FROM choice_history")).fetchone() or (0,)
        first = await (await connection.execute("SELECT topic_id FROM choice_history ORDER BY id LIMIT 1")).fetchone()

    assert kept == choices.KEPT + 1  # the only word about the other topic stays
    assert first == (other.id,)


async def test_what_was_chosen_about_a_topic_that_is_long_gone_goes(database: Database) -> None:
    news = await topic(database)
    await choose(database, person(ANN), news, Subscription.OPT_OUT)
    async with database.transaction() as connection:
        await topics.delete(connection, APPLICATION, news.id)
        await topics.forget_deleted(connection)
    assert len(await rows(database, "SELECT 1 FROM choices")) == 1
    await execute(database, "UPDATE topics SET deleted_at = now() - interval '41 days'")
    async with database.transaction() as connection:
        await topics.forget_deleted(connection)

    assert await rows(database, "SELECT 1 FROM choices") == await rows(database, "SELECT 1 FROM topics") == []
    assert len(await past_of(database, ANN)) == 1


async def test_wishes_to_move_are_counted_one_after_the_other(database: Database) -> None:
    """Two at once each saw the count before the other, and both sent a mail to a third person."""
    key = f"{APPLICATION} {ANN}"
    async with database.transaction() as first, database.transaction() as second:
        assert await choices.asked_lately(first, person(ANN)) == 0
        cursor = await second.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        assert await cursor.fetchone() == (False,)


async def test_who_moves_decides_for_both_addresses_alone(database: Database) -> None:
    """Two who moved across each held their own address and waited for the other's."""
    bob = person("bob@example.com")
    now = datetime.now(UTC)
    async with database.transaction() as first, database.transaction() as second:
        assert await choices.move_stands(first, bob, ANN, now) is MoveStands.FORGOTTEN, "nobody asked for it"
        for address in (ANN, bob.address):
            key = f"{APPLICATION} {address}"
            cursor = await second.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [key])
            assert await cursor.fetchone() == (False,)


async def test_two_who_move_across_each_other_both_arrive(database: Database) -> None:
    async def cross(who: str, to: str) -> None:
        async with database.transaction() as connection:
            assert await choices.move_stands(connection, person(who), to, datetime.now(UTC)) is not MoveStands.DONE
            await choosing.move(connection, person(who), to, LINK)

    for _ in range(5):
        await asyncio.gather(cross(ANN, "bob@example.com"), cross("bob@example.com", ANN))
