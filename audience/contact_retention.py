"""What of contacts goes by itself: people whom nobody confirmed in time, and the history of contacts that are gone.

In steps of a transaction each, so that nobody waits for a million rows. Whether somebody is asked for a yes right now
is looked at: an import's mails go out at a pace, and its last people may be asked after months.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from audience import contact_history, contact_telling, contacts
from audience.contact_history import Changed, ContactAct, ContactSource
from audience.contacts import Contact, Status
from store.database import Connection, Database
from webhooks.kinds import EventType


@dataclass(frozen=True, slots=True)
class ContactDays:
    """How long is kept."""

    unconfirmed: int = 0
    """Whom nobody confirmed; 0: for ever."""
    history: int = 365
    """Of contacts that were deleted."""


STEP: Final = 1000
"""Contacts of one transaction."""

# An id begins with its moment, so that the oldest stand first in the index of ids.
_UNCONFIRMED: Final = f"""
SELECT c.id FROM contacts c
 WHERE c.status = '{Status.UNCONFIRMED}' AND c.created_at < now() - make_interval(days => %(days)s) AND c.id > %(after)s
   AND NOT EXISTS (SELECT FROM confirmations f WHERE f.application_id = c.application_id AND f.address = c.address
                      AND f.confirmed_at IS NULL AND f.expires_at > now())
 ORDER BY c.id LIMIT %(step)s FOR UPDATE OF c SKIP LOCKED
"""

_HISTORY: Final = f"""
WITH gone AS (
  SELECT contact_id FROM contact_history
   WHERE what = '{Changed.DELETED}' AND at < now() - make_interval(days => %(days)s) LIMIT %(step)s)
DELETE FROM contact_history h USING gone WHERE h.contact_id = gone.contact_id
"""


async def forget_unconfirmed(database: Database, days: int) -> int:
    """Delete contacts that nobody confirmed in so many days (0: none), each with a word to their application. How
    many."""
    total, after = 0, UUID(int=0)
    while days:
        async with database.transaction() as connection:
            names = {"days": days, "after": after, "step": STEP}
            ids = [row[0] for row in await (await connection.execute(_UNCONFIRMED, names)).fetchall()]
            await _forget(connection, list((await contacts.by_ids(connection, ids)).values()))
        total += len(ids)
        if len(ids) < STEP:
            break
        after = ids[-1]
    return total


async def forget_history(database: Database, days: int) -> None:
    """Delete the history of contacts that were deleted so many days ago."""
    more = True
    while more:
        async with database.transaction() as connection:
            more = (await connection.execute(_HISTORY, {"days": days, "step": STEP})).rowcount > 0


async def _forget(connection: Connection, found: list[Contact]) -> None:
    await contact_telling.tell(connection, EventType.CONTACT_DELETED, found)
    await contacts.remove(connection, [one.id for one in found])
    if found:
        gone = [(one.application_id, one.id, one.address) for one in found]
        await contact_history.note_deleted(connection, gone, ContactAct(ContactSource.RETENTION))
