"""An application on the test database, and a way to make more."""

from collections.abc import Awaitable, Callable

import pytest

from accounts import repository
from accounts.repository import Application
from core.secrets import InstanceSecret
from store.database import Database

SECRET = InstanceSecret(b"s" * 32)

MakeApplication = Callable[[str], Awaitable[Application]]


@pytest.fixture
def new_application(database: Database) -> MakeApplication:
    """Makes an application by name."""

    async def make(name: str) -> Application:
        async with database.connection() as connection:
            made = await repository.create_application(connection, name)
        assert made is not None
        return made

    return make


@pytest.fixture
async def shop(new_application: MakeApplication) -> Application:
    return await new_application("shop")
