"""What recipients chose, in the claim: marketing mail alone, one application's alone, and felt by mail that waits."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from audience import choices
from audience.predicate import LEFT, NOT_ASKED_FOR, PAUSED
from audience.topics import Subscription, Topic, default_of
from core.ids import uuid7
from core.queues import Lane
from messages import claim
from messages.accept import Acceptor
from messages.model import MessageRef, NewEmail
from store.database import Database
from tests.integration.audience.people import LINK, choose, person, topic
from tests.integration.messages.emails import APPLICATION, execute, new_email, refs, rows, store, submission

WORKER = uuid7()
LEASE = timedelta(seconds=60)
ANN, BOB = "ann@example.com", "bob@example.com"
OUT, IN = Subscription.OPT_OUT, Subscription.OPT_IN


def marketing(*addresses: str, of: Topic | None = None, **changes: Any) -> NewEmail:
    return new_email(*addresses, **{"lane": Lane.MARKETING, "topic_id": of and of.id, **changes})


async def reasons(database: Database, lane: Lane = Lane.MARKETING) -> dict[str, str | None]:
    """By address, why what was claimed now may not leave."""
    async with database.connection() as connection:
        claimed, _ = await claim.claim(connection, lane, ["example.com"], WORKER, 100, LEASE)
    return {message.address: message.suppressed for message in claimed}


async def test_who_left_a_topic_gets_no_mail_of_it(database: Database) -> None:
    news = await topic(database)
    await store(database, marketing(ANN, BOB, of=news))
    await choose(database, person(ANN), news, OUT)

    assert await reasons(database) == {ANN: LEFT, BOB: None}


async def test_other_topics_and_other_applications_go_on(database: Database) -> None:
    news, offers = await topic(database, "News"), await topic(database, "Offers")
    await choose(database, person(ANN), news, OUT)
    await store(database, marketing(ANN, of=offers))
    assert await reasons(database) == {ANN: None}
    await store(database, marketing(BOB, of=news), marketing(ANN, of=news, application_id=UUID(int=9)))

    assert await reasons(database) == {ANN: None, BOB: None}


async def test_a_topic_that_asks_first_needs_a_yes(database: Database) -> None:
    asks = await topic(database, default=OUT)
    await choose(database, person(BOB), asks, IN)
    await store(database, marketing(ANN, BOB, of=asks))

    assert await reasons(database) == {ANN: NOT_ASKED_FOR, BOB: None}


async def test_a_pause_stops_all_topics_until_its_end(database: Database) -> None:
    news = await topic(database)
    async with database.transaction() as connection:
        await choices.pause(connection, person(ANN), datetime.now(UTC) + timedelta(days=30), LINK)
        await choices.pause(connection, person(BOB), datetime.now(UTC) - timedelta(seconds=1), LINK)
    await store(database, marketing(ANN, BOB, of=news), marketing("old@example.com"))

    assert await reasons(database) == {ANN: PAUSED, BOB: None, "old@example.com": None}


async def test_transactional_mail_is_never_stopped_by_choices(database: Database) -> None:
    asks = await topic(database, default=OUT)
    await choose(database, person(ANN), asks, OUT)
    async with database.transaction() as connection:
        await choices.pause(connection, person(ANN), datetime.now(UTC) + timedelta(days=30), LINK)
    await store(database, new_email(ANN, topic_id=asks.id))

    assert await reasons(database, Lane.TRANSACTIONAL) == {ANN: None}


async def test_a_choice_is_felt_right_before_sending(database: Database) -> None:
    news = await topic(database)
    email = marketing(ANN, BOB, of=news)
    await store(database, email)
    assert await reasons(database) == {ANN: None, BOB: None}
    await choose(database, person(ANN), news, OUT)
    async with database.connection() as connection:
        left = await claim.still_sendable(connection, refs(email), WORKER)

    assert left == {MessageRef(email.id, 1)}


async def test_mail_of_a_deleted_topic_is_still_ruled_by_it(database: Database) -> None:
    asks = await topic(database, default=OUT)
    await store(database, marketing(ANN, of=asks))
    await execute(database, "UPDATE topics SET deleted_at = now()")

    assert await reasons(database) == {ANN: NOT_ASKED_FOR}


async def test_a_suppression_is_named_before_a_choice(database: Database) -> None:
    news = await topic(database)
    await choose(database, person(ANN), news, OUT)
    await store(database, marketing(ANN, of=news))
    await execute(
        database,
        "INSERT INTO suppressions (id, address, scope, reason, source) VALUES (%s, %s, 'all', 'complaint', 'api')",
        [uuid7(), ANN],
    )

    assert await reasons(database) == {ANN: "complaint"}


async def test_choices_written_while_mail_is_claimed_are_never_missed(database: Database) -> None:
    """Every claim answers as if it came wholly before or wholly after the choice; once that is committed, none misses
    it."""
    news = await topic(database)
    people = [f"p{n}@example.com" for n in range(60)]
    await store(database, *(marketing(one, of=news) for one in people))
    refused: set[str] = set()

    async def choosing() -> None:
        for one in people[::2]:
            await choose(database, person(one), news, OUT)

    async def claiming() -> None:
        async with database.connection() as connection:
            while len(refused) < 10:
                claimed, _ = await claim.claim(connection, Lane.MARKETING, ["example.com"], WORKER, 7, LEASE)
                refused.update(message.address for message in claimed if message.suppressed)
                await execute(database, "UPDATE delivery_queue SET due_at = now() - interval '1 s'")

    async with asyncio.timeout(60):
        await asyncio.gather(choosing(), claiming())
    assert refused <= set(people[::2])
    await execute(database, "UPDATE delivery_queue SET due_at = now() - interval '1 s', claimed_by = NULL")
    found = await reasons(database)

    assert {one for one, reason in found.items() if reason == LEFT} == set(people[::2])


# The default topic


async def test_marketing_mail_without_a_topic_is_of_the_default_one(database: Database) -> None:
    acceptor = Acceptor(database, lambda _lane, _destinations, _leaves: None)
    await acceptor.start()
    plain, own = marketing(ANN), marketing(BOB, of=await topic(database))
    receipt = new_email("c@example.com")
    try:
        await acceptor.accept(submission(plain, own, receipt))
        await acceptor.accept(submission(again := marketing(ANN)))
    finally:
        await acceptor.stop()
    async with database.connection() as connection:
        default = await default_of(connection, APPLICATION)
    found = dict(await rows(database, "SELECT id, topic_id FROM emails"))
    queued = dict(await rows(database, "SELECT email_id, topic_id FROM delivery_queue"))

    assert found == queued == {plain.id: default, own.id: own.topic_id, receipt.id: None, again.id: default}
    assert await rows(database, "SELECT name, default_subscription, visibility FROM topics WHERE is_default") == [
        ("News and offers", "opt_in", "public")
    ]


async def test_a_default_topic_is_made_once_by_many_at_once(database: Database) -> None:
    async def ask() -> UUID:
        async with database.connection() as connection:
            return await default_of(connection, APPLICATION)

    found = await asyncio.gather(*(ask() for _ in range(8)))

    assert len(set(found)) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_history_keeps_each_act_once(database: Database, times: int) -> None:
    news = await topic(database)
    new = [await choose(database, person(ANN), news, OUT) for _ in range(times)]
    async with database.connection() as connection:
        past = await choices.history(connection, person(ANN))

    assert new == [True] + [False] * (times - 1)
    assert [(one.what, one.source, one.ip, one.topic_id) for one in past.entries] == [
        ("opt_out", "link", "203.0.113.9", news.id)
    ]
