"""The application of the console: collaborators opened and closed, nouns put together, errors as pages.

`create_app` is called by `console/serve` and by tests. It reads no environment. Nothing here knows a noun: those stand
in `console/nouns`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request, Response
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp

from campaigns.forecasting import Tools
from console.answers import EXPECTED, answer_to, answer_to_bug
from console.deps import Deps
from console.live import Live
from console.nouns import NOUNS
from console.overview.picture import live_html
from console.rehearsing import Rehearsals
from console.rendering import BASE_POLICY
from console.routes import router as own_routes
from console.throttling import Attempts
from core.clock import SystemClock
from core.metrics import STEP_BUCKETS
from core.secrets import InstanceSecret
from core.settings import Settings
from flags.watch import FlagWatch
from mta.from_settings import known_providers, make_resolver
from mta.resolve import Resolver
from store.database import Database
from store.heartbeats import Heartbeat
from web.clients import Clients
from web.edge import Edge, Manners, request_id
from web.routers import OF_PAGES, take_routes
from web.shield import Shield

if TYPE_CHECKING:
    from accounts.openid_provider import OpenIdProvider

Opener = Callable[[Settings], AbstractAsyncContextManager[Deps]]

_SECONDS: Final = Histogram(
    "postlane_console_seconds",
    "Time from the head of a request to the end of its answer",
    ["route"],
    buckets=STEP_BUCKETS,
)
_ANSWERS: Final = Counter("postlane_console_answers_total", "Answers of the console", ["route", "status"])


@asynccontextmanager
async def open_deps(settings: Settings) -> AsyncIterator[Deps]:
    """The real collaborators of one process. PostgreSQL need not be there when it starts."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url, settings.database_pool_size, "postlane-console")
        await database.open()
        stack.push_async_callback(database.close)
        flags = FlagWatch(database)
        await flags.start()
        stack.push_async_callback(flags.stop)
        heartbeat = Heartbeat(database, "console")
        await heartbeat.start()
        stack.push_async_callback(heartbeat.stop)
        live = Live(database, live_html)
        stack.push_async_callback(live.stop)
        rehearsals = Rehearsals()
        stack.push_async_callback(rehearsals.stop)
        secret, providers = InstanceSecret.from_text(settings.secret.get_secret_value()), known_providers(settings)
        resolver = make_resolver(settings, providers)
        yield Deps(
            settings=settings,
            database=database,
            secret=secret,
            clock=SystemClock(),
            clients=Clients(settings.console_proxies),
            attempts=Attempts(),
            live=live,
            tools=Tools(settings, secret, database, resolver, providers),
            rehearsals=rehearsals,
            openid=_openid(settings, resolver),
        )


def _openid(settings: Settings, resolver: Resolver) -> "OpenIdProvider | None":
    """Who vouches for users, if the settings name somebody: only then its libraries are imported."""
    if not settings.openid_issuer:
        return None
    from accounts.openid_provider import OpenIdProvider

    return OpenIdProvider.of(settings, resolver)


class Application(FastAPI):
    """FastAPI inside our `Edge`, both inside the `Shield`."""

    def build_middleware_stack(self) -> ASGIApp:
        """Called by Starlette at the first request."""
        https = self.state.settings.console_url.startswith("https:")
        return Shield(Edge(super().build_middleware_stack(), self, {}, _manners()), BASE_POLICY, https=https)


def _manners() -> Manners:
    return Manners(_SECONDS, _ANSWERS, EXPECTED, answer_to, _answer_by_number)


def _answer_by_number(identifier: str) -> Response:
    """The last net: what FastAPI's own handler has not caught."""
    return Response(f"Something went wrong. The log has it as request {identifier}.\n", 500, media_type="text/plain")


def create_app(settings: Settings, opener: Opener = open_deps) -> FastAPI:
    """The application. `opener` gives the collaborators while it runs."""

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        async with opener(settings) as collaborators:
            running.state.deps = collaborators
            yield

    app = Application(lifespan=lifespan, **OF_PAGES)
    app.state.settings = settings
    app.state.jumps = [noun.jump for noun in NOUNS if noun.jump is not None]
    take_routes(app, [own_routes, *(noun.router for noun in NOUNS)])
    for expected in EXPECTED:
        app.add_exception_handler(expected, answer_to)
    app.add_exception_handler(Exception, _on_bug)
    return app


async def _on_bug(request: Request, _error: Exception) -> Response:
    """Starlette raises the exception again after this, and `Edge` logs it under the same number."""
    return await answer_to_bug(request, request_id(request.scope))
