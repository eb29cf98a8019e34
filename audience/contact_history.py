"""The history of contacts: every change, with its time and how it came to us. Rows are added and never changed.

It names no address, so that erasing somebody is deleting their rows; of a contact that was deleted the last row has the
hash of it, by which they are found who are erased later. What they *chose* (topics, pauses, leaving all mail) has a
history of its own by address (`audience/choices`). A contact keeps `KEPT` rows, and beyond them the last of each kind:
who changes somebody all day fills no disk, and the proof of a consent stays.

Works on the caller's connection and never commits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience import newly_confirmed
from audience.choices import Act
from core.paging import Page
from store.database import Connection
from suppression.reasons import Source
from suppression.subjects import hashed

KEPT: Final = 1000
"""Rows of one contact."""


class Changed(StrEnum):
    """What happened to a contact. The values are stored."""

    CREATED = "created"
    UPDATED = "updated"
    CONFIRMED = "confirmed"
    """Consent is proved: `detail` holds text and moment where they are known."""
    ADDRESS_CHANGED = "address_changed"
    MERGED = "merged"
    """Another contact's mail goes to this address now: the two are one."""
    LIST_JOINED = "list_joined"
    LIST_CONFIRMED = "list_confirmed"
    LIST_LEFT = "list_left"
    """The person said so: nobody but they themselves puts them on it again."""
    LIST_REMOVED = "list_removed"
    """The application took them off."""
    DELETED = "deleted"


_CONFIRMING: Final = frozenset({Changed.CONFIRMED, Changed.LIST_JOINED, Changed.LIST_CONFIRMED})
"""What an automation may wait for."""


class ContactSource(StrEnum):
    """The door through which a change came. The values are stored."""

    API = "api"
    CLI = "cli"
    CONSOLE = "console"
    FORM = "form"
    """A sign-up form: `source_id` is its id."""
    IMPORT = "import"
    """A file: `source_id` is the import's id."""
    LINK = "link"
    """A link in a mail, followed by the person."""
    RETENTION = "retention"
    """The time that a setting gives was over."""


@dataclass(frozen=True, slots=True)
class ContactAct:
    """How a change came to us: kept with it."""

    source: ContactSource
    ip: str = ""
    """Address of the client that asked, "" when there is none."""
    actor: str = ""
    """Who, in words; "" for the person themselves."""
    source_id: UUID | None = None
    """The form, the import or the mail that it came by."""


Deleted = tuple[UUID, UUID, str]
"""Application, contact and folded address."""

_DOORS: Final = {Source.API: ContactSource.API, Source.CLI: ContactSource.CLI, Source.CONSOLE: ContactSource.CONSOLE}


def act_of(act: Act) -> ContactAct:
    """How a choice came to us, as it is kept with the contact that follows it."""
    source = _DOORS.get(act.source, ContactSource.LINK)
    by_hand = source is ContactSource.LINK
    return ContactAct(source, act.ip, "" if by_hand else act.detail, act.email_id)


@dataclass(frozen=True, slots=True)
class ContactPast:
    """One row of the history."""

    id: int
    what: Changed
    source: ContactSource
    ip: str
    actor: str
    source_id: UUID | None
    detail: Mapping[str, object] = field(hash=False)
    at: datetime


_COLUMNS: Final = "id, what, source, coalesce(ip, ''), actor, source_id, detail, at"

_NOTE: Final = """
INSERT INTO contact_history (application_id, contact_id, what, source, ip, actor, source_id, detail)
SELECT %(application)s, contact_id, %(what)s, %(source)s, %(ip)s, %(actor)s, %(source_id)s, %(detail)s
  FROM unnest(%(contacts)s::uuid[]) AS u(contact_id)
"""

_NOTE_DELETED: Final = f"""
INSERT INTO contact_history (application_id, contact_id, what, source, ip, actor, source_id, detail)
SELECT u.application_id, u.contact_id, '{Changed.DELETED}', %(source)s, %(ip)s, %(actor)s, %(source_id)s,
       jsonb_build_object('address_hash', u.hash)
  FROM unnest(%(applications)s::uuid[], %(contacts)s::uuid[], %(hashes)s::text[])
       AS u(application_id, contact_id, hash)
"""

_TRIM: Final = f"""
DELETE FROM contact_history h
 WHERE contact_id = %(contact)s
   AND id <= (SELECT id FROM contact_history WHERE contact_id = %(contact)s ORDER BY id DESC OFFSET {KEPT} LIMIT 1)
   AND EXISTS (SELECT FROM contact_history n WHERE n.contact_id = h.contact_id AND n.id > h.id AND n.what = h.what)
"""


async def note(
    connection: Connection,
    contact_id: UUID,
    application_id: UUID,
    what: Changed,
    act: ContactAct,
    detail: Mapping[str, object] | None = None,
) -> None:
    """A row of one contact."""
    await note_each(connection, [contact_id], application_id, what, act, detail)
    await connection.execute(_TRIM, {"contact": contact_id})


async def note_each(
    connection: Connection,
    contacts: Sequence[UUID],
    application_id: UUID,
    what: Changed,
    act: ContactAct,
    detail: Mapping[str, object] | None = None,
) -> None:
    """The same row of many contacts, in one statement."""
    names = {
        "contacts": list(contacts), "application": application_id, "what": what.value, "source": act.source.value,
        "ip": act.ip or None, "actor": act.actor, "source_id": act.source_id, "detail": Jsonb(dict(detail or {})),
    }  # fmt: skip
    await connection.execute(_NOTE, names)
    if what in _CONFIRMING:
        segment = (detail or {}).get("segment_id") if what is not Changed.CONFIRMED else None
        await newly_confirmed.note(connection, application_id, contacts, UUID(str(segment)) if segment else None)


async def note_deleted(connection: Connection, gone: Iterable[Deleted], act: ContactAct) -> None:
    """These contacts were deleted."""
    applications, contacts, addresses = zip(*gone, strict=True)
    names = {
        "applications": list(applications), "contacts": list(contacts), "hashes": [hashed(one) for one in addresses],
        "source": act.source.value, "ip": act.ip or None, "actor": act.actor, "source_id": act.source_id,
    }  # fmt: skip
    await connection.execute(_NOTE_DELETED, names)


async def page(connection: Connection, contact_id: UUID, limit: int = KEPT) -> Page[ContactPast]:
    """What happened to a contact, newest first."""
    return await page_of(connection, [contact_id], limit)


async def page_of(connection: Connection, contacts: Sequence[UUID], limit: int = KEPT) -> Page[ContactPast]:
    """The same of several that were one person's."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_history WHERE contact_id = ANY(%s) ORDER BY id DESC LIMIT %s",
        [list(contacts), limit + 1],
    )
    rows = await cursor.fetchall()
    return Page([_past(row) for row in rows[:limit]], len(rows) > limit)


async def pass_on(connection: Connection, contact_id: UUID, to: UUID) -> None:
    """Two contacts are one: the history of the one is the other's."""
    await connection.execute("UPDATE contact_history SET contact_id = %s WHERE contact_id = %s", [to, contact_id])


async def forget(connection: Connection, contacts: Sequence[UUID]) -> None:
    """Somebody is erased."""
    await connection.execute("DELETE FROM contact_history WHERE contact_id = ANY(%s)", [list(contacts)])


def _past(row: Sequence[object]) -> ContactPast:
    identifier, what, source, ip, actor, source_id, detail, at = row
    return ContactPast(
        identifier, Changed(what), ContactSource(source), ip, actor, source_id, detail, at  # type: ignore[arg-type]
    )  # fmt: skip
