"""Places on lists: which contacts are on a list (a segment without a filter), each with a status of its own.

Who left a list by their own hand (`unsubscribed`) is not put on it again by anybody else: their place stays, and only
`confirm`, which answers their own wish, changes it. A segment with a filter has no places: it is a question.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from audience import contact_history
from audience.contact_history import Changed, ContactAct
from core.refusal import invalid, not_found
from store.database import Connection


class MemberStatus(StrEnum):
    """How somebody stands on a list. The values are stored."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    """They left it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A contact's place on a list."""

    segment_id: UUID
    name: str
    status: MemberStatus
    added_at: datetime
    created_at: datetime
    """Of the list."""


# Only upwards: somebody who is confirmed stays so, and who left is left alone.
_PUT: Final = f"""
INSERT INTO segment_members AS m (segment_id, contact_id, status)
SELECT %(segment)s, contact_id, %(status)s FROM unnest(%(contacts)s::uuid[]) AS u(contact_id) ORDER BY contact_id
ON CONFLICT (segment_id, contact_id) DO UPDATE SET status = EXCLUDED.status, changed_at = now()
  WHERE m.status = '{MemberStatus.UNCONFIRMED}' AND EXCLUDED.status = '{MemberStatus.CONFIRMED}'
RETURNING contact_id
"""

_CONFIRM: Final = f"""
INSERT INTO segment_members AS m (segment_id, contact_id, status)
SELECT %(segment)s, contact_id, '{MemberStatus.CONFIRMED}' FROM unnest(%(contacts)s::uuid[]) AS u(contact_id)
 ORDER BY contact_id
ON CONFLICT (segment_id, contact_id) DO UPDATE SET status = EXCLUDED.status, changed_at = now()
  WHERE m.status <> EXCLUDED.status
RETURNING contact_id
"""

_CONFIRM_PLACES: Final = f"""
UPDATE segment_members SET status = '{MemberStatus.CONFIRMED}', changed_at = now()
 WHERE contact_id = %(contact)s AND status = '{MemberStatus.UNCONFIRMED}'
   AND NOT EXISTS (SELECT FROM segments s WHERE s.id = segment_id AND s.deleted_at IS NOT NULL)
RETURNING segment_id
"""

_LEAVE: Final = f"""
UPDATE segment_members SET status = '{MemberStatus.UNSUBSCRIBED}', changed_at = now()
 WHERE segment_id = %(segment)s AND contact_id = ANY(%(contacts)s) AND status <> '{MemberStatus.UNSUBSCRIBED}'
RETURNING contact_id
"""

_TAKE_OUT: Final = f"""
DELETE FROM segment_members
 WHERE segment_id = %(segment)s AND contact_id = ANY(%(contacts)s) AND status <> '{MemberStatus.UNSUBSCRIBED}'
RETURNING contact_id
"""

_OF_CONTACTS: Final = """
SELECT m.contact_id, s.id, s.name, m.status, m.added_at, s.created_at
  FROM segment_members m JOIN segments s ON s.id = m.segment_id
 WHERE m.contact_id = ANY(%s) AND s.deleted_at IS NULL ORDER BY s.id DESC
"""


_A_FILTER: Final = "this segment is a filter: who fits it is in it, and nobody is put there"


@dataclass(frozen=True, slots=True)
class OnList:
    """Which list, of which application, and how it came to it."""

    segment_id: UUID
    application_id: UUID
    act: ContactAct


async def lists(
    connection: Connection, application_id: UUID, segments: Sequence[UUID], field: str = "segments"
) -> None:
    """See that these are lists of the application. Raises Refused: there is none, or it is a filter, which nobody is
    put into."""
    known = await which_are_lists(connection, application_id, segments)
    for number, segment in enumerate(segments):
        if segment not in known:
            raise invalid(f"{field}[{number}].id", "there is no such segment")
        if not known[segment]:
            raise invalid(f"{field}[{number}].id", _A_FILTER)


async def list_named(connection: Connection, application_id: UUID, segment_id: UUID) -> None:
    """The same for one that stands in a path: raises Refused, not found where there is none."""
    is_list = (await which_are_lists(connection, application_id, [segment_id])).get(segment_id)
    if is_list is None:
        raise not_found("Segment not found")
    if not is_list:
        raise invalid("segment_id", _A_FILTER)


async def which_are_lists(connection: Connection, application_id: UUID, segments: Sequence[UUID]) -> dict[UUID, bool]:
    """Those of these segments that the application has, and of each whether it is a list."""
    cursor = await connection.execute(
        "SELECT id, filter IS NULL FROM segments WHERE id = ANY(%s) AND application_id = %s AND deleted_at IS NULL",
        [list(segments), application_id],
    )
    return dict(await cursor.fetchall())


async def put(connection: Connection, where: OnList, contacts: Sequence[UUID], status: MemberStatus) -> list[UUID]:
    """Put contacts on a list; those for whom that is new."""
    names = {"segment": where.segment_id, "contacts": list(contacts), "status": status.value}
    return await _noted(connection, _PUT, names, where, Changed.LIST_JOINED)


async def confirm(connection: Connection, where: OnList, contacts: Sequence[UUID]) -> list[UUID]:
    """The people themselves said that they want to be on the list; those for whom that is new."""
    names = {"segment": where.segment_id, "contacts": list(contacts)}
    return await _noted(connection, _CONFIRM, names, where, Changed.LIST_CONFIRMED)


async def confirm_places(connection: Connection, contact_id: UUID, application_id: UUID, act: ContactAct) -> None:
    """The contact's consent is proved, by whoever may say so: its places that waited for that are, too."""
    cursor = await connection.execute(_CONFIRM_PLACES, {"contact": contact_id})
    for (segment,) in await cursor.fetchall():
        detail = {"segment_id": str(segment)}
        await contact_history.note(connection, contact_id, application_id, Changed.LIST_CONFIRMED, act, detail)


async def leave(connection: Connection, where: OnList, contacts: Sequence[UUID]) -> list[UUID]:
    """The people themselves left the list; those for whom that is new."""
    names = {"segment": where.segment_id, "contacts": list(contacts)}
    return await _noted(connection, _LEAVE, names, where, Changed.LIST_LEFT)


async def take_out(connection: Connection, where: OnList, contacts: Sequence[UUID]) -> list[UUID]:
    """Take contacts off a list; those who were on it. The place of somebody who left stays, as their word does."""
    names = {"segment": where.segment_id, "contacts": list(contacts)}
    return await _noted(connection, _TAKE_OUT, names, where, Changed.LIST_REMOVED)


async def places(connection: Connection, contacts: Sequence[UUID]) -> dict[UUID, list[Place]]:
    """The lists of each contact, those of it that they left too, newest list first."""
    found: dict[UUID, list[Place]] = {contact: [] for contact in contacts}
    cursor = await connection.execute(_OF_CONTACTS, [list(contacts)])
    for contact, segment, name, status, added, created in await cursor.fetchall():
        found[contact].append(Place(segment, name, MemberStatus(status), added, created))
    return found


async def _noted(
    connection: Connection, statement: str, names: dict[str, object], where: OnList, what: Changed
) -> list[UUID]:
    changed = [row[0] for row in await (await connection.execute(statement, names)).fetchall()]
    if changed:
        detail = {"segment_id": str(where.segment_id)}
        await contact_history.note_each(connection, changed, where.application_id, what, where.act, detail)
    return changed
