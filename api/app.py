"""The HTTP application: collaborators opened and closed, routes put together, every exception turned into our errors.

`create_app` reads no environment: settings come in. Nothing here knows a noun; a noun is a module in `api/routes` with
a `router`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp

from accounts.directory import Directory
from api import openapi
from api.answers import EXPECTED, answer_to, answer_to_bug
from api.deps import Deps
from api.limits import RateLimiter, body_limit
from api.noting import note_in, rates_of
from api.routes import (
    addresses,
    alarms,
    api_keys,
    applications,
    audiences,
    automations,
    broadcasts,
    contact_imports,
    contact_properties,
    contacts,
    domains,
    emails,
    events,
    flags,
    forms,
    health,
    images,
    inbound,
    ips,
    logs,
    metrics,
    pages,
    people,
    pools,
    providers,
    recipients,
    reports,
    sandbox,
    seeds,
    segment_contacts,
    segments,
    standing,
    suppressions,
    system,
    templates,
    throttles,
    topics,
    warmup,
    webhooks,
)
from audience.topics import TopicBook
from core.logs import flush
from core.metrics import STEP_BUCKETS
from core.publish import HintPublisher
from core.secrets import InstanceSecret
from core.settings import Settings
from core.version import version
from flags.watch import FlagWatch
from messages.accept import Acceptor
from mta.from_settings import known_providers, make_resolver
from requestlog.gathering import Gatherer
from store.database import Database
from store.heartbeats import Heartbeat
from store.route_times import Times, TimesWriter
from templates.book import TemplateBook
from web.direct import direct_endpoints
from web.edge import Edge, Manners, request_id
from web.routers import UNOBSERVED, take_routes

Opener = Callable[[Settings], AbstractAsyncContextManager[Deps]]

_ROUTES: Final = (
    # `/emails/metrics` stands before `/emails/{email_id}`, `/contacts/imports` before `/contacts/{contact}`.
    metrics, emails, domains, api_keys, topics, contact_properties, segment_contacts, contact_imports, people,
    contacts, forms, segments, audiences, broadcasts, automations, events, addresses, recipients, suppressions,
    webhooks, sandbox, logs, pools, ips, throttles, warmup, providers, alarms, inbound, reports, seeds, standing,
    system, flags, templates, images, applications, health, pages,
)  # fmt: skip
_TAGS: Final = [
    {"name": "Emails", "description": "Send, look, move, cancel, send again."},
    {"name": "Reports", "description": "Figures of what happened to the mail."},
    {"name": "Domains", "description": "The domains you send from."},
    {"name": "API keys", "description": "Who may use this API."},
    {"name": "Topics", "description": "Types of mail that recipients may take or leave."},
    {"name": "Templates", "description": "What mail is written from."},
    {"name": "Contacts", "description": "The people you write to, and what each of them takes."},
    {"name": "Forms", "description": "Where people sign up, each with a yes from their own mailbox."},
    {"name": "Segments", "description": "Lists of contacts, and filters that find them."},
    {"name": "Broadcasts", "description": "One mail to many people, with an outcome for each."},
    {"name": "Automations", "description": "What follows by itself: series, mail on events, repeating broadcasts."},
    {"name": "Events", "description": "What your application tells of, for automations."},
    {"name": "Recipients", "description": "One person: may we write to them, and what was last."},
    {"name": "Suppressions", "description": "Addresses that get no mail."},
    {"name": "Sandbox", "description": "Test mail that was captured instead of sent, and what is captured."},
    {"name": "Webhooks", "description": "Who is told of what happens."},
    {"name": "Logs", "description": "Requests that were made with your keys, without what they say."},
    {"name": "Pools", "description": "Which IPs a stream leaves through. Wants an operator's key."},
    {"name": "IPs", "description": "Our sending addresses, how each stands and why. Wants an operator's key."},
    {"name": "Throttles", "description": "Who rests where. Wants an operator's key."},
    {"name": "Warm-up", "description": "How young IPs grow. Wants an operator's key."},
    {"name": "Providers", "description": "Mailbox providers and their replies. Wants an operator's key."},
    {"name": "Alarms", "description": "What a person has to look at. Wants an operator's key."},
    {"name": "Inbound", "description": "Mail that came back. Wants an operator's key."},
    {"name": "Seeds", "description": "Where our mail lands at the providers. Wants an operator's key."},
    {"name": "Standing", "description": "What providers say about our IPs and domains. Wants an operator's key."},
    {"name": "System", "description": "What runs and what waits. Wants an operator's key."},
    {"name": "Flags", "description": "What can be switched off while everything runs. Wants an operator's key."},
    {"name": "Applications", "description": "Who sends from here. Wants an operator's key."},
    {"name": "Health", "description": "For machines that watch."},
]

_TIMES: Final = Times("api")
_MANNERS: Final = Manners(
    seconds=Histogram(
        "postlane_api_seconds",
        "Time from the head of a request to the end of its answer",
        ["route"],
        buckets=STEP_BUCKETS,
    ),
    answers=Counter("postlane_api_answers_total", "Answers of the API", ["route", "status"]),
    expected=EXPECTED,
    answer=answer_to,
    answer_bug=answer_to_bug,
    times=_TIMES,
)

_DOCUMENT: Final[dict[str, Any]] = {}


@asynccontextmanager
async def open_deps(settings: Settings) -> AsyncIterator[Deps]:
    """The real collaborators of one API process. Neither PostgreSQL nor Redis need to be there when it starts."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url, settings.database_pool_size, "postlane-api")
        await database.open()
        stack.push_async_callback(database.close)
        watch = FlagWatch(database)
        await watch.start()
        stack.push_async_callback(watch.stop)
        hints = HintPublisher(settings.redis_url)
        hints.start()
        stack.callback(hints.stop)
        directory = Directory(database)
        stack.push_async_callback(directory.settle)
        acceptor = Acceptor(database, hints.hint)
        await acceptor.start()
        stack.push_async_callback(acceptor.stop)
        requests = Gatherer(database, rates_of(settings))
        await requests.start()
        stack.push_async_callback(requests.stop)
        times = TimesWriter(database, _TIMES)
        await times.start()
        stack.push_async_callback(times.stop)
        heartbeat = Heartbeat(database, "api")
        await heartbeat.start()
        stack.push_async_callback(heartbeat.stop)
        yield Deps(
            settings=settings,
            database=database,
            acceptor=acceptor,
            directory=directory,
            topics=TopicBook(database),
            templates=TemplateBook(database),
            hints=hints,
            resolver=make_resolver(settings, known_providers(settings)),
            secret=InstanceSecret.from_text(settings.secret.get_secret_value()),
            clock=acceptor.clock,
            requests=requests,
        )


