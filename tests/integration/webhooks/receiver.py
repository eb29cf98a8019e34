"""A receiver of webhooks: keeps what it is sent, and answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass(slots=True)
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body, read."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass(slots=True)
class Receiver:
    """What came, and what is answered next."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    answer: Callable[[Got], web.StreamResponse | Awaitable[web.StreamResponse]] = lambda _: web.Response()
    under_way: int = 0
    most_under_way: int = 0
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to let go of requests that hang."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def types(self) -> list[str]:
        """Of the events that came."""
        return [one.event["type"] for one in self.got]

    def says(self, status: int, **headers: str) -> None:
        """Answer so from now on."""
        self.answer = lambda _: web.Response(status=status, headers=headers, text=f"status {status}")

    def hangs(self) -> None:
        """Never answer."""

        async def wait(_: Got) -> web.StreamResponse:
            await self.hanging.wait()
            return web.Response()

        self.answer = wait

    async def handle(self, request: web.Request) -> web.StreamResponse:
        got = Got({name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.got.append(got)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.answer(got)
            return answer if isinstance(answer, web.StreamResponse) else await answer
        finally:
            self.under_way -= 1


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of the loopback."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    receiver.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield receiver
    receiver.hanging.set()
    await runner.cleanup()
