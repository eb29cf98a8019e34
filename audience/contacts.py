"""Contacts: the people an application writes to, each one folded address in one application.

`status` says whether consent is proved, and nothing else. That somebody *left* stands in the suppression list
(`unsubscribed` asks it) and in choices, which go by address and outlive the contact: who left stays so when a list is
brought in again. Every change leaves a row of history (`audience/contact_history`); what changes nothing leaves none.

Whoever changes a contact holds the person first (`choices.alone`), then the row: one order for all doors. Every
function works on the caller's connection and never commits; applications are told by `audience/contact_telling`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience import choices, contact_history, properties
from audience.choices import Person
from audience.contact_fields import FIELDS, checked_email, checked_fields
from audience.contact_history import Changed, ContactAct
from audience.properties import Value
from core.addresses import AddressError, fold_address
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.records import record
from core.refusal import conflict, not_found
from store import arrays
from store.database import Connection
from store.paging import newest_first
from suppression.predicate import left_all


class Status(StrEnum):
    """Whether consent is proved. The values are stored."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"


@record(frozen=True, slots=True)
class Contact:
    """A stored contact."""

    id: UUID
    application_id: UUID
    address: str
    """Folded."""
    email: str
    """As it was written."""
    first_name: str | None
    last_name: str | None
    language: str | None
    time_zone: str | None
    properties: Mapping[str, Value] = field(hash=False)
    status: Status
    confirmed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def person(self) -> Person:
        """Whose choices are theirs."""
        return Person(self.application_id, self.address)


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of a contact; what is not named stays, None clears."""

    fields: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    properties: Mapping[str, object] = field(default_factory=dict, hash=False)
    confirm: bool = False
    """Consent is proved from now on."""
    proof: Mapping[str, object] = field(default_factory=dict, hash=False)
    """How: kept with it."""


@dataclass(frozen=True, slots=True)
class Made:
    """A contact as it stands after `create`."""

    contact: Contact
    created: bool
    """False: there was one of this address, which got what was given."""


_TRIES: Final = 3
"""To find a contact that gets another address while we wait for it."""

COLUMNS: Final = (
    "id", "application_id", "address", "email", "first_name", "last_name", "language", "time_zone", "properties",
    "status", "confirmed_at", "created_at", "updated_at",
)  # fmt: skip
_COLUMNS: Final = ", ".join(COLUMNS)

_INSERT: Final = f"""
INSERT INTO contacts (id, application_id, address, email, first_name, last_name, language, time_zone, properties,
                      status, confirmed_at)
VALUES (%(id)s, %(application_id)s, %(address)s, %(email)s, %(first_name)s, %(last_name)s, %(language)s, %(time_zone)s,
        %(properties)s, %(status)s, CASE WHEN %(status)s = '{Status.CONFIRMED}' THEN now() END)
ON CONFLICT (application_id, address) DO NOTHING RETURNING {_COLUMNS}
"""

_UPDATE: Final = f"""
UPDATE contacts SET first_name = %(first_name)s, last_name = %(last_name)s, language = %(language)s,
  time_zone = %(time_zone)s, properties = %(properties)s, status = %(status)s, email = %(email)s,
  address = %(address)s, updated_at = now(),
  confirmed_at = CASE WHEN %(status)s = '{Status.CONFIRMED}' THEN coalesce(%(confirmed_at)s::timestamptz, now()) END
 WHERE id = %(id)s RETURNING {_COLUMNS}
"""

_LEFT: Final = f"""
SELECT c.id FROM unnest(%(ids)s::uuid[], %(applications)s::uuid[], %(addresses)s::text[])
                 AS c(id, application_id, address)
 WHERE {left_all("c")}
