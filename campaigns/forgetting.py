"""What is left of campaigns that were deleted, or whose application is gone: nothing. In slices, for one may have a
million rows.

A deleted campaign is seen nowhere, but what its people got still counts for how much they get within a week, so its
rows stay for so long.
"""

from datetime import timedelta
from typing import Final

from store.database import Connection, Database

SLICE: Final = 20_000

KEPT: Final = timedelta(days=8)
"""A week and a day."""
TURN: Final = 10
"""Slices at once."""

_GONE: Final = """
SELECT id FROM campaigns c WHERE deleted_at < now() - %s
   OR NOT EXISTS (SELECT FROM applications a WHERE a.id = c.application_id) LIMIT 1
"""

_SOME: Final = (
    "DELETE FROM campaign_recipients WHERE campaign_id = %(campaign)s AND contact_id = ANY(ARRAY("
    "  SELECT contact_id FROM campaign_recipients WHERE campaign_id = %(campaign)s LIMIT %(most)s))",
    "DELETE FROM campaign_clicks WHERE campaign_id = %(campaign)s AND contact_id = ANY(ARRAY("
    "  SELECT contact_id FROM campaign_clicks WHERE campaign_id = %(campaign)s LIMIT %(most)s))",
)


async def forget_gone(database: Database) -> None:
    """Some slices of them."""
    for _ in range(TURN):
        async with database.transaction() as connection:
            row = await (await connection.execute(_GONE, [KEPT])).fetchone()
            if row is None:
                return
            await _forget_some(connection, row[0])


async def _forget_some(connection: Connection, campaign_id: object) -> None:
    for statement in _SOME:
        names = {"campaign": campaign_id, "most": SLICE}
        if (await connection.execute(statement, names)).rowcount >= SLICE:
            return
    await _forget(connection, campaign_id)


async def _forget(connection: Connection, campaign_id: object) -> None:
    for statement in (
        "DELETE FROM campaign_links WHERE campaign_id = %s",
        "DELETE FROM campaign_tallies WHERE campaign_id = %s",
        "DELETE FROM campaign_contents WHERE campaign_id = %s",
        "DELETE FROM campaigns WHERE id = %s",
    ):
        await connection.execute(statement, [campaign_id])
