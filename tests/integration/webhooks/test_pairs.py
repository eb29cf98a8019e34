"""What is told in one row is two events to whoever is told, looks, replays or listens."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from aiohttp import web

from core.paging import Window
from store.database import Connection, Database
from tests.integration.messages.emails import APPLICATION, rows
from tests.integration.webhooks.conftest import Post
from tests.integration.webhooks.outbox import make_endpoint, tell, told, types
from tests.integration.webhooks.receiver import Got, Receiver
from webhooks import events, listening, outbox, pairs, standing
from webhooks.events import EventSummary
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent, Pair
from webhooks.standing import Whose

ALL: Window[UUID] = Window()
DAY = timedelta(days=1)
AT = datetime(2026, 11, 30, tzinfo=UTC)
BOTH = ["email.sent", "email.delivered"]
ABOUT = {"email_id": "e", "subject": 'Größe, "recipient": 7 🎉', "tags": {"a": "b", "recipient": "x"}}
BEYOND = {"recipient": "jö@example.com", "code": 250}


def pair(key: str, kind: EventType = EventType.EMAIL_DELIVERED) -> Pair:
    return Pair(kind, APPLICATION, datetime.now(UTC), ABOUT, key, outbox.written(BEYOND))


async def append(database: Database, *told: OutboxEvent | Pair) -> None:
    async with database.transaction() as connection:
        await append_in(connection, *told)


async def append_in(connection: Connection, *told: OutboxEvent | Pair) -> None:
    alone = [one for one in told if isinstance(one, OutboxEvent)]
    await outbox.append_known(connection, alone, [one for one in told if isinstance(one, Pair)])


async def states(database: Database, endpoint: UUID) -> list[tuple[str, str]]:
    """What a list shows of each, oldest first."""
    async with database.connection() as connection:
        page = await events.page(connection, endpoint, ALL)
    return [(one.type, one.status) for one in page.entries[::-1]]


async def shown(database: Database, endpoint: UUID) -> Sequence[EventSummary]:
    async with database.connection() as connection:
        return (await events.page(connection, endpoint, ALL)).entries


def refuses(receiver: Receiver, kind: str, status: int = 400) -> None:
    receiver.answer = lambda got: web.Response(status=status if got.event["type"] == kind else 200)


# Written


async def test_a_pair_is_one_row_with_the_bodies_of_two(database: Database) -> None:
    endpoint = await make_endpoint(database)
    one = pair("k")
    await append(database, one)

    ahead, after = await told(database, endpoint)
    assert await rows(database, "SELECT count(*) FROM webhook_events") == [(1,)]
    assert ahead == {"type": "email.sent", "created_at": after["created_at"], "data": ABOUT}
    assert after == {"type": "email.delivered", "created_at": ahead["created_at"], "data": ABOUT | BEYOND}


@pytest.mark.parametrize("key", ["k", "ü"])
async def test_the_body_ahead_is_what_would_be_told_alone(database: Database, key: str) -> None:
    """Letter by letter, whoever makes it."""
    endpoint = await make_endpoint(database)
    one = pair(key)
    await append(database, one)
    ((payload, ahead, in_sql),) = await rows(
        database, "SELECT payload, ahead, webhook_body_ahead(type, payload, ahead) FROM webhook_events"
    )
    first, second = map(outbox.payload, one.parts)

    assert (in_sql.encode(), payload.encode()) == (first, second)
    assert pairs.body_ahead(payload.encode(), ahead) == first
    assert [one.id for one in await shown(database, endpoint)][1].int & 1 == 0


async def test_who_wants_one_of_both_is_told_of_that_alone(database: Database) -> None:
    both, after = await make_endpoint(database), await make_endpoint(database, events=["email.delivered"])
    ahead = await make_endpoint(database, events=["email.opened", "email.sent"])
    neither = await make_endpoint(database, events=["email.opened"])
    await append(database, pair("k"))

    assert await types(database, both) == BOTH
    assert await types(database, after) == ["email.delivered"]
    assert await types(database, ahead) == ["email.sent"]
    assert await types(database, neither) == []
    assert (await told(database, both))[0] == (await told(database, ahead))[0]


async def test_that_it_was_sent_is_told_once_and_what_follows_is_told_all_the_same(database: Database) -> None:
    """A mail that was tried before its worker was killed; others of the batch lose nothing by it."""
    endpoint = await make_endpoint(database)
    await append(database, pair("a").parts[0])
    await append(database, pair("a"), pair("b"))
    await append(database, pair("b", EventType.EMAIL_BOUNCED))

    assert await types(database, endpoint) == ["email.sent", "email.delivered", *BOTH, "email.bounced"]


async def test_what_a_transaction_does_besides_stays_when_pairs_are_written_apart(database: Database) -> None:
    """Before and behind."""
    endpoint = await make_endpoint(database)
    await append(database, pair("b"))
    async with database.transaction() as connection:
        await append_in(connection, pair("a"))
        await append_in(connection, pair("b"), pair("c"), OutboxEvent(EventType.EMAIL_OPENED, APPLICATION, AT, {}, "c"))
        await append_in(connection, pair("d"))

    assert await types(database, endpoint) == [*BOTH, *BOTH, "email.delivered", *BOTH, "email.opened", *BOTH]


async def test_writers_that_tell_of_the_same_lose_nothing(database: Database) -> None:
    endpoint = await make_endpoint(database)
    keys = [f"{n:02}" for n in range(40)]
    await asyncio.gather(*(append(database, *map(pair, order)) for order in (keys, keys[::-1], keys[20:] + keys[:20])))

    found = await types(database, endpoint)
    assert (found.count("email.sent"), found.count("email.delivered")) == (40, 120)


# Sent


async def test_both_are_sent_in_order_and_their_row_keeps_both_attempts(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await append(post.database, pair("k"))
    await post.deliverer.drain()

    after, ahead = await shown(post.database, endpoint.id)
    assert receiver.types == BOTH
    assert [got.headers["webhook-id"] for got in receiver.got] == [str(ahead.id), str(after.id)]
    assert await states(post.database, endpoint.id) == [(kind, "success") for kind in BOTH]
    assert await rows(post.database, "SELECT count(*) FROM webhook_attempts") == [(0,)]
    async with post.database.connection() as connection:
        details = [await events.get(connection, endpoint.id, one.id) for one in (ahead, after)]
        tries = [(await events.attempts(connection, endpoint.id, one.id, ALL)).entries for one in (ahead, after)]
    assert [one.body.encode() for one in details] == [got.body for got in receiver.got]
    assert [[(one.status, one.url) for one in each] for each in tries] == [[(200, receiver.url)]] * 2
    assert tries[0][0].sent_at < tries[1][0].sent_at


@pytest.mark.parametrize("refused", BOTH)
@pytest.mark.parametrize("status", [400, 503])
async def test_one_that_is_refused_is_tried_again_by_itself_and_in_order(
    post: Post, receiver: Receiver, refused: str, status: int
) -> None:
    endpoint, _ = await post.endpoint(receiver)
    refuses(receiver, refused, status)
    await append(post.database, pair("k"))
    await post.deliverer.drain()
    expected = {"email.sent": ["attempting", "pending"], "email.delivered": ["success", "attempting"]}
    assert [status for _, status in await states(post.database, endpoint.id)] == expected[refused]

    before = len(receiver.got)
    receiver.says(200)
    await post.pass_time(endpoint.id, timedelta(seconds=60))
    await post.deliverer.drain()
    assert receiver.types[before:] == (BOTH if refused == "email.sent" else ["email.delivered"])
    assert await states(post.database, endpoint.id) == [(kind, "success") for kind in BOTH]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2
    assert len({(got.headers["webhook-id"], got.body) for got in receiver.got}) == 2


async def test_answers_that_differ_are_kept_apart(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.answer = lambda got: web.Response(status=200, text=got.event["type"])
    await append(post.database, pair("k"))
    await post.deliverer.drain()

    found = await shown(post.database, endpoint.id)
    async with post.database.connection() as connection:
        tries = [(await events.attempts(connection, endpoint.id, one.id, ALL)).entries for one in found]
    assert [[one.response for one in each] for each in tries] == [["email.delivered"], ["email.sent"]]


async def test_a_pair_that_somebody_replays_while_it_is_sent_is_sent_again_as_asked(
    post: Post, receiver: Receiver
) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await append(post.database, pair("k"))
    ahead = (await shown(post.database, endpoint.id))[1]

    async def answer(got: Got) -> web.Response:
        if len(receiver.got) == 1:
            async with post.database.transaction() as connection:
                await events.replay(connection, endpoint.id, ahead.id)
        return web.Response()

    receiver.answer = answer
    await post.deliverer.drain()
    assert receiver.types[:2] == BOTH
    assert set(receiver.types[2:]) <= set(BOTH)
    assert await states(post.database, endpoint.id) == [(kind, "success") for kind in BOTH]


# Looked at


@pytest.mark.parametrize("limit", [None, 1, 2, 3, 5])
async def test_a_list_shows_each_once_wherever_a_page_ends(database: Database, limit: int | None) -> None:
    endpoint = await make_endpoint(database)
    for n in range(4):
        await append(database, pair(f"a{n}"), pair(f"b{n}"))
        await tell(database, "alone")
    whole = list(await shown(database, endpoint))
    down, up = list[EventSummary](), list[EventSummary]()
    async with database.connection() as connection:
        while True:
            page = await events.page(connection, endpoint, Window(limit, after=down[-1].id if down else None))
            down += page.entries
            if not page.has_more:
                break
        while True:
            page = await events.page(connection, endpoint, Window(limit, before=up[0].id if up else whole[-1].id))
            up = [*page.entries, *up]
            if not page.has_more:
                break

    assert [one.type for one in whole[::-1]] == [*BOTH, *BOTH, "email.opened"] * 4
    assert whole == sorted(whole, key=lambda one: one.id, reverse=True)
    assert down == whole
    assert up == whole[:-1]


async def test_an_unknown_id_beside_an_event_is_no_event(database: Database) -> None:
    endpoint = await make_endpoint(database)
    await tell(database, "alone")
    (one,) = await shown(database, endpoint)
    async with database.connection() as connection:
        with pytest.raises(Exception, match="there is no event"):
            await events.get(connection, endpoint, pairs.id_ahead(one.id))


async def test_both_are_counted(database: Database) -> None:
    endpoint = await make_endpoint(database)
    await append(database, pair("a"))
    await tell(database, "alone")
    now = datetime.now(UTC)
    async with database.connection() as connection:
        assert (await standing.get(connection, endpoint)).waiting == 3
        assert (await standing.tally(connection, Whose())).waiting == 3
        assert await standing.count(connection, endpoint, now - DAY, now + DAY, "all") == 3


# Replayed


@pytest.mark.parametrize("which", [0, 1])
async def test_one_of_both_is_replayed_by_itself(post: Post, receiver: Receiver, which: int) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await append(post.database, pair("k"))
    await post.deliverer.drain()
    chosen = (await shown(post.database, endpoint.id))[1 - which]
    async with post.database.transaction() as connection:
        await events.replay(connection, endpoint.id, chosen.id)
    await post.deliverer.drain()

    assert receiver.types == [*BOTH, BOTH[which]]
    assert receiver.got[2].headers["webhook-id"] == str(chosen.id)
    assert receiver.got[2].body == receiver.got[which].body
    async with post.database.connection() as connection:
        tries = (await events.attempts(connection, endpoint.id, chosen.id, ALL)).entries
        others = [one for one in await shown(post.database, endpoint.id) if one.id != chosen.id]
        other = (await events.attempts(connection, endpoint.id, others[0].id, ALL)).entries
    assert (len(tries), len(other)) == (2, 1)


async def test_a_range_replays_both_and_counts_both(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await append(post.database, pair("a"), pair("b"))
    await post.deliverer.drain()
    now = datetime.now(UTC)
    async with post.database.connection() as connection:
        assert await events.replay_some(connection, endpoint.id, now - DAY, now + DAY, "all") == 4
    await post.deliverer.drain()

    assert sorted(got.headers["webhook-id"] for got in receiver.got[:4]) == sorted(
        got.headers["webhook-id"] for got in receiver.got[4:]
    )
    for one in await shown(post.database, endpoint.id):
        async with post.database.connection() as connection:
            assert len((await events.attempts(connection, endpoint.id, one.id, ALL)).entries) == 2


# Listened to


async def test_a_listener_hears_both(database: Database) -> None:
    await make_endpoint(database, events=[])
    async with database.transaction() as connection:
        listener = await listening.begin(connection, APPLICATION, None)
    await append(database, pair("k"))
    async with database.transaction() as connection:
        heard = await listening.fetch(connection, listener)
    await append(database, pair("k", EventType.EMAIL_BOUNCED))
    async with database.transaction() as connection:
        later = await listening.fetch(connection, listener)

    assert [(one.type, dict(one.data)) for one in heard] == [("email.sent", ABOUT), ("email.delivered", ABOUT | BEYOND)]
    assert [one.type for one in later] == ["email.bounced"]