"""


def named(text: str) -> UUID | str:
    """What somebody names a contact by: its id, or its address (folded here). Raises Refused: it is neither."""
    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        return fold_address(text)
    except AddressError as error:
        raise not_found(f"{text[:200]!r} is neither an id nor an address: {error.reason}", code=error.code) from None


async def create(connection: Connection, application_id: UUID, email: str, changes: Changes, act: ContactAct) -> Made:
    """A contact with this address; one that is there already gets what is given. Two who make the same at one time
    make one. Raises Refused for what cannot be."""
    mailbox = checked_email(email)
    await choices.alone(connection, Person(application_id, mailbox.key))
    definitions = await properties.for_writing(connection, application_id)
    values = properties.merged({}, properties.checked(changes.properties, definitions))
    names: dict[str, object] = {
        "id": uuid7(), "application_id": application_id, "address": mailbox.key, "email": mailbox.wire,
        **dict.fromkeys(FIELDS), **checked_fields(changes.fields), "properties": Jsonb(values),
        "status": status_of(confirmed=changes.confirm).value,
    }  # fmt: skip
    row = await (await connection.execute(_INSERT, names)).fetchone()
    if row is None:
        known = await held(connection, application_id, mailbox.key)
        return Made(await change(connection, known, changes, act), created=False)
    made = _contact(row)
    await contact_history.note(connection, made.id, application_id, Changed.CREATED, act)
    if changes.confirm:
        await contact_history.note(connection, made.id, application_id, Changed.CONFIRMED, act, changes.proof)
    return Made(made, created=True)


async def confirmed_anew(connection: Connection, contact_id: UUID) -> None:
    """A newer yes of somebody who is confirmed: their silence counts from here. The history keeps the first."""
    await connection.execute("UPDATE contacts SET confirmed_at = now(), updated_at = now() WHERE id = %s", [contact_id])


async def find(connection: Connection, application_id: UUID, wanted: UUID | str) -> Contact | None:
    """A contact of the application by id, or by folded address."""
    which = "id" if isinstance(wanted, UUID) else "address"
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contacts WHERE {which} = %s AND application_id = %s", [wanted, application_id]
    )
    row = await cursor.fetchone()
    return _contact(row) if row else None


async def get(connection: Connection, application_id: UUID, wanted: UUID | str) -> Contact:
    """The same. Raises Refused when there is none."""
    found = await find(connection, application_id, wanted)
    if found is None:
        raise not_found("Contact not found")
    return found


async def held(connection: Connection, application_id: UUID, wanted: UUID | str) -> Contact:
    """The same for whoever changes it: until the end of the transaction nobody else does. Raises Refused when there is
    none, also when it went while we waited."""
    for _ in range(_TRIES):
        found = await get(connection, application_id, wanted)
        await choices.alone(connection, found.person)
        known = await locked(connection, found.person)
        if known is not None and known.id == found.id:
            return known
    raise conflict("somebody else changes this contact right now", "Ask again.")


async def by_ids(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Contact]:
    """Contacts by id; who is gone is left out."""
    if not ids:
        return {}
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contacts WHERE id = ANY(%s::uuid[])", [arrays.uuids(ids)]
    )
    return {row[0]: _contact(row) for row in await cursor.fetchall()}


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Contact]:
    """The application's contacts, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contacts WHERE application_id = %(application)s AND {condition}"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_contact)


async def beginning_with(connection: Connection, application_id: UUID, text: str, most: int) -> list[str]:
    """Addresses of contacts that begin with a folded text, in their order."""
    cursor = await connection.execute(
        # Bounds of the index on addresses, whose order is that of bytes: nothing that begins so comes after the second.
        "SELECT email FROM contacts WHERE application_id = %s AND address >= %s AND address < %s"
        " ORDER BY address LIMIT %s",
        [application_id, text, f"{text}\U0010ffff", most],
    )
    return [row[0] for row in await cursor.fetchall()]


async def page_of_list(connection: Connection, segment_id: UUID, window: Window[UUID]) -> Page[Contact]:
    """Contacts on a list, newest first; without those who left it. Walks the list's own index."""
    condition, order, names = newest_first(window, "contact_id")
    cursor = await connection.execute(
        # The members first: joined freely, the planner walks all contacts to find the first hundred members among them.
        f"WITH m AS MATERIALIZED (SELECT contact_id FROM segment_members"
        f" WHERE segment_id = %(segment)s AND status <> 'unsubscribed' AND {condition}"
        f" ORDER BY contact_id {order} LIMIT %(limit)s)"
        f" SELECT {', '.join(f'c.{name}' for name in COLUMNS)} FROM m JOIN contacts c ON c.id = m.contact_id"
        f" ORDER BY m.contact_id {order}",
        names | {"segment": segment_id},
    )
    return cut(await cursor.fetchall(), window).map(_contact)


