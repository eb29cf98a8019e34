"""The bytes of a webhook's request, whatever outsiders have put into an event: one head, of our headers only.

What a recipient's server replies, what people call themselves, where they click, what a tag or a topic is named: all of
it is told in the body, and nothing of it may reach the head or end the body early.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from tests.integration.api.hostile import EVIL, HOSTILE
from tests.integration.messages.emails import APPLICATION
from tests.integration.webhooks.conftest import SECRET, Post
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.test_outbox import append, event
from webhooks import endpoints
from webhooks.kinds import EventType

OURS = {
    "host", "content-type", "user-agent", "accept-encoding", "content-length",
    *(f"{brand}-{name}" for brand in ("webhook", "svix") for name in ("id", "timestamp", "signature")),
}  # fmt: skip
_FIELDS = ("recipient", "subject", "reply", "mx", "user_agent", "link", "ip", "reason", "name", "class", "provider")


@asynccontextmanager
async def taking() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads requests byte by byte and says 200; its URL, and each request as it came."""
    got: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):  # it hung up
                writer.close()
                return
            (length,) = [line[16:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
            got.append(head + await reader.readexactly(int(length)))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = await asyncio.start_server(converse, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", got
    finally:
        server.close()


async def test_nothing_an_outsider_wrote_is_a_header(post: Post) -> None:
    told = {
        f"{name} as {field}": {field: text, "tags": {text[:200]: text}, "nested": [{field: text}]}
        for name, text in HOSTILE.items()
        for field in _FIELDS
    }
    async with taking() as (url, got):
        await make_endpoint(post.database, APPLICATION, [])
        async with post.database.transaction() as connection:
            await endpoints.create(connection, SECRET, APPLICATION, url, None)
        await append(
            post.database,
            *(event(EventType.EMAIL_BOUNCED, key=case[:200], **data) for case, data in told.items()),
        )
        async with asyncio.timeout(60):
            while len(got) < len(told):
                await post.deliverer.look()
                await asyncio.sleep(0.01)

    bodies = []
    for request in got:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        assert first == "POST /hook HTTP/1.1"
        names = [line.partition(":")[0].lower() for line in lines]
        assert sorted(names) == sorted(OURS), "each once, and no other"
        assert EVIL not in head.decode() and "\n" not in head.decode().replace("\r\n", "")
        assert not any(byte < 0x20 for byte in body), "a body is one line"
        bodies.append(orjson.loads(body)["data"])
    assert sorted(map(orjson.dumps, bodies)) == sorted(map(orjson.dumps, told.values()))
