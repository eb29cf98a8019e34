"""Events of one email arrive in the order they were written in, whatever happens between."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from aiohttp import web

from core.paging import Window
from tests.integration.messages.emails import APPLICATION, execute
from tests.integration.webhooks.conftest import Post
from tests.integration.webhooks.outbox import names, tell
from tests.integration.webhooks.receiver import Got, Receiver
from webhooks import endpoints, events

ALL: Window[UUID] = Window()
DAY = timedelta(days=1)


async def test_events_of_one_email_arrive_in_order_and_wait_for_each_other(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.answer = lambda got: web.Response(
        status=400 if got.event["data"]["n"] == "a1" and len(receiver.got) < 4 else 200
    )
    await tell(post.database, "a1", "a2", key="a")
    await tell(post.database, "b1", "b2", key="b")
    await post.deliverer.drain()
    assert names(receiver) == ["a1", "b1", "b2"]

    await tell(post.database, "a3", key="a")  # comes while its elder waits
    await post.deliverer.drain()
    assert names(receiver) == ["a1", "b1", "b2"]

    await post.pass_time(endpoint.id, timedelta(seconds=6))
    await post.deliverer.drain()
    assert names(receiver) == ["a1", "b1", "b2", "a1", "a2", "a3"]


@pytest.mark.parametrize("replayed", [False, True])
async def test_the_order_of_an_email_outlives_an_outage(post: Post, receiver: Receiver, replayed: bool) -> None:
    """Also when the endpoint is in trouble all the time, so that nothing that follows is put behind its elder."""
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(503)
    await tell(post.database, "a1", "a2", key="a")
    await tell(post.database, "b1", key="b")
    for _ in range(2):
        await post.deliverer.drain()
        await post.pass_time(endpoint.id, timedelta(seconds=2))
    receiver.says(200)
    if replayed:
        now = datetime.now(UTC)
        async with post.database.connection() as connection:
            await events.replay_some(connection, endpoint.id, now - DAY, now + DAY, "unsent")
    await post.pass_time(endpoint.id, timedelta(seconds=10))
    await post.deliverer.drain()
    told = [one.event["data"]["n"] for one in receiver.got[2:]]
    assert sorted(told) == ["a1", "a2", "b1"]
    assert told.index("a1") < told.index("a2")


async def test_what_is_written_while_an_elder_is_overdue_does_not_overtake(post: Post, receiver: Receiver) -> None:
    """The endpoint rested for longer than the elder had to wait, so that what follows was not put behind it."""
    await post.endpoint(receiver)
    await tell(post.database, "x")
    await tell(post.database, "a1", "a2", key="a")
    for name, seconds, tries in (("x", 20, 0), ("a1", 1, 1), ("a2", 10, 0)):
        await execute(
            post.database,
            "UPDATE webhook_events SET due_at = now() - %s, tries = %s WHERE payload::jsonb #>> '{data,n}' = %s",
            [timedelta(seconds=seconds), tries, name],
        )
    await tell(post.database, "a3", key="a")
    await post.deliverer.drain()

    assert names(receiver) == ["x", "a1", "a2", "a3"]


async def test_what_was_put_behind_an_elder_is_not_overtaken_once_that_is_done_with(
    post: Post, receiver: Receiver
) -> None:
    """By what was written before the elder's time had come, while the endpoint rested."""
    endpoint, _ = await post.endpoint(receiver)

    async def switched(status: endpoints.Status) -> None:
        async with post.database.connection() as connection:
            await endpoints.change(connection, APPLICATION, endpoint.id, endpoints.Change(status=status))

    async def off(_: Got) -> web.StreamResponse:
        await switched("disabled")
        return web.Response()

    receiver.answer = off
    await tell(post.database, "a1", "a2", "a3", key="a")
    for name, seconds, tries in (("a1", 5, 1), ("a2", 5, 0), ("a3", 8, 0)):
        await execute(
            post.database,
            "UPDATE webhook_events SET due_at = date_trunc('minute', now()) - %s, tries = %s"
            " WHERE payload::jsonb #>> '{data,n}' = %s",
            [timedelta(seconds=seconds), tries, name],
        )
    await post.deliverer.drain()
    receiver.says(200)
    await switched("enabled")
    await post.deliverer.drain()

    assert names(receiver) == ["a1", "a2", "a3"]


@pytest.mark.parametrize("many", [False, True])
async def test_what_waits_is_not_put_back_by_a_replay(post: Post, receiver: Receiver, many: bool) -> None:
    endpoint, _ = await post.endpoint(receiver)
    for name in ("first", "second"):
        await tell(post.database, name, key=name)
    async with post.database.connection() as connection:
        waiting = (await events.page(connection, endpoint.id, ALL)).entries
        if many:
            now = datetime.now(UTC)
            first = min(one.created_at for one in waiting)
            assert await events.replay_some(connection, endpoint.id, first - DAY, now + DAY, "unsent") == 2
            assert await events.replay_some(connection, endpoint.id, now - DAY, now + DAY, "failed") == 0
        await events.replay(connection, endpoint.id, min(one.id for one in waiting))
        after = (await events.page(connection, endpoint.id, ALL)).entries
    assert [one.next_attempt_at for one in after] == [one.next_attempt_at for one in waiting]
    await post.deliverer.drain()
    assert names(receiver) == ["first", "second"]


@pytest.mark.parametrize("one", [True, False])
async def test_a_replay_keeps_the_order_of_an_email(post: Post, receiver: Receiver, one: bool) -> None:
    """What waits behind it has been due for longer, and still comes after it."""
    endpoint, _ = await post.endpoint(receiver)
    await tell(post.database, "a1", key="a")
    await execute(post.database, "UPDATE webhook_events SET state = 'failed', tries = 10")
    await tell(post.database, "a2", "a3", key="a")
    async with post.database.connection() as connection:
        if one:
            (failed,) = (await events.page(connection, endpoint.id, ALL, "failed")).entries
            await events.replay(connection, endpoint.id, failed.id)
        else:
            now = datetime.now(UTC)
            assert await events.replay_some(connection, endpoint.id, now - DAY, now + DAY, "failed") == 1
    await post.deliverer.drain()
    assert names(receiver) == ["a1", "a2", "a3"]


async def test_a_replayed_event_takes_its_elders_along(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(404)
    await tell(post.database, "a1", "a2", key="a")
    await post.deliverer.drain()
    receiver.says(200)
    async with post.database.connection() as connection:
        second, _ = (await events.page(connection, endpoint.id, ALL)).entries
        await events.replay(connection, endpoint.id, second.id)
    await post.deliverer.drain()
    assert names(receiver) == ["a1", "a1", "a2"]
