"""What is called like a text, for a search that leads to its page."""

from collections.abc import Sequence
from uuid import UUID

from store.database import Connection


async def domains_called(connection: Connection, name: str, applications: Sequence[UUID] = ()) -> list[UUID]:
    """Sender domains of just this name, of these applications, () for all: two of them may have the same."""
    cursor = await connection.execute(
        "SELECT id FROM domains WHERE name = %(name)s AND (%(all)s OR application_id = ANY(%(applications)s))"
        " ORDER BY id LIMIT 2",
        {"name": name, "all": not applications, "applications": list(applications)},
    )
    return [row[0] for row in await cursor.fetchall()]
