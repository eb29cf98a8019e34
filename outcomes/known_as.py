"""As what an application knows one person: addresses and ids of contacts, those that they had before too.

Mail, choices and whatever goes by address stay where they were when somebody gets another one (`audience/earlier`). Of
two contacts that became one the history knows the id of the one that went; one that was deleted is known by its
history, which has the hash of the address, and by mail that is stored still.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from audience import choices, contacts, earlier
from audience.choices import Person
from audience.contact_history import Changed
from audience.contacts import Contact
from audience.importing import merging
from core.refusal import conflict
from store.database import Connection
from suppression.subjects import hashed

_CONTACTS: Final = f"""
WITH RECURSIVE theirs(id) AS (
  SELECT id FROM (
    SELECT unnest(%(living)s::uuid[]) AS id
    UNION ALL
    SELECT contact_id FROM contact_history WHERE application_id = %(application)s AND what = '{Changed.DELETED}'
       AND detail->>'address_hash' = ANY(%(hashes)s)
    UNION ALL
    SELECT e.contact_id FROM messages m CROSS JOIN LATERAL (
      SELECT contact_id, application_id FROM emails WHERE id = m.email_id OFFSET 0) e
     WHERE m.address = ANY(%(addresses)s) AND e.application_id = %(application)s AND e.contact_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM contacts c WHERE c.id = e.contact_id)) known
  UNION
  SELECT (h.detail->>'contact_id')::uuid FROM theirs t JOIN contact_history h ON h.contact_id = t.id
   WHERE h.what = '{Changed.MERGED}')
SELECT id FROM theirs ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class KnownAs:
    """All names of a person."""

    person: Person
    """Whom somebody asked for."""
    contact: Contact | None
    addresses: tuple[str, ...]
    """Theirs, in order."""
    beside: tuple[str, ...]
    """Addresses of others whose history names one of theirs."""
    contacts: tuple[UUID, ...]
    """Theirs, with those that are no more."""

    @property
    def people(self) -> list[Person]:
        """One for each address."""
        return [Person(self.person.application_id, address) for address in self.addresses]


async def of(connection: Connection, person: Person) -> KnownAs:
    """As what somebody is known now."""
    found = await earlier.of(connection, person)
    addresses = tuple(sorted({person.address, *found.addresses}))
    contact = await contacts.find(connection, person.application_id, person.address)
    ids = await contacts_of(connection, person.application_id, addresses, [contact.id] if contact else ())
    return KnownAs(person, contact, addresses, found.beside, ids)


async def held(connection: Connection, person: Person) -> KnownAs:
    """The same; until the end of the transaction nobody decides for any of these addresses, and no list brings one in.
    Raises Refused when somebody moves them at this moment."""
    before = {person.address, *(await earlier.of(connection, person)).addresses}
    await choices.alone_at(connection, person.application_id, before)
    await merging.none_beside(connection, person.application_id)
    found = await of(connection, person)
    if not before.issuperset(found.addresses):
        raise conflict("somebody else changes this contact right now", "Ask again.")
    return found


async def contacts_of(
    connection: Connection, application_id: UUID, addresses: Sequence[str], living: Sequence[UUID] = ()
) -> tuple[UUID, ...]:
    """Contacts that were at these addresses and are no more, and the `living` ones with those that became one with
    them."""
    names = {
        "application": application_id, "addresses": list(addresses), "living": list(living),
        "hashes": [hashed(address) for address in addresses],
    }  # fmt: skip
    return tuple(row[0] for row in await (await connection.execute(_CONTACTS, names)).fetchall())
