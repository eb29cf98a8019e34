"""What people take back: complaints (RFC 6430), and that they unsubscribed. The entry goes, and what it had taken the
place of returns.

A complaint weighs more than any other decision and takes its place. When it goes, an unsubscription that stood before
stands again: who takes back "spam" has not asked for the newsletter. So does what an application or an operator had
said before a person left all mail: it cannot be lifted by leaving and coming back. Where the person complained about
further mail of the kind, the entry stays and names that mail from then on.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from core.queues import Lane
from store import arrays
from store.database import Connection
from suppression import history
from suppression.adding import add
from suppression.entries import Addition, Suppression
from suppression.history import KEEP
from suppression.reasons import Reason, Source, SuppressionEntry, lighter
from suppression.removing import Remover, remove_ids
from suppression.rows import NAMES
from suppression.scopes import ID_LENGTH, WORD

WHO: Final = Remover("feedback loop", None, "the recipient took the complaint back (not-spam report)")

_CAUSED = f"""
SELECT s.id FROM suppressions s
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

_STAND_BEHIND = f"""
INSERT INTO suppression_history (suppression_id, {", ".join(NAMES[1:])}, ended, ended_by, why)
SELECT s.id, s.address, s.scope, %(reason)s, %(source)s, %(detail)s, %(note)s, now(), %(expires_at)s, %(owner)s,
       %(source_id)s, %(actor)s, 'replaced', %(actor)s, s.reason
  FROM suppressions s WHERE s.id = %(id)s AND s.reason <> %(reason)s
   AND NOT EXISTS (SELECT FROM suppression_history h
                    WHERE h.suppression_id = s.id AND h.ended = 'replaced' AND h.reason = %(reason)s)
"""


async def withdraw(connection: Connection, complaints: Sequence[tuple[str, UUID]]) -> int:
    """Complaints by folded address and the email they were about. Returns how many entries went."""
    if not complaints:
        return 0
    addresses, emails = [address for address, _ in complaints], arrays.uuids(email for _, email in complaints)
    rows = await (await connection.execute(_CAUSED, [addresses, emails])).fetchall()
    held = await _held_by_others(connection, [row[0] for row in rows])
    return await take_back(connection, [row[0] for row in rows if row[0] not in held], Reason.COMPLAINT, WHO)


async def take_back(connection: Connection, entries: Sequence[UUID], reason: Reason, who: Remover) -> int:
    """These entries, which have this reason, go, and what they had taken the place of stands again. How many went."""
    before = [await _before(connection, one, reason) for one in entries]
    removal = await remove_ids(connection, entries, who)
    for additions in before:
        for addition in additions:  # one by one, so that each is kept in the history of the one that takes its place
            await add(connection, [addition], told=addition is additions[-1])
    return len(removal.removed)


async def stand_behind(connection: Connection, entry: UUID, addition: Addition) -> bool:
    """Keep a decision that found its place taken by an entry that weighs more: it stands when that one is taken back.
    False: it stands already, or was kept before."""
    terms = addition.entry
    names = {
        "id": entry, "reason": terms.reason, "source": terms.source, "detail": terms.detail, "note": terms.note,
        "expires_at": terms.expires_at, "owner": addition.owner, "source_id": addition.source_id,
        "actor": addition.actor,
    }  # fmt: skip
    return (await connection.execute(_STAND_BEHIND, names)).rowcount == 1


async def _held_by_others(connection: Connection, entries: Sequence[UUID]) -> set[UUID]:
    """Those of these entries that another complaint stands for, which they name now."""
    if not entries:
        return set()
    names = {"ids": list(entries), "who": WHO.name, "why": WHO.why}
    return {row[0] for row in await (await connection.execute(_PASS_ON, names)).fetchall()}


async def _before(connection: Connection, entry: UUID, reason: Reason) -> list[Addition]:
    """The decisions of less weight that it took the place of, oldest first, as far as their time is not over."""
    ended = await history.of_entry(connection, entry)
    replaced = [one.entry for one in reversed(ended) if one.ended == "replaced" and lighter(one.entry.reason, reason)]
    now = datetime.now(UTC)
    return [_again(one) for one in replaced if one.expires_at is None or one.expires_at > now]


def _again(entry: Suppression) -> Addition:
    terms = SuppressionEntry(entry.scope, entry.reason, entry.source, entry.detail, entry.expires_at, entry.note)
    return Addition(
        entry.address, terms, entry.owner, entry.only_for, entry.topic, entry.source_id, entry.actor, entry.created_at
    )
