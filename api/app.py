"""The HTTP application: collaborators opened and closed, routes put together, every exception turned into our errors.

`create_app` is called by `api/serve`, by the command line (to write the OpenAPI document) and by tests. It reads no
environment: settings come in. Nothing here knows a noun; a noun is a module in `api/routes` with a `router`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from accounts.directory import Directory
from api import openapi
from api.answers import error_answer
from api.deps import Deps
from api.edge import Edge
from api.errors import ERRORS, ApiError
from api.limits import RateLimiter, body_limit
from api.routes import emails, health, pages
from api.validation import api_error
from core.clock import SystemClock
from core.publish import HintPublisher
from core.secrets import InstanceSecret
from core.settings import Settings
from messages.accept import Acceptor
from mta.from_settings import known_providers, make_resolver
from store.database import Database, DatabaseUnavailableError

Opener = Callable[[Settings], AbstractAsyncContextManager[Deps]]

_RETRY_AFTER: Final = {"retry-after": "2"}
_TAGS: Final = [
    {"name": "Emails", "description": "Send, look, move, cancel."},
    {"name": "Domains", "description": "The domains you send from."},
    {"name": "API keys", "description": "Who may use this API."},
    {"name": "Suppressions", "description": "Addresses that get no mail."},
    {"name": "Health", "description": "For machines that watch."},
]


@asynccontextmanager
async def open_deps(settings: Settings) -> AsyncIterator[Deps]:
    """The real collaborators of one API process. Neither PostgreSQL nor Redis need to be there when it starts."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url, settings.database_pool_size, "postlane-api")
        await database.open()
        stack.push_async_callback(database.close)
        hints = HintPublisher(settings.redis_url)
        hints.start()
        stack.callback(hints.stop)
        directory = Directory(database)
        stack.push_async_callback(directory.settle)
        acceptor = Acceptor(database, hints.hint)
        await acceptor.start()
        stack.push_async_callback(acceptor.stop)
        yield Deps(
            settings=settings,
            database=database,
            acceptor=acceptor,
            directory=directory,
            hints=hints,
            resolver=make_resolver(settings, known_providers(settings)),
            secret=InstanceSecret.from_text(settings.secret.get_secret_value()),
            clock=SystemClock(),
        )


def create_app(settings: Settings, opener: Opener = open_deps) -> FastAPI:
    """The application. `opener` gives the collaborators while it runs."""

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        async with opener(settings) as collaborators:
            running.state.deps = collaborators
            yield

    app = FastAPI(
        title="Postlane",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_tags=_TAGS,
        redirect_slashes=False,
        telemetry={"tracing": False},
    )
    app.state.limiter = RateLimiter(settings.api_requests_per_second)
    app.state.body_limit = body_limit(settings.max_message_bytes)
    for module in (emails, health, pages):
        app.include_router(module.router)
    app.add_middleware(Edge)
    _handle_errors(app)
    _describe_once(app)
    return app


def _handle_errors(app: FastAPI) -> None:
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(DatabaseUnavailableError, _on_database_away)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_answer(error)


async def _on_database_away(_request: Request, _error: Exception) -> Response:
    return error_answer(
        ApiError("service_unavailable", "The database does not answer. Nothing was accepted; try again.", _RETRY_AFTER)
    )


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_answer(api_error(error.errors()))


async def _on_http(request: Request, error: Exception) -> Response:
    """What Starlette and FastAPI raise by themselves: an unknown path, a wrong method, a body they cannot read."""
    assert isinstance(error, HTTPException)
    if error.status_code == ERRORS["not_found"]:
        return error_answer(ApiError("not_found", f"There is nothing at {request.url.path}."))
    if error.status_code == ERRORS["method_not_allowed"]:
        message = f"{request.method} is not allowed at {request.url.path}."
        return error_answer(ApiError("method_not_allowed", message, error.headers))
    if error.status_code == ERRORS["payload_too_large"]:
        return error_answer(ApiError("payload_too_large", "The request body is too large.", {"connection": "close"}))
    return error_answer(ApiError("validation_error", str(error.detail), error.headers))


def _describe_once(app: FastAPI) -> None:
    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _version() -> str:
    try:
        return version("postlane")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
