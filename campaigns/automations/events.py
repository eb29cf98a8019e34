"""Events that applications tell: their definitions, and the runs that they begin.

An event is stored with the runs it begins in one transaction, and only then answered. It names a contact, or an
address: one that is no contact becomes one, unconfirmed, for an event is no consent. Mail of transactional topics
reaches them, no other does. An event that nobody waits for is stored all the same.

Every function works on the caller's connection and never commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience import contact_telling, contacts
from audience.contact_fields import checked_email
from audience.contact_history import ContactAct
from audience.contacts import Changes, Contact
from campaigns.automations import payload as payloads
from campaigns.automations import repository, runs
from campaigns.automations.workflow import event_name
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import conflict, invalid, not_found
from store.database import Connection
from store.paging import newest_first
from webhooks.kinds import EventType

MOST: Final = 1000
"""Definitions of one application."""

_COLUMNS: Final = "id, application_id, name, schema, created_at, updated_at"


@dataclass(frozen=True, slots=True)
class Definition:
    """An event that is known by its name; with a schema its payload is checked."""

    id: UUID
    application_id: UUID
    name: str
    schema: Mapping[str, str] | None = field(hash=False)
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Happened:
    """What an application tells: about a contact, or an address."""

    name: str
    contact_id: UUID | None
    email: str
    payload: object


@dataclass(frozen=True, slots=True)
class Told:
    """An event that is stored."""

    id: UUID
    name: str
    contact: Contact
    runs: int
    """How many it began."""


async def tell(connection: Connection, application_id: UUID, happened: Happened, act: ContactAct) -> Told:
    """Store an event, and begin what waits for it. Raises Refused."""
    name = event_name(happened.name, "event")
    known = await _named(connection, application_id, name)
    payload = payloads.fitting(happened.payload, known.schema if known else None)
    contact = await _contact(connection, application_id, happened, act)
    identifier = uuid7()
    cursor = await connection.execute(
        "INSERT INTO application_events (id, application_id, name, contact_id, payload)"
        " SELECT %s, %s, %s, id, %s FROM contacts WHERE id = %s FOR KEY SHARE",
        [identifier, application_id, name, Jsonb(payload), contact.id],
    )
    if cursor.rowcount == 0:
        raise conflict("the contact was deleted at this moment", "Ask again.")
    begun = 0
    for automation in await repository.waiting_for(connection, application_id, name):
        begun += await runs.enter(connection, automation, [contact.id], str(identifier), identifier)
    return Told(identifier, name, contact, begun)


async def payloads_of(connection: Connection, events: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """What these carried."""
    if not events:
        return {}
    cursor = await connection.execute("SELECT id, payload FROM application_events WHERE id = ANY(%s)", [list(events)])
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def define(connection: Connection, application_id: UUID, name: object, schema: object) -> Definition:
    """A new definition. Raises Refused."""
    called, known = event_name(name), payloads.schema(schema)
    await connection.execute("SELECT FROM applications WHERE id = %s FOR NO KEY UPDATE", [application_id])
    if await _named(connection, application_id, called) is not None:
        raise conflict(f"there is an event {called!r} already")
    cursor = await connection.execute(
        f"INSERT INTO event_definitions (id, application_id, name, schema) SELECT %(id)s, %(application)s, %(name)s,"
        f" %(schema)s WHERE (SELECT count(*) FROM event_definitions WHERE application_id = %(application)s) < {MOST}"
        f" RETURNING {_COLUMNS}",
        {"id": uuid7(), "application": application_id, "name": called, "schema": _packed(known)},
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"an application has at most {MOST} definitions of events")
    return Definition(*row)


async def redefine(connection: Connection, known: Definition, schema: object) -> Definition:
    """Another schema; None: none."""
    cursor = await connection.execute(
        f"UPDATE event_definitions SET schema = %s, updated_at = now() WHERE id = %s RETURNING {_COLUMNS}",
        [_packed(payloads.schema(schema)), known.id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Event not found")
    return Definition(*row)


async def forget(connection: Connection, known: Definition) -> None:
    """The definition is gone; events of its name are taken all the same, unchecked."""
    await connection.execute("DELETE FROM event_definitions WHERE id = %s", [known.id])


async def find(connection: Connection, application_id: UUID, name: str) -> Definition | None:
    """A definition by id or name."""
    try:
        found = await _by_id(connection, application_id, UUID(name))
    except ValueError:
        found = None
    return found or await _named(connection, application_id, name)


async def get(connection: Connection, application_id: UUID, name: str) -> Definition:
    """The same. Raises Refused when there is none."""
    found = await find(connection, application_id, name)
    if found is None:
        raise not_found("Event not found")
    return found


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Definition]:
    """The application's definitions, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM event_definitions WHERE application_id = %(application)s AND {condition}"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut([Definition(*row) for row in await cursor.fetchall()], window)


async def _contact(connection: Connection, application_id: UUID, happened: Happened, act: ContactAct) -> Contact:
    if (happened.contact_id is None) == (not happened.email):
        raise invalid("contact_id", "give `contact_id` or `email`, one of the two")
    if happened.contact_id is not None:
        return await contacts.get(connection, application_id, happened.contact_id)
    known = await contacts.find(connection, application_id, checked_email(happened.email).key)
    if known is not None:
        return known
    made = await contacts.create(connection, application_id, happened.email, Changes(), act)
    if made.created:
        await contact_telling.tell(connection, EventType.CONTACT_CREATED, [made.contact])
    return made.contact


async def _named(connection: Connection, application_id: UUID, name: str) -> Definition | None:
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM event_definitions WHERE application_id = %s AND name = %s", [application_id, name]
    )
    row = await cursor.fetchone()
    return Definition(*row) if row else None


async def _by_id(connection: Connection, application_id: UUID, identifier: UUID) -> Definition | None:
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM event_definitions WHERE application_id = %s AND id = %s", [application_id, identifier]
    )
    row = await cursor.fetchone()
    return Definition(*row) if row else None


def _packed(schema: Mapping[str, str] | None) -> Jsonb | None:
    return Jsonb(dict(schema)) if schema is not None else None