class Application(FastAPI):
    """FastAPI inside our `Edge`."""

    def build_middleware_stack(self) -> ASGIApp:
        """Called by Starlette at the first request."""
        direct = direct_endpoints(module.router for module in _ROUTES)
        return Edge(super().build_middleware_stack(), self, direct, _MANNERS, note_in(self))

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once a process: it tells of the routes, and of no setting."""
        if not _DOCUMENT:
            _DOCUMENT.update(openapi.describe(self))
        return _DOCUMENT


def create_app(settings: Settings, opener: Opener = open_deps) -> FastAPI:
    """The application. `opener` gives the collaborators while it runs."""

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        async with opener(settings) as collaborators:
            running.state.deps = collaborators
            yield
        flush()  # one of several processes is ended by its signal, once this is done

    app = Application(
        title="Postlane",
        version=version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_tags=_TAGS,
        redirect_slashes=False,
        telemetry=UNOBSERVED,
    )
    app.state.limiter = RateLimiter(settings.api_requests_per_second)
    app.state.body_limit = body_limit(settings.max_message_bytes)
    app.state.methods_at = _methods_at
    take_routes(app, (module.router for module in _ROUTES))
    for expected in EXPECTED:
        app.add_exception_handler(expected, answer_to)
    app.add_exception_handler(Exception, _on_bug)
    return app


def _methods_at(path: str) -> list[str]:
    """All methods a path has, over all routes (RFC 9110 section 15.5.6); Starlette names those of the first route."""
    routes = [route for module in _ROUTES for route in module.router.routes if isinstance(route, APIRoute)]
    found = {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


async def _on_bug(request: Request, _error: Exception) -> Response:
    """Starlette raises the exception again after this, and `Edge` logs it under the same number."""
    return answer_to_bug(request_id(request.scope))
