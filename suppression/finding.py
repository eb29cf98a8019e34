"""Entries of the suppression list by id and by address. Fixed statements: whoever asks no composed questions (the
public pages) does not load what composes them.
"""

from uuid import UUID

from store.database import Connection
from suppression.entries import Suppression
from suppression.predicate import IN_FORCE
from suppression.rows import columns, suppression
from suppression.subjects import forms


async def get(connection: Connection, identifier: UUID) -> Suppression | None:
    """The entry in force with this id."""
    cursor = await connection.execute(
        f"SELECT {columns('s')} FROM suppressions s WHERE s.id = %s AND {IN_FORCE}", [identifier]
    )
    row = await cursor.fetchone()
    return suppression(row) if row else None


async def about(connection: Connection, kept: str) -> list[Suppression]:
    """The entries in force for a stored text, those of everybody's mail first; [] when there are none. An address is
    found under its domain and its hash too."""
    cursor = await connection.execute(
        f"SELECT {columns('s')} FROM suppressions s WHERE s.address = ANY(%s) AND {IN_FORCE}"
        " ORDER BY s.scope <> 'all', length(s.scope), s.scope, s.address <> %s, s.address",
        [forms(kept), kept],
    )
    return [suppression(row) for row in await cursor.fetchall()]