async def update(
    connection: Connection, application_id: UUID, wanted: UUID | str, changes: Changes, act: ContactAct
) -> Contact:
    """Change a contact. Raises Refused: there is none, or a value cannot be."""
    return await change(connection, await held(connection, application_id, wanted), changes, act)


async def change(connection: Connection, known: Contact, changes: Changes, act: ContactAct) -> Contact:
    """The same for one that the caller holds."""
    definitions = await properties.for_writing(connection, known.application_id) if changes.properties else {}
    values = properties.checked(changes.properties, definitions)
    wanted = checked_fields(changes.fields)
    wanted["properties"] = properties.merged(known.properties, values)
    found = {name: [getattr(known, name), value] for name, value in wanted.items() if getattr(known, name) != value}
    confirms = changes.confirm and known.status is not Status.CONFIRMED
    if not found and not confirms:
        return known
    status = Status.CONFIRMED if confirms else known.status
    changed = await write(connection, known, wanted | {"status": status.value})
    if found:
        detail = {"changed": _told(found)}
        await contact_history.note(connection, known.id, known.application_id, Changed.UPDATED, act, detail)
    if confirms:
        await contact_history.note(connection, known.id, known.application_id, Changed.CONFIRMED, act, changes.proof)
    return changed


async def delete(connection: Connection, application_id: UUID, wanted: UUID | str, act: ContactAct) -> Contact:
    """Take a contact away, with its places on lists. What the person chose stays, and so does the history, which names
    nobody, for its time. Raises Refused when there is none."""
    found = await held(connection, application_id, wanted)
    await remove(connection, [found.id])
    await contact_history.note_deleted(connection, [(application_id, found.id, found.address)], act)
    return found


async def unsubscribed(connection: Connection, contacts: Sequence[Contact]) -> set[UUID]:
    """The ids of those who left all marketing mail of their application."""
    if not contacts:
        return set()
    names = {
        "ids": [one.id for one in contacts],
        "applications": [one.application_id for one in contacts],
        "addresses": [one.address for one in contacts],
    }
    return {row[0] for row in await (await connection.execute(_LEFT, names)).fetchall()}


async def forget(connection: Connection, contacts: Sequence[UUID]) -> None:
    """Somebody is erased: contact, places on lists and history."""
    await remove(connection, contacts)
    await contact_history.forget(connection, contacts)


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone, and with it what describes its contacts; they themselves go by `forgetting`."""
    await properties.forget_application(connection, application_id)


async def locked(connection: Connection, person: Person) -> Contact | None:
    """The contact of a person, if they are one; until the end of the transaction nobody else changes it."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contacts WHERE application_id = %s AND address = %s FOR UPDATE",
        [person.application_id, person.address],
    )
    row = await cursor.fetchone()
    return _contact(row) if row else None


async def write(connection: Connection, known: Contact, wanted: Mapping[str, object]) -> Contact:
    """The row of a contact that is held, with other values in it."""
    names = {name: getattr(known, name) for name in COLUMNS} | dict(wanted)
    row = await (await connection.execute(_UPDATE, names | {"properties": Jsonb(names["properties"])})).fetchone()
    assert row is not None, "it is held"
    return _contact(row)


async def remove(connection: Connection, contacts: Sequence[UUID]) -> None:
    """Contacts and their places on lists. Nobody hears of it, and no history says so: that is for the caller."""
    await connection.execute("DELETE FROM segment_members WHERE contact_id = ANY(%s)", [list(contacts)])
    await connection.execute("DELETE FROM contacts WHERE id = ANY(%s)", [list(contacts)])


def _told(found: Mapping[str, Sequence[object]]) -> dict[str, object]:
    """What was and what is, field by field; of properties only those that differ."""
    told: dict[str, object] = {name: list(pair) for name, pair in found.items() if name != "properties"}
    if "properties" in found:
        was, now = found["properties"]
        assert isinstance(was, Mapping) and isinstance(now, Mapping)
        keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        told |= {f"properties.{key}": [was.get(key), now.get(key)] for key in keys}
    return told


def status_of(*, confirmed: bool) -> Status:
    return Status.CONFIRMED if confirmed else Status.UNCONFIRMED


def _contact(row: Sequence[Any]) -> Contact:
    identifier, application, address, email, first, last, language, zone, values, status, *times = row
    return Contact(
        identifier, application, address, email, first, last, language, zone, values, Status(status), *times
    )  # fmt: skip
