"""What is left of campaigns whose application is gone: nothing. In slices, for a campaign may have a million rows."""

from typing import Final

from store.database import Connection, Database

SLICE: Final = 20_000

_GONE: Final = """
SELECT id FROM campaigns c WHERE NOT EXISTS (SELECT FROM applications a WHERE a.id = c.application_id) LIMIT 1
"""

_SOME: Final = """
DELETE FROM campaign_recipients WHERE (campaign_id, contact_id) IN
  (SELECT campaign_id, contact_id FROM campaign_recipients WHERE campaign_id = %s LIMIT %s)
"""


async def forget_gone(database: Database) -> None:
    """A slice of one of them."""
    async with database.transaction() as connection:
        row = await (await connection.execute(_GONE)).fetchone()
        if row is not None and (await connection.execute(_SOME, [row[0], SLICE])).rowcount < SLICE:
            await _forget(connection, row[0])


async def _forget(connection: Connection, campaign_id: object) -> None:
    for statement in (
        "DELETE FROM campaign_clicks WHERE campaign_id = %s",
        "DELETE FROM campaign_links WHERE campaign_id = %s",
        "DELETE FROM campaign_tallies WHERE campaign_id = %s",
        "DELETE FROM campaign_contents WHERE campaign_id = %s",
        "DELETE FROM campaigns WHERE id = %s",
    ):
        await connection.execute(statement, [campaign_id])
