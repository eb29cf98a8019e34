"""A database whose clock the tests of this folder set."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from store.database import Database
from tests.integration.warmup.world import own_clock, own_clock_no_more

START = datetime(2026, 3, 2, tzinfo=UTC)
"""Midnight of a Monday; no clocks change near it."""


@pytest.fixture
async def clocked(database_url: str) -> AsyncIterator[Database]:
    """A database where it is `START` until `set_clock`."""
    own_clock(database_url, START)
    database = Database(database_url, size=4, name="postlane-test")
    await database.open()
    yield database
    await database.close()
    own_clock_no_more(database_url)
