"""Complaints that their authors take back (RFC 6430): the entries they caused go, and what they had replaced returns.

A complaint weighs more than any other decision and takes its place. When it goes, an unsubscription that stood before
stands again: who takes back "spam" has not asked for the newsletter. Where the person complained about further mail of
the kind, the entry stays and names that mail from then on.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from core.queues import Lane
from store import arrays
from store.database import Connection
from suppression import history
from suppression.adding import add
from suppression.entries import Addition, Suppression
from suppression.history import KEEP
from suppression.reasons import Reason, Source, SuppressionEntry
from suppression.removing import Remover, remove_ids
from suppression.rows import columns, suppression
from suppression.scopes import ID_LENGTH, WORD

WHO: Final = Remover("feedback loop", None, "the recipient took the complaint back (not-spam report)")

_CAUSED = f"""
SELECT {columns("s")} FROM suppressions s
 WHERE s.reason = 'complaint' AND s.source = '{Source.FEEDBACK_LOOP}'
   AND (s.address, s.source_id) IN (SELECT * FROM unnest(%s::text[], %s::uuid[]))
"""

# A complaint of before an operator took the entry away was forgiven with it. Only who takes a complaint back waits for
# this: it reads all that is stored of the mail to one address.
_PASS_ON = f"""
WITH other AS (
  SELECT DISTINCT ON (s.id) s.id, v.email_id, v.detail, e.application_id FROM suppressions s
    JOIN messages m ON m.address = s.address AND NOT m.capture
    JOIN events v ON v.email_id = m.email_id AND v.position = m.position AND v.kind = 'complained'
    JOIN emails e ON e.id = m.email_id
     AND e.lane = CASE {WORD} WHEN '{Lane.MARKETING}' THEN '{Lane.MARKETING}' ELSE '{Lane.TRANSACTIONAL}' END
   WHERE s.id = ANY(%(ids)s)
     AND (length(s.scope) < {ID_LENGTH} OR left(s.scope, {ID_LENGTH}) = e.application_id::text)
     AND NOT EXISTS (SELECT FROM events w WHERE w.email_id = v.email_id AND w.position = v.position
                        AND w.kind = 'complaint_withdrawn' AND w.at >= v.at)
     AND NOT EXISTS (SELECT FROM suppression_history h WHERE h.address = s.address AND h.scope = s.scope
                        AND h.ended = 'removed' AND h.ended_by <> %(who)s AND h.ended_at > v.at)
   ORDER BY s.id, v.at), kept AS (
  {KEEP}, 'replaced', %(who)s, %(why)s FROM other JOIN suppressions s USING (id))
UPDATE suppressions s SET source_id = other.email_id, detail = other.detail, owner_id = other.application_id
  FROM other WHERE s.id = other.id RETURNING s.id
"""


async def withdraw(connection: Connection, complaints: Sequence[tuple[str, UUID]]) -> int:
    """Complaints by folded address and the email they were about. Returns how many entries went."""
    if not complaints:
        return 0
    addresses, emails = [address for address, _ in complaints], arrays.uuids(email for _, email in complaints)
    rows = await (await connection.execute(_CAUSED, [addresses, emails])).fetchall()
    held = await _held_by_others(connection, [row[0] for row in rows])
    caused = [suppression(row) for row in rows if row[0] not in held]
    before = [addition for one in caused for addition in await _before(connection, one)]
    removal = await remove_ids(connection, [one.id for one in caused], WHO)
    if before:
        await add(connection, before)
    return len(removal.removed)


async def _held_by_others(connection: Connection, entries: Sequence[UUID]) -> set[UUID]:
    """Those of these entries that another complaint stands for, which they name now."""
    if not entries:
        return set()
    names = {"ids": list(entries), "who": WHO.name, "why": WHO.why}
    return {row[0] for row in await (await connection.execute(_PASS_ON, names)).fetchall()}


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
