"""Events reach their endpoints: signed, again and again, each endpoint by itself."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from psycopg import AsyncConnection
from standardwebhooks import Webhook

from core.paging import Window
from store.database import Database
from tests.databases import cut_off_at
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.integration.webhooks.conftest import SECRET, Post, make_deliverer
from tests.integration.webhooks.outbox import make_endpoint, names, tell
from tests.integration.webhooks.receiver import Got, Receiver, receiving
from webhooks import delivery, endpoints, events, outbox, queue
from webhooks.budgets import Budget
from webhooks.endpoints import Change
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

ALL: Window[UUID] = Window()
DAY = timedelta(days=1)


async def states(database: Database, endpoint: UUID) -> list[tuple[str, int]]:
    return await rows(
        database, "SELECT state, tries::int FROM webhook_events WHERE endpoint_id = %s ORDER BY id", [endpoint]
    )


async def stored(database: Database, endpoint: UUID) -> endpoints.Endpoint:
    async with database.connection() as connection:
        return await endpoints.get(connection, APPLICATION, endpoint)


async def test_an_event_arrives_signed_under_both_names(post: Post, receiver: Receiver) -> None:
    endpoint, secret = await post.endpoint(receiver)
    await tell(post.database, "a")
    await post.deliverer.drain()
    (got,) = receiver.got

    for family in ("webhook", "svix"):
        headers = {f"webhook-{part}": got.headers[f"{family}-{part}"] for part in ("id", "timestamp", "signature")}
        assert Webhook(secret).verify(got.body, headers) == got.event
    assert got.headers["content-type"] == "application/json"
    async with post.database.connection() as connection:
        (event,) = (await events.page(connection, endpoint.id, ALL)).entries
        (attempt,) = (await events.attempts(connection, endpoint.id, event.id, ALL)).entries
        detail = await events.get(connection, endpoint.id, event.id)
    assert str(event.id) == got.headers["webhook-id"]
    assert (event.status, event.next_attempt_at, detail.payload) == ("success", None, got.event)
    assert (attempt.status, attempt.url, attempt.error) == (200, receiver.url, "")


async def test_both_secrets_sign_while_one_is_replaced(post: Post, receiver: Receiver) -> None:
    endpoint, old = await post.endpoint(receiver)
    async with post.database.transaction() as connection:
        new = await endpoints.rotate(connection, SECRET, APPLICATION, endpoint.id)
    await tell(post.database, "a")
    await post.deliverer.drain()
    await execute(post.database, "UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
    await tell(post.database, "b")
    await post.deliverer.drain()
    during, afterwards = receiver.got

    assert Webhook(old).verify(during.body, during.headers) == Webhook(new).verify(during.body, during.headers)
    assert Webhook(new).verify(afterwards.body, afterwards.headers)
    assert len(afterwards.headers["webhook-signature"].split()) == 1


async def test_many_events_of_one_email_are_written_down_when_the_turn_is_over(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a slow endpoint took would be sent again after a kill, hours of it."""
    written: list[int] = []
    settle = queue.settle

    async def counted(connection: Any, served: queue.Served, tried: Sequence[queue.Tried]) -> None:
        written.append(len(tried))
        await settle(connection, served, tried)

    monkeypatch.setattr(queue, "settle", counted)
    monkeypatch.setattr(delivery, "TURN_SECONDS", 0.0)
    await post.endpoint(receiver)
    await tell(post.database, *"abcde", key="one")
    await post.deliverer.drain()

    assert names(receiver) == [*"abcde"]
    assert written == [1] * 5


