"""What was tried, wherever it is kept."""

import pytest
from aiohttp import web

from core.paging import Window
from tests.integration.messages.emails import rows
from tests.integration.webhooks.conftest import Post
from tests.integration.webhooks.outbox import tell
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.test_delivery import ALL
from webhooks import events
from webhooks.standing import get


@pytest.mark.parametrize("limit", [None, 1, 2])
async def test_attempts_are_all_listed_in_their_order(post: Post, receiver: Receiver, limit: int | None) -> None:
    """The first that was taken stands with its event, all others have rows: those before, and those after it."""
    endpoint, _ = await post.endpoint(receiver)
    said = iter([404, 200, 200, 404, 200])
    receiver.answer = lambda _: web.Response(status=next(said), text="\x1esaid\x00")
    await tell(post.database, "a")
    async with post.database.connection() as connection:
        (event,) = (await events.page(connection, endpoint.id, ALL)).entries
        for _ in range(5):
            await events.replay(connection, endpoint.id, event.id)
            await post.deliverer.drain()
            receiver.answer = lambda _: web.Response(status=next(said), text="ok")
        whole = (await events.attempts(connection, endpoint.id, event.id, ALL)).entries
        down, up = list[events.Attempt](), list[events.Attempt]()
        while (
            page := await events.attempts(
                connection, endpoint.id, event.id, Window(limit, after=down[-1].id if down else None)
            )
        ).entries:
            down += page.entries
        while (
            page := await events.attempts(
                connection, endpoint.id, event.id, Window(limit, before=up[0].id if up else down[-1].id)
            )
        ).entries:
            up = [*page.entries, *up]
        kept = await rows(post.database, "SELECT taken_status, taken_answer FROM webhook_events")
        standing = await get(connection, endpoint.id)

    assert [one.status for one in whole] == [200, 404, 200, 200, 404]
    assert [one.response for one in whole] == ["ok"] * 4 + ["\x1esaid"]
    assert {(one.url, one.error) for one in whole} == {(receiver.url, "")}
    assert whole == sorted(whole, key=lambda one: one.sent_at, reverse=True)
    assert down == whole
    assert up == whole[:-1]
    assert kept == [(200, "ok")]
    assert standing.last_taken == whole[0].sent_at
