"""Who said yes a moment ago, and who is new on a list: told once, to the automations that wait for that.

A row is written in the transaction that confirms, and taken in the one that begins what follows: no kill between the
two loses anybody or takes anybody twice. Nothing is written while no automation of the application waits. Imports write
nothing: whoever brings a list from elsewhere does not mean to welcome everybody on it.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from store.database import Connection

CONFIRMED: Final = "postlane:contact.confirmed"
"""Name of the event, as automations name it."""

_NOTE: Final = f"""
INSERT INTO confirmed_contacts (application_id, contact_id, segment_id)
SELECT %(application)s, contact_id, %(segment)s FROM unnest(%(contacts)s::uuid[]) AS u(contact_id)
 WHERE EXISTS (SELECT FROM automations a WHERE a.application_id = %(application)s AND a.event_name = '{CONFIRMED}'
                  AND a.state = 'enabled')
"""

_TAKE: Final = """
DELETE FROM confirmed_contacts
 WHERE id = ANY(ARRAY(SELECT id FROM confirmed_contacts ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
RETURNING application_id, contact_id, segment_id
"""

WAIT: Final = "(SELECT true FROM confirmed_contacts ORDER BY id LIMIT 1) IS NOT NULL"
"""Condition: there is news of somebody."""

# Whoever holds a row of them waits for the contact that is being changed here: nobody waits for him.
_FREE: Final = (
    "id = ANY(ARRAY(SELECT id FROM confirmed_contacts WHERE contact_id = ANY(%(contacts)s) FOR UPDATE SKIP LOCKED))"
)


class Confirmed(NamedTuple):
    """A contact who is confirmed now, or on a list now."""

    application_id: UUID
    contact_id: UUID
    segment_id: UUID | None
    """The list; None: consent itself."""


async def note(connection: Connection, application_id: UUID, contacts: Sequence[UUID], segment_id: UUID | None) -> None:
    """These are."""
    names = {"application": application_id, "contacts": list(contacts), "segment": segment_id}
    await connection.execute(_NOTE, names)


async def take(connection: Connection, most: int) -> list[Confirmed]:
    """The oldest of them, for whoever does what follows in this transaction."""
    rows = await (await connection.execute(_TAKE, [most])).fetchall()
    return [Confirmed(*row) for row in rows]


async def pass_on(connection: Connection, contact_id: UUID, to: UUID) -> None:
    """Two contacts are one: the other is the one now."""
    await connection.execute(
        f"UPDATE confirmed_contacts SET contact_id = %(to)s WHERE {_FREE}", {"contacts": [contact_id], "to": to}
    )


async def forget(connection: Connection, contacts: Sequence[UUID]) -> None:
    """Somebody is erased."""
    await connection.execute(f"DELETE FROM confirmed_contacts WHERE {_FREE}", {"contacts": list(contacts)})


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone."""
    await connection.execute("DELETE FROM confirmed_contacts WHERE application_id = %s", [application_id])
