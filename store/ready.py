"""Make a database ready for mail: newest schema, and the partitions of the coming days.

From then on the scheduler keeps partitions.
"""

import asyncio
from datetime import UTC, datetime

from store import partitions
from store.database import Database
from store.migrate import upgrade


def make_ready(database_url: str) -> str:
    """The revision reached. Not to be called inside an event loop; raises as `store.migrate.upgrade` does."""
    revision = upgrade(database_url)
    asyncio.run(_make_partitions(database_url))
    return revision


async def _make_partitions(database_url: str) -> None:
    database = Database(database_url, size=2, name="postlane-migrate")
    await database.open()
    try:
        async with database.connection() as connection:
            await partitions.ensure(connection, datetime.now(UTC).date())
    finally:
        await database.close()
