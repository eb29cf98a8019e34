"""The console on a database of its own, in the test's own event loop, and people who are signed in."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from accounts import passwords, sessions, users
from accounts.roles import Role
from accounts.sessions import Browser
from accounts.users import NewUser, User
from console.app import create_app
from console.serve import service_of
from core.settings import Settings
from store.database import Database
from tests.served import served

SECRET = "5" * 64  # of the test instance
HOME = "https://console.acme.example"
PASSWORD = "correct horse battery"
HASHED = passwords._hasher.hash(PASSWORD)
KEY = re.compile(r'name="form_key" value="([0-9a-f]+)"')


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of a process on the test's database."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        database_url=database_url,
        redis_url=redis_url,
        secret=SECRET,
        database_pool_size=4,
        console_url=HOME,
        data_dir=tmp_path,
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, its collaborators open."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """The console behind a real socket; its URL."""
    with served(service_of(settings.model_copy(update={"console_url": ""}))) as url:
        yield url


@dataclass(slots=True)
class Person:
    """A browser, perhaps with somebody signed in."""

    http: httpx.AsyncClient
    user: User | None = None

    async def get(self, path: str) -> httpx.Response:
        """A page."""
        return await self.http.get(path, headers={"sec-fetch-site": "none"})

    async def post(self, path: str, page: str = "/", **fields: str | list[str]) -> httpx.Response:
        """A form, with the key that a page of the console gives."""
        found = KEY.search((await self.get(page)).text)
        assert found is not None, f"{page} has no form"
        return await self.raw_post(path, form_key=found[1], **fields)

    async def raw_post(self, path: str, site: str = "same-origin", **fields: str | list[str]) -> httpx.Response:
        """A form as it is given."""
        return await self.http.post(path, data=fields, headers={"sec-fetch-site": site} if site else {})


@pytest.fixture
async def anybody(app: FastAPI) -> AsyncIterator[Person]:
    """A browser in which nobody is signed in."""
    async with browser_of(app) as http:
        yield Person(http)


@pytest.fixture
async def admin(app: FastAPI, database: Database) -> AsyncIterator[Person]:
    """Ada, who may do everything."""
    async with browser_of(app) as http:
        yield await signed_in(http, database, "ada@acme.example", Role.ADMIN)


@pytest.fixture
async def viewer(app: FastAPI, database: Database) -> AsyncIterator[Person]:
    """Vic, who only looks."""
    async with browser_of(app) as http:
        yield await signed_in(http, database, "vic@acme.example", Role.VIEWER)


async def signed_in(http: httpx.AsyncClient, database: Database, email: str, role: Role) -> Person:
    """Somebody with a password and a session."""
    async with database.transaction() as connection:
        user = await users.create(connection, NewUser(email, role))
        await users.set_password(connection, user.id, HASHED)
        token = await sessions.begin(connection, user.id, Browser("203.0.113.9", "a browser", "Europe/Vienna"))
    http.cookies.set("__Host-postlane_session", token)
    return Person(http, user)


def browser_of(app: FastAPI) -> httpx.AsyncClient:
    """One in which nobody is signed in."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("203.0.113.9", 4711))
    return httpx.AsyncClient(transport=transport, base_url=HOME)
