"""A person is erased, and is not written to again: what the list says of them stays, under the hash of their address.

An application's own entries become hashed ones, without what was written beside them; to them comes that the person
left its marketing mail, or all of it. That one belongs to nobody, so that the application cannot take it away: the
person can, by signing up again, and an operator. Entries of others, about the same mailbox, are theirs and stay.

Works on the caller's connection and never commits.
"""

from typing import Final
from uuid import UUID

from store.database import Connection
from suppression.adding import add
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rows import columns, suppression
from suppression.scopes import ID_LENGTH, OWN
from suppression.subjects import hashed

WHY: Final = "the person was erased"

_TAKE: Final = f"""
DELETE FROM suppressions s WHERE s.address = %(address)s AND ({OWN}) = %(application)s RETURNING {columns("s")}
"""

_HISTORY: Final = f"""
UPDATE suppression_history s SET address = %(hash)s, detail = '', note = ''
 WHERE s.address = %(address)s AND (s.owner_id::text = %(application)s OR left(s.scope, {ID_LENGTH}) = %(application)s)
"""


async def keep_as_hash(connection: Connection, application_id: UUID, address: str) -> None:
    """The application's entries about a (folded) address stand under its hash from now on. Told to nobody."""
    names = {"address": address, "application": str(application_id), "hash": hashed(address)}
    taken = [suppression(row) for row in await (await connection.execute(_TAKE, names)).fetchall()]
    kept = [
        Addition(
            names["hash"], SuppressionEntry(one.scope, one.reason, one.source, "", one.expires_at), one.owner,
            one.only_for, one.topic, one.source_id, one.actor, one.created_at,
        )
        for one in taken
    ]  # fmt: skip
    await add(connection, kept, told=False)
    await connection.execute(_HISTORY, names)


async def forbid(
    connection: Connection, application_id: UUID, address: str, scope: SuppressionScope, source: Source, actor: str
) -> None:
    """From now on no mail of that kind of this application goes to the address, of which only the hash is kept."""
    entry = SuppressionEntry(scope, Reason.UNSUBSCRIBE, source, WHY)
    await add(connection, [Addition(hashed(address), entry, None, application_id, actor=actor)], told=False)
