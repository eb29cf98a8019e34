"""The application of the public pages: collaborators opened and closed, routes put together, errors as pages.

`create_app` reads no environment. Nothing here knows a noun: a noun is a module in `pages/routes` with a `router`, and
its line in `_ROUTES`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request, Response
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp

from accounts.tracking_host import TrackingHosts
from audience.links import LinkSeal
from core.metrics import STEP_BUCKETS
from core.publish import HintPublisher
from core.secrets import InstanceSecret
from core.settings import Settings
from core.shared_windows import SharedCounts
from flags.watch import FlagWatch
from messages.accept import Acceptor
from messages.link_tokens import LinkTokens
from mta.from_settings import known_providers, make_resolver
from outcomes.engagement_writer import EngagementWriter
from outcomes.hits import HitSpool
from pages.answers import EXPECTED, answer_to, answer_to_bug
from pages.deps import Deps
from pages.limits import Limits
from pages.pictures import remembered_images
from pages.routes import archive, confirming, health, images, moving, preferences, preview, signup, static
from pages.tracking import Links
from pages.work import Work
from store.database import Database
from store.heartbeats import Heartbeat
from store.route_times import Times, TimesWriter
from web.clients import Clients
from web.direct import direct_endpoints
from web.edge import Edge, Manners, request_id
from web.previews import PreviewSeal
from web.routers import OF_PAGES, take_routes
from web.shield import Shield

Opener = Callable[[Settings], AbstractAsyncContextManager[Deps]]

_ROUTES: Final = (preferences, moving, signup, confirming, archive, preview, images, health, static)

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""No script runs here, and nothing is loaded from or sent to another host."""

_TIMES: Final = Times("public")
_MANNERS: Final = Manners(
    seconds=Histogram(
        "postlane_public_seconds",
        "Time from the head of a request to the end of its answer",
        ["route"],
        buckets=STEP_BUCKETS,
    ),
    answers=Counter("postlane_public_answers_total", "Answers of the public pages", ["route", "status"]),
    expected=EXPECTED,
    answer=answer_to,
    answer_bug=answer_to_bug,
    times=_TIMES,
)


@asynccontextmanager
async def open_deps(settings: Settings) -> AsyncIterator[Deps]:
    """The real collaborators of one process. Neither PostgreSQL nor Redis need to be there when it starts."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url, settings.database_pool_size, "postlane-public")
        await database.open()
        stack.push_async_callback(database.close)
        flags = FlagWatch(database)
        await flags.start()
        stack.push_async_callback(flags.stop)
        hints = HintPublisher(settings.redis_url)
        hints.start()
        stack.callback(hints.stop)
        acceptor = Acceptor(database, hints.hint)
        await acceptor.start()
        stack.push_async_callback(acceptor.stop)
        tracking_hosts = TrackingHosts(database)
        await tracking_hosts.start()
        stack.push_async_callback(tracking_hosts.stop)
        engagement = EngagementWriter(database, HitSpool(settings.data_dir / "hits"))
        await engagement.start()
        stack.push_async_callback(engagement.stop)
        times = TimesWriter(database, _TIMES)
        await times.start()
        stack.push_async_callback(times.stop)
        heartbeat = Heartbeat(database, "public")
        await heartbeat.start()
        stack.push_async_callback(heartbeat.stop)
        secret = InstanceSecret.from_text(settings.secret.get_secret_value())
        yield Deps(
            settings=settings,
            database=database,
            links=LinkSeal(secret),
            acceptor=acceptor,
            clock=acceptor.clock,
            clients=Clients(settings.public_proxies),
            tokens=LinkTokens(secret),
            tracking_hosts=tracking_hosts,
            engagement=engagement,
            work=Work(secret),
            previews=PreviewSeal(secret),
            resolver=make_resolver(settings, known_providers(settings)),
            images=remembered_images(database),
        )


class Application(FastAPI):
    """FastAPI inside our `Edge`, both inside the `Shield`, and before all of them the links of mail."""

    def build_middleware_stack(self) -> ASGIApp:
        """Called by Starlette at the first request."""
        direct = direct_endpoints(module.router for module in _ROUTES)
        https = self.state.settings.public_url.startswith("https:")
        shielded = Shield(Edge(super().build_middleware_stack(), self, direct, _MANNERS), _POLICY, https=https)
        return Links(shielded, lambda: self.state.deps)


def create_app(settings: Settings, opener: Opener = open_deps) -> FastAPI:
    """The application. `opener` gives the collaborators while it runs."""

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        async with opener(settings) as collaborators:
            running.state.deps = collaborators
            try:
                yield
            finally:
                await running.state.limits.close()

    app = Application(lifespan=lifespan, **OF_PAGES)
    app.state.settings = settings
    app.state.limits = Limits(settings.signups_an_hour, SharedCounts(settings.redis_url))
    take_routes(app, (module.router for module in _ROUTES))
    for expected in EXPECTED:
        app.add_exception_handler(expected, answer_to)
    app.add_exception_handler(Exception, _on_bug)
    return app


async def _on_bug(request: Request, _error: Exception) -> Response:
    """Starlette raises the exception again after this, and `Edge` logs it under the same number."""
    return answer_to_bug(request_id(request.scope))
