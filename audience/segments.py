"""Segments of an application's contacts: lists, which people are put in, and filters, which people fit.

A segment is a list or has a filter, and stays what it is: members of a list would be in nobody's way and nobody's mail
once it had a filter. The stored filter names topics, lists and campaigns by their ids (`filter_names`). It is checked
again whenever it is used: a property that is gone, or made anew with another type, refuses the use, and is said in what
is shown of the segment.

Every function works on the caller's connection and never commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience import audiences, properties
from audience.audiences import Audience, Found
from audience.filters import reading
from audience.filters.names import Names, names_for, with_ids, with_names
from audience.filters.tree import Filter, FilterError
from audience.properties import PropertyType
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import Refused, conflict, invalid, not_found
from store.database import Connection
from store.paging import newest_first

MOST: Final = 1000
"""Segments of one application."""

_COLUMNS: Final = "id, application_id, name, filter, created_at, updated_at"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment."""

    id: UUID
    application_id: UUID
    name: str
    filter: Mapping[str, object] | None
    """As it is stored (`reading.to_json`); None: it is a list."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Explained:
    """A segment with its filter as people read it."""

    segment: Segment
    text: str | None = None
    filter: Mapping[str, object] | None = None
    """As JSON, with names in the place of ids."""
    problem: str | None = None
    """Why the filter cannot be used any more."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a filter finds."""

    count: int
    some: Sequence[Found]
    text: str
    filter: Mapping[str, object]


async def create(connection: Connection, application_id: UUID, name: str, filter_given: object = None) -> Segment:
    """A new segment; `filter_given` is text, JSON, or None for a list. Raises Refused."""
    await _in_turn(connection, application_id)
    stored = None if filter_given is None else await _stored(connection, application_id, filter_given)
    cursor = await connection.execute(
        f"INSERT INTO segments (id, application_id, name, filter) SELECT %(id)s, %(application)s, %(name)s, %(filter)s"
        " WHERE (SELECT count(*) FROM segments WHERE application_id = %(application)s AND deleted_at IS NULL)"
        f" < %(most)s RETURNING {_COLUMNS}",
        {"id": uuid7(), "application": application_id, "name": name, "filter": stored, "most": MOST},
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"an application has at most {MOST} segments", "Delete one that is no longer used.")
    return _segment(row)


async def find(connection: Connection, application_id: UUID, identifier: UUID) -> Segment | None:
    """A segment of the application that is not deleted."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM segments WHERE id = %s AND application_id = %s AND deleted_at IS NULL",
        [identifier, application_id],
    )
    row = await cursor.fetchone()
    return _segment(row) if row else None


async def get(connection: Connection, application_id: UUID, identifier: UUID) -> Segment:
    """The same; raises Refused when there is none."""
    found = await find(connection, application_id, identifier)
    if found is None:
        raise not_found("Segment not found")
    return found


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Segment]:
    """The application's segments, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM segments WHERE application_id = %(application)s AND deleted_at IS NULL AND {condition}"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_segment)


async def counts(connection: Connection, application_id: UUID) -> tuple[int, int]:
    """How many fill themselves by a filter, and how many are lists."""
    cursor = await connection.execute(
        "SELECT count(filter), count(*) - count(filter) FROM segments WHERE application_id = %s AND deleted_at IS NULL",
        [application_id],
    )
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else (0, 0)