async def test_many_events_arrive_side_by_side_and_within_bounds(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    for first in range(0, 450, 50):
        await tell(post.database, *(str(n) for n in range(first, first + 50)), key="")
    await post.deliverer.drain()

    assert sorted(map(int, names(receiver))) == list(range(450))
    assert receiver.most_under_way <= 20
    assert {state for state, _ in await states(post.database, endpoint.id)} == {"success"}


async def test_each_request_is_counted_for_prometheus(post: Post, receiver: Receiver) -> None:
    def counted() -> list[float]:
        names = (
            ("attempts_total", {"result": "taken"}), ("attempts_total", {"result": "422"}),
            ("seconds_count", {}), ("seconds_bucket", {"le": "+Inf"}),
        )  # fmt: skip
        return [REGISTRY.get_sample_value(f"postlane_webhook_{name}", labels) or 0.0 for name, labels in names]

    await post.endpoint(receiver)
    before = counted()
    await tell(post.database, *"abc")
    await post.deliverer.drain()
    receiver.says(422)
    await tell(post.database, "d")
    await post.deliverer.drain()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [3, 1, 4, 4]


async def test_one_that_fails_is_asked_with_one_event_until_it_is_back(post: Post, receiver: Receiver) -> None:
    """An outage costs few events their tries, and all arrive once it is over."""
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(503)
    await tell(post.database, *map(str, range(50)))
    for _ in range(4):
        await post.deliverer.drain()
        await post.pass_time(endpoint.id, timedelta(minutes=1))
    assert len(receiver.got) == 4
    assert (await stored(post.database, endpoint.id)).failing_since is not None

    receiver.says(204)
    await post.pass_time(endpoint.id, timedelta(minutes=6))
    await post.deliverer.drain()
    assert sorted(set(names(receiver)), key=int) == [str(n) for n in range(50)]
    assert len(receiver.got) <= 50 + 4
    assert (await stored(post.database, endpoint.id)).failing_since is None


async def test_retry_after_is_obeyed_by_event_and_endpoint(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(429, **{"Retry-After": "3600"})
    await tell(post.database, "a", "b")
    await post.deliverer.drain()
    receiver.says(200)
    await post.pass_time(endpoint.id, timedelta(minutes=59))
    await post.deliverer.drain()
    assert names(receiver) == ["a"]

    await post.pass_time(endpoint.id, timedelta(minutes=1))
    await post.deliverer.drain()
    assert sorted(names(receiver)) == ["a", "a", "b"]


async def test_ten_tries_then_it_has_failed_and_can_be_replayed(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(404)
    await tell(post.database, "a")
    for _ in range(12):
        await post.deliverer.drain()
        await post.pass_time(endpoint.id, timedelta(hours=30))
        await execute(post.database, "UPDATE webhook_endpoints SET failing_since = now()")
    assert len(receiver.got) == 10
    assert await states(post.database, endpoint.id) == [("failed", 10)]

    receiver.says(200)
    async with post.database.connection() as connection:
        (event,) = (await events.page(connection, endpoint.id, ALL, "failed")).entries
        tried = (await events.attempts(connection, endpoint.id, event.id, ALL)).entries
        await events.replay(connection, endpoint.id, event.id)
    assert {(one.status, one.response) for one in tried} == {(404, "status 404")}
    await post.deliverer.drain()
    assert await states(post.database, endpoint.id) == [("success", 1)]
    assert len({one.headers["webhook-id"] for one in receiver.got}) == 1


async def test_a_range_of_time_is_replayed(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await tell(post.database, "good")
    await post.deliverer.drain()
    receiver.says(410)
    await tell(post.database, "bad")
    await post.deliverer.drain()
    receiver.says(200)
    now = datetime.now(UTC)
    async with post.database.connection() as connection:
        assert await events.replay_some(connection, endpoint.id, now - DAY, now - DAY / 2, "all") == 0
        assert await events.replay_some(connection, endpoint.id, now - DAY, now + DAY, "failed") == 1
        await endpoints.change(connection, APPLICATION, endpoint.id, Change(status="enabled"))
    await post.deliverer.drain()
    assert names(receiver) == ["good", "bad", "bad"]


async def test_gone_switches_it_off_at_once(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(410)
    await tell(post.database, "a", "b")
    await post.deliverer.drain()
    found = await stored(post.database, endpoint.id)
    await tell(post.database, "not told")

    assert (found.status, found.disabled_reason, names(receiver)) == ("disabled", "it answered 410 Gone", ["a"])
    assert await states(post.database, endpoint.id) == [("failed", 1), ("pending", 0)]


async def test_five_days_of_failure_switch_it_off(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(500)
    await tell(post.database, "a", "b")
    await post.deliverer.drain()
    await post.pass_time(endpoint.id, 5 * DAY)
    await post.deliverer.drain()
    found = await stored(post.database, endpoint.id)

    assert found.status == "disabled"
    assert found.disabled_reason == "nothing was taken for 5 days; the last answer: 500"


async def test_a_quiet_week_between_two_refusals_is_no_week_of_failure(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    receiver.says(400)
    await tell(post.database, "a")
    await post.deliverer.drain()
    await execute(post.database, "UPDATE webhook_events SET state = 'failed', tries = 10")
    await post.pass_time(endpoint.id, 6 * DAY)
    await tell(post.database, "b")
    await post.deliverer.drain()
    found = await stored(post.database, endpoint.id)

    assert (found.status, found.disabled_reason) == ("enabled", "")
    assert await states(post.database, endpoint.id) == [("failed", 10), ("pending", 1)]


async def test_one_that_hangs_slows_nobody_and_holds_one_connection(post: Post, receiver: Receiver) -> None:
    async with receiving() as hung:
        hung.hangs()
        await post.endpoint(receiver)
        await post.endpoint(hung)
        for _ in range(10):
            await tell(post.database, *"abcdefghij")
        await post.deliverer.look()
        async with asyncio.timeout(20):
            while len(receiver.got) < 100:
                await asyncio.sleep(0.02)
        assert len(hung.got) == 1


async def test_one_that_answers_slowly_draws_on_another_budget(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are good, so it never fails; each holds a request for up to 15 s."""
    monkeypatch.setattr(delivery, "SLOW_MILLISECONDS", -1)
    post.deliverer._budgets[True] = Budget(1, 1)
    async with receiving() as slow:
        await post.endpoint(slow)
        await tell(post.database, "first")
        await post.deliverer.drain()
        slow.hangs()
        await post.endpoint(receiver)
        await tell(post.database, "a", "b", "c")
        await post.deliverer.look()
        async with asyncio.timeout(10):
            while len(receiver.got) < 3:
                await asyncio.sleep(0.02)
        assert names(slow)[0] == "first"


async def test_two_endpoints_take_turns_where_there_is_one_request_at_a_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has it goes on only until the other one waits for it."""
    monkeypatch.setattr(delivery, "AT_ONCE", 1)
    budget = post.deliverer._budgets[True] = Budget(1, 1)
    order: list[int] = []
    async with receiving() as first, receiving() as second:

        async def answer(port: int, other: int, _: web.Request) -> web.StreamResponse:
            order.append(port)
            while order.count(port) > 1 and order.count(other) < 2 and not budget.waiting:
                await asyncio.sleep(0.001)  # the other one has its events not yet
            return web.Response()

        for receiver, other in ((first, second), (second, first)):
            receiver.answer = partial(answer, receiver.port, other.port)
            await post.endpoint(receiver)
        for _ in range(30):
            await tell(post.database, "a")
        await post.deliverer.drain()
    assert len(order) == 60
    assert sum(one != other for one, other in pairwise(order)) > 30


async def test_two_processes_share_the_work_and_repeat_nothing(database: Database, post: Post) -> None:
    other = make_deliverer(database)
    async with receiving() as first, receiving() as second:
        await post.endpoint(first)
        await post.endpoint(second)
        await tell(database, *map(str, range(100)), key="one")
        await asyncio.gather(post.deliverer.drain(), other.drain())
        assert names(first) == names(second) == [str(n) for n in range(100)]
    await other.close()


HELD = "UPDATE webhook_endpoints SET served_by = %s, served_until = now() + %s WHERE id = %s"


async def test_a_killed_process_is_followed_by_another_at_once(
    post: Post, receiver: Receiver, database_url: str
) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await tell(post.database, "a")
    other, name = await AsyncConnection.connect(database_url, autocommit=True), uuid4()
    assert await queue.present(other, name)
    await execute(post.database, HELD, [name, timedelta(minutes=5), endpoint.id])
    await post.deliverer.drain()
    assert receiver.got == []

    await other.close()  # as the end of its process does
    async with asyncio.timeout(20):
        while not receiver.got:
            await post.deliverer.drain()
    assert names(receiver) == ["a"]


async def test_one_that_is_not_heard_of_any_more_is_followed_too(post: Post, receiver: Receiver) -> None:
    """Its machine is gone, and its connection seems to be there still."""
    endpoint, _ = await post.endpoint(receiver)
    await tell(post.database, "a")
    async with post.database.connection() as connection:
        name = uuid4()
        assert await queue.present(connection, name)
        await execute(post.database, HELD, [name, timedelta(seconds=-1), endpoint.id])
        await post.deliverer.drain()
        await connection.close()
    assert names(receiver) == ["a"]


async def test_who_lost_its_lock_begins_anew_under_another_name(post: Post, receiver: Receiver) -> None:
    await post.endpoint(receiver)
    await tell(post.database, "a")
    await post.deliverer.drain()
    before = post.deliverer._presence.me
    await execute(
        post.database,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    assert not await post.deliverer._presence.check()
    await tell(post.database, "b")
    await post.deliverer.drain()
    assert names(receiver) == ["a", "b"]
    assert post.deliverer._presence.me != before


async def test_what_is_swept_away_meanwhile_leaves_no_attempt(post: Post, receiver: Receiver) -> None:
    await post.endpoint(receiver)

    async def swept(_: Got) -> web.StreamResponse:
        await execute(post.database, "DELETE FROM webhook_events")
        return web.Response()

    receiver.answer = swept
    await tell(post.database, "a")
    await post.deliverer.drain()
    assert await rows(post.database, "SELECT event_id FROM webhook_attempts") == []


async def test_a_replay_asked_while_the_event_is_on_the_wire_is_kept(post: Post, receiver: Receiver) -> None:
    """Its last try, which fails, says nothing of the ten that were asked for."""
    endpoint, _ = await post.endpoint(receiver)

    async def replayed(_: Got) -> web.StreamResponse:
        async with post.database.connection() as connection:
            (event,) = (await events.page(connection, endpoint.id, ALL)).entries
            await events.replay(connection, endpoint.id, event.id)
        receiver.says(200)
        return web.Response(status=400)

    receiver.answer = replayed
    await tell(post.database, "a")
    await execute(post.database, "UPDATE webhook_events SET tries = 9")
    await post.deliverer.drain()
    assert await states(post.database, endpoint.id) == [("success", 1)]
    assert names(receiver) == ["a", "a"]


async def test_what_the_database_could_not_be_told_is_sent_again_as_soon_as_it_is_back(
    post: Post, receiver: Receiver, database_url: str
) -> None:
    endpoint, _ = await post.endpoint(receiver)
    await tell(post.database, "a")
    await post.deliverer.drain()
    async with post.database.connection() as connection:
        (event,) = (await events.page(connection, endpoint.id, ALL)).entries
        await events.replay(connection, endpoint.id, event.id)
    await cut_off_at(database_url, "webhook_attempts", post.deliverer.drain)
    await post.deliverer.drain()

    assert await states(post.database, endpoint.id) == [("success", 1)]
    assert names(receiver) == ["a", "a", "a"], "the replay twice"
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(post: Post, receiver: Receiver, status: int) -> None:
    endpoint, _ = await post.endpoint(receiver)
    async with receiving() as elsewhere:
        receiver.says(status, Location=elsewhere.url)
        await tell(post.database, "a")
        await post.deliverer.drain()
        assert elsewhere.got == []
    assert await states(post.database, endpoint.id) == [("pending", 1)]


async def test_operators_are_told_of_their_own(post: Post, receiver: Receiver) -> None:
    await make_endpoint(post.database, events=[])
    async with post.database.transaction() as connection:
        await endpoints.create(connection, SECRET, None, receiver.url, None)
        throttled = OutboxEvent(EventType.IP_THROTTLED, None, datetime.now(UTC), {"ip": "203.0.113.5"})
        await outbox.append(connection, [throttled])
    await tell(post.database, "an application's")
    await post.deliverer.drain()
    assert receiver.types == ["ip.throttled"]
