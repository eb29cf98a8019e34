"""The public pages on a database of their own, in the test's own event loop."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from core.settings import Settings
from pages.app import create_app


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    """Settings of a process on the test's database."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        database_url=database_url,
        redis_url=redis_url,
        secret="5" * 64,
        database_pool_size=4,
        public_url="https://mail.acme.example",
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, its collaborators open."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, or whoever comes from outside."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="https://mail.acme.example") as http:
        yield http
