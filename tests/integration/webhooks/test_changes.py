"""An endpoint that somebody changes while it is served."""

from aiohttp import web

from tests.integration.messages.emails import APPLICATION
from tests.integration.webhooks.conftest import Post
from tests.integration.webhooks.outbox import names, tell
from tests.integration.webhooks.receiver import Got, Receiver, receiving
from tests.integration.webhooks.test_delivery import stored
from webhooks import endpoints
from webhooks.endpoints import Change


async def test_a_change_counts_from_the_next_batch_on(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)
    async with receiving() as moved:
        async with post.database.connection() as connection:
            await endpoints.change(
                connection, APPLICATION, endpoint.id, Change(url=moved.url, events=["email.bounced"])
            )
        await tell(post.database, "not wanted")
        async with post.database.connection() as connection:
            await endpoints.change(connection, APPLICATION, endpoint.id, Change(every_event=True))
        await tell(post.database, "wanted")
        await post.deliverer.drain()
        assert (names(receiver), names(moved)) == ([], ["wanted"])


async def test_one_that_is_switched_on_again_is_told_at_once(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)

    async def switched(status: endpoints.Status) -> None:
        async with post.database.connection() as connection:
            await endpoints.change(connection, APPLICATION, endpoint.id, Change(status=status))

    async def off(_: Got) -> web.StreamResponse:
        await switched("disabled")
        return web.Response()

    receiver.answer = off
    await tell(post.database, "a", "b")
    await post.deliverer.drain()
    receiver.says(200)
    await switched("enabled")
    await post.deliverer.drain()
    assert names(receiver) == ["a", "b"]


async def test_what_the_old_url_says_is_nothing_about_the_new_one(post: Post, receiver: Receiver) -> None:
    endpoint, _ = await post.endpoint(receiver)

    async def gone_once_moved(_: Got) -> web.StreamResponse:
        async with post.database.connection() as connection:
            await endpoints.change(connection, APPLICATION, endpoint.id, Change(url=f"{receiver.url}/new"))
        return web.Response(status=410)

    receiver.answer = gone_once_moved
    await tell(post.database, "a")
    await post.deliverer.drain()

    assert (await stored(post.database, endpoint.id)).status == "enabled"
