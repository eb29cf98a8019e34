"""A contact's mail goes to another address from now on, and where that one is a contact too, the two become one.

The one at the new address keeps its id and what it has, and gets what it lacks; applications hear that the other one is
gone. Of two places on a list the one that changed last stands, as with choices, but one that is unconfirmed is nobody's
word: it replaces none and gives way to any; consent that either gave is given. The histories become one.

Works on the caller's connection and never commits.
"""

from dataclasses import replace
from typing import Final

from audience import contact_history, contact_telling, contacts, newly_confirmed, properties
from audience.choices import Person
from audience.contact_fields import FIELDS, checked_email
from audience.contact_history import Changed, ContactAct
from audience.contacts import Contact, Status
from audience.importing import merging
from audience.membership import MemberStatus
from core.addresses import Mailbox
from store.database import Connection
from webhooks.kinds import EventType

_JOIN_LISTS: Final = f"""
INSERT INTO segment_members AS m (segment_id, contact_id, status, added_at, changed_at)
SELECT segment_id, %(to)s, status, added_at, changed_at FROM segment_members
 WHERE contact_id = %(from)s ORDER BY segment_id
ON CONFLICT (segment_id, contact_id) DO UPDATE SET status = EXCLUDED.status, changed_at = EXCLUDED.changed_at
  WHERE (m.changed_at < EXCLUDED.changed_at OR m.status = '{MemberStatus.UNCONFIRMED}')
    AND EXCLUDED.status <> '{MemberStatus.UNCONFIRMED}'
"""

_UNPROVED: Final = f"""
UPDATE segment_members SET status = '{MemberStatus.UNCONFIRMED}', changed_at = now()
 WHERE contact_id = %s AND status = '{MemberStatus.CONFIRMED}'
"""


async def move(
    connection: Connection, person: Person, email: str, act: ContactAct, *, trusted: bool = True
) -> Contact | None:
    """The contact as it is at the other address; None when the person is none. The caller holds both addresses
    (`choices.alone_at`); imports hold none, so none brings the other one in before this is over. Not
    `trusted`: it is nobody's word that the same person reads mail there, so consent stays behind."""
    mailbox = checked_email(email)
    await merging.none_beside(connection, person.application_id)
    # In the order in which imports lock contacts, and whoever else holds several: nobody waits in a circle.
    there = {
        address: await contacts.locked(connection, replace(person, address=address))
        for address in sorted({person.address, mailbox.key})
    }
    known, other = there[person.address], there[mailbox.key]
    if known is None:
        return None
    if not trusted:
        known = replace(known, status=Status.UNCONFIRMED)
        await connection.execute(_UNPROVED, [known.id])
    if other is None or other.id == known.id:
        return await _readdressed(connection, known, mailbox, act)
    return await _merged(connection, known, other, act)


async def _readdressed(connection: Connection, known: Contact, mailbox: Mailbox, act: ContactAct) -> Contact:
    moved = await contacts.write(connection, known, {"email": mailbox.wire, "address": mailbox.key})
    await contact_history.note(connection, known.id, known.application_id, Changed.ADDRESS_CHANGED, act)
    return moved


async def _merged(connection: Connection, known: Contact, other: Contact, act: ContactAct) -> Contact:
    await contact_telling.tell(connection, EventType.CONTACT_DELETED, [known])
    await connection.execute(_JOIN_LISTS, {"from": known.id, "to": other.id})
    await contact_history.pass_on(connection, known.id, other.id)
    await newly_confirmed.pass_on(connection, known.id, other.id)
    await contacts.remove(connection, [known.id])
    wanted: dict[str, object] = {name: getattr(other, name) or getattr(known, name) for name in FIELDS}
    wanted["properties"] = properties.joined(other.properties, known.properties)
    given = [one.confirmed_at for one in (known, other) if one.status is Status.CONFIRMED]
    wanted["status"] = contacts.status_of(confirmed=bool(given)).value
    wanted["confirmed_at"] = max(filter(None, given), default=None)
    merged = await contacts.write(connection, other, wanted)
    detail = {"contact_id": str(known.id)}
    await contact_history.note(connection, other.id, other.application_id, Changed.MERGED, act, detail)
    return merged