async def update(
    connection: Connection, application_id: UUID, identifier: UUID, name: str | None, filter_given: object = None
) -> Segment:
    """Another name, another filter; None leaves each as it is. Raises Refused."""
    await _in_turn(connection, application_id)
    found = await get(connection, application_id, identifier)
    if filter_given is not None and found.filter is None:
        raise conflict("this segment is a list, and a list has no filter", "Make a segment with the filter.")
    stored = None if filter_given is None else await _stored(connection, application_id, filter_given)
    cursor = await connection.execute(
        "UPDATE segments SET name = coalesce(%s, name), filter = coalesce(%s, filter), updated_at = now()"
        f" WHERE id = %s AND application_id = %s AND deleted_at IS NULL RETURNING {_COLUMNS}",
        [name, stored, identifier, application_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Segment not found")
    return _segment(row)


async def delete(connection: Connection, application_id: UUID, identifier: UUID) -> Segment:
    """Hide a segment for good; who was in a list stays a contact, and their places go by and by (`forgetting`). Raises
    Refused: there is none, or a filter asks for it."""
    await refuse_if_asked(connection, application_id, identifier, "is in this list")
    found = await get(connection, application_id, identifier)
    await connection.execute("UPDATE segments SET deleted_at = now() WHERE id = %s", [identifier])
    return found


async def refuse_if_asked(connection: Connection, application_id: UUID, identifier: UUID, what: str) -> None:
    """Raises Refused when a filter names this list or broadcast: without it, `not` would hold for everybody."""
    await _in_turn(connection, application_id)
    cursor = await connection.execute(
        "SELECT name FROM segments WHERE application_id = %s AND deleted_at IS NULL AND strpos(filter::text, %s) > 0"
        " LIMIT 1",
        [application_id, f'"{identifier}"'],
    )
    asking = await cursor.fetchone()
    if asking is not None:
        raise conflict(f"the segment {asking[0]!r} asks who {what}", "Change or delete that one first.")


async def naming(connection: Connection, application_id: UUID, addresses: Sequence[str]) -> list[tuple[UUID, str]]:
    """Id and name of segments whose filter holds one of these (folded) addresses: somebody wrote it there."""
    cursor = await connection.execute(
        "SELECT id, name FROM segments s WHERE application_id = %s AND deleted_at IS NULL AND EXISTS ("
        "SELECT FROM unnest(%s::text[]) AS u(address) WHERE strpos(lower(s.filter::text), u.address) > 0) ORDER BY id",
        [application_id, list(addresses)],
    )
    return await cursor.fetchall()


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone, and with it its segments; who is in lists goes by `forgetting`."""
    await connection.execute("DELETE FROM segments WHERE application_id = %s", [application_id])


async def audience(connection: Connection, segment: Segment) -> Audience:
    """Whom the segment means, for `audiences`. Raises Refused: its filter asks for what is gone."""
    if segment.filter is None:
        return Audience(list_id=segment.id)
    known = await definitions(connection, segment.application_id)
    try:
        return Audience(filter=reading.read(segment.filter, known))
    except FilterError as error:
        raise conflict(
            f"the filter of the segment {segment.name!r} cannot be used any more: {error.reason}", "Change the filter."
        ) from None


async def preview(connection: Connection, application_id: UUID, given: object, now: datetime, limit: int) -> Preview:
    """What a filter finds, which nobody stored. Raises Refused."""
    tree = await _checked(connection, application_id, given)
    meant = Audience(filter=tree)
    count = await audiences.count(connection, application_id, meant, now)
    some = await audiences.page(connection, application_id, meant, now, Window(limit))
    called = with_names(tree, await names_for(connection, application_id, tree))
    return Preview(count, some.entries, reading.shown(called), reading.to_json(called))


async def explained(connection: Connection, application_id: UUID, found: Sequence[Segment]) -> list[Explained]:
    """Segments with their filters as people read them."""
    trees = [reading.from_json(one.filter) for one in found if one.filter is not None]
    if not trees:
        return [Explained(one) for one in found]
    known = await definitions(connection, application_id)
    names = await names_for(connection, application_id, *trees)
    return [_explained(one, known, names) for one in found]


async def definitions(connection: Connection, application_id: UUID) -> dict[str, PropertyType]:
    """The types of the application's properties, by key."""
    return {key: one.type for key, one in (await properties.known(connection, application_id)).items()}


async def _in_turn(connection: Connection, application_id: UUID) -> None:
    """Until the end of the transaction nobody else changes the application's segments: a list must not go while a
    filter that asks for it is being stored."""
    await connection.execute("SELECT FROM applications WHERE id = %s FOR NO KEY UPDATE", [application_id])


def _explained(segment: Segment, known: Mapping[str, PropertyType], names: Names) -> Explained:
    if segment.filter is None:
        return Explained(segment)
    tree, problem = reading.from_json(segment.filter), None
    try:
        tree = reading.checked(tree, known)
    except FilterError as error:
        problem = error.reason
    called = with_names(tree, names)
    return Explained(segment, reading.shown(called), reading.to_json(called), problem)


async def _stored(connection: Connection, application_id: UUID, given: object) -> Jsonb:
    return Jsonb(reading.to_json(await _checked(connection, application_id, given)))


async def _checked(connection: Connection, application_id: UUID, given: object) -> Filter:
    """The filter with ids in the place of names. Raises Refused."""
    try:
        tree = reading.read(given, await definitions(connection, application_id))
        return with_ids(tree, await names_for(connection, application_id, tree))
    except FilterError as error:
        raise refused(error) from None


def refused(error: FilterError) -> Refused:
    """What every door says of a filter that is none."""
    return invalid("filter", str(error), "invalid_filter")


def _segment(row: Sequence[object]) -> Segment:
    return Segment(*row)  # type: ignore[arg-type]  # psycopg's rows are untyped
