"""Complaints that their authors take back (RFC 6430): the entries they caused go, and what they had replaced returns.

A complaint weighs more than any other decision and takes its place. When it goes, an unsubscription that stood before
stands again: who takes back "spam" has not asked for the newsletter.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from store import arrays
from store.database import Connection
from suppression import history
from suppression.adding import add
from suppression.entries import Addition, Suppression
from suppression.reasons import Reason, Source, SuppressionEntry
from suppression.removing import Remover, remove_ids
from suppression.rows import columns, suppression

WHO: Final = Remover("feedback loop", None, "the recipient took the complaint back (not-spam report)")

_CAUSED = f"""
SELECT {columns("s")} FROM suppressions s
 WHERE s.reason = 'complaint' AND s.source = '{Source.FEEDBACK_LOOP}'
   AND (s.address, s.source_id) IN (SELECT * FROM unnest(%s::text[], %s::uuid[]))
"""


async def withdraw(connection: Connection, complaints: Sequence[tuple[str, UUID]]) -> int:
    """Complaints by folded address and the email they were about. Returns how many entries went."""
    if not complaints:
        return 0
    addresses, emails = [address for address, _ in complaints], arrays.uuids(email for _, email in complaints)
    rows = await (await connection.execute(_CAUSED, [addresses, emails])).fetchall()
    caused = [suppression(row) for row in rows]
    before = [addition for one in caused for addition in await _before(connection, one)]
    removal = await remove_ids(connection, [one.id for one in caused], WHO)
    if before:
        await add(connection, before)
    return len(removal.removed)


async def _before(connection: Connection, complaint: Suppression) -> list[Addition]:
    """The decision that the complaint took the place of, if it is still one."""
    for ended in await history.of_entry(connection, complaint.id):
        entry = ended.entry
        if ended.ended == "replaced" and entry.reason is not Reason.COMPLAINT:
            terms = SuppressionEntry(
                entry.scope, entry.reason, entry.source, entry.detail, entry.expires_at, entry.note
            )
            addition = Addition(
                entry.address, terms, entry.owner, entry.only_for, entry.topic, entry.source_id, entry.actor,
                entry.created_at,
            )  # fmt: skip
            return [addition]
    return []
