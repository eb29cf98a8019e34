"""The API on a database of its own: in the test's own event loop (`client`), and as a real server (`server`)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.serve import service_of
from core.settings import Settings
from store.database import Database
from tests.integration.api.account import Account, make_account
from tests.served import served


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    """Settings of an API process on the test's database."""
    return Settings(database_url=database_url, redis_url=redis_url, secret="5" * 64, database_pool_size=4)


@pytest.fixture
async def account(database: Database) -> Account:
    """An application to send for."""
    return await make_account(database)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, its collaborators open."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def client(app: FastAPI, account: Account) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the application with a key of full access."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {account.full}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
        yield http


@pytest.fixture
async def ops(app: FastAPI, account: Account) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the application with an operator's key."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {account.operator}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
        yield http


@dataclass(frozen=True, slots=True)
class Server:
    """A real server in a thread."""

    url: str


@pytest.fixture
def server(settings: Settings, account: Account) -> Iterator[Server]:
    """uvicorn on a free port of the loopback, for clients that want a real one."""
    with serving(settings) as running:
        yield running


@contextmanager
def serving(settings: Settings) -> Iterator[Server]:
    """The application behind a real socket."""
    with served(service_of(settings)) as url:
        yield Server(url)
