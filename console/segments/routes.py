"""`/segments`: who is in which, a filter tried while it is written, and what it finds right now.

Thin: `audience/segments`. A count asks all contacts of an application, so it comes behind the page (`look`), one
after the other, and ends after 20 seconds at the latest.
"""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry, Values
from accounts.roles import Right
from audience import audiences, segments
from audience.segments import Explained, Preview, Segment
from console.guard import ConsoleRoute, needs
from console.listing import listed, window
from console.owners import Owners, chosen
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid, not_found
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)

_SHOWN: Final = 10
"""People that a filter finds, as a look at it."""
_LONGEST_NAME: Final = 200


@router.get("/segments")
@needs(Right.PEOPLE_SEE)
async def list_segments(visit: Visiting) -> Response:
    """All of an application, newest first."""
    async with visit.given.database.connection() as connection:
        owners, part = await chosen(connection, visit), window(visit)
        found = await segments.page(connection, owners.chosen, part)
        explained = await segments.explained(connection, owners.chosen, found.entries)
        filters, lists = await segments.counts(connection, owners.chosen)
    rows = listed(visit, found, part, lambda one: one.id)
    return page(
        visit, "segments/list.html", list=rows, explained=explained, owners=owners, filters=filters, lists=lists
    )


@router.get("/segments/new")
@needs(Right.PEOPLE_SEE)
async def new(visit: Visiting) -> Response:
    """A filter tried before it is kept."""
    return await _new(visit)


@router.post("/segments")
@needs(Right.PEOPLE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes a list, or a segment that fills itself."""
    try:
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            made = await segments.create(connection, owner, _name(visit), visit.field("filter") or None)
            after = await _values(connection, made)
            await visit.note(connection, Entry("segment.create", str(made.id), None, after, owner))
    except Refused as error:
        return await _new(visit, error)
    return visit.go(f"/segments/{made.id}", f"{made.name} is there.")


@router.get("/segments/{segment_id}")
@needs(Right.PEOPLE_SEE)
async def show(visit: Visiting, segment_id: UUID) -> Response:
    """One of them."""
    return await _one(visit, segment_id)


@router.get("/segments/{segment_id}/count")
@needs(Right.PEOPLE_SEE)
async def count(visit: Visiting, segment_id: UUID) -> Response:
    """How many people are in it now."""
    n, error = None, None
    async with visit.given.database.connection() as connection:
        found = await _the_one(connection, visit, segment_id)
        try:
            whom = await segments.audience(connection, found)
            n = await audiences.count(connection, found.application_id, whom, visit.now)
        except Refused as refusal:
            error = refusal
    return page(visit, "segments/count.html", 200, one=found, n=n, error=error)


@router.post("/segments/{segment_id}")
@needs(Right.PEOPLE_CHANGE)
async def change(visit: Visiting, segment_id: UUID) -> Response:
    """Another name, another filter."""
    try:
        async with visit.given.database.transaction() as connection:
            known = await _the_one(connection, visit, segment_id)
            was, wanted = await _values(connection, known), visit.field("filter") or None
            if known.filter is not None and wanted is None:
                raise invalid("filter", "a segment with a filter keeps one")
            now = await segments.update(connection, known.application_id, known.id, _name(visit), wanted)
            entry = Entry("segment.update", str(now.id), was, await _values(connection, now), now.application_id)
            await visit.note(connection, entry)
    except Refused as error:
        return await _one(visit, segment_id, error)
    return visit.go(f"/segments/{segment_id}", "Saved.")


@router.post("/segments/{segment_id}/delete")
@needs(Right.PEOPLE_CHANGE)
async def delete(visit: Visiting, segment_id: UUID) -> Response:
    """Its people stay contacts."""
    try:
        async with visit.given.database.transaction() as connection:
            known = await _the_one(connection, visit, segment_id)
            was = await _values(connection, known)
            await segments.delete(connection, known.application_id, known.id)
            await visit.note(connection, Entry("segment.delete", str(known.id), was, None, known.application_id))
    except Refused as error:
        return await _one(visit, segment_id, error)
    return visit.go(f"/segments?application={known.application_id}", f"{known.name} is gone. Its people stay contacts.")


async def _new(visit: Visit, error: Refused | None = None) -> Response:
    text = visit.field("filter") or visit.asked("filter", 20_000)
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit)
        found, refused = await _tried(connection, visit, owners.chosen, text)
    return _page(visit, None, owners, (text, found, error or refused))


async def _one(visit: Visit, segment_id: UUID, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        known = await _the_one(connection, visit, segment_id)
        (told,) = await segments.explained(connection, known.application_id, [known])
        tried = visit.field("filter") or visit.asked("filter", 20_000)
        text = tried or told.text or ""
        looked = text if tried or visit.asked("look") else ""
        found, refused = await _tried(connection, visit, known.application_id, looked)
    return _page(visit, told, None, (text, found, error or refused))


def _page(
    visit: Visit, told: Explained | None, owners: Owners | None, tried: tuple[str, Preview | None, Refused | None]
) -> Response:
    text, found, error = tried
    name = visit.field("name") or visit.asked("name") or (told.segment.name if told else "")
    return page(
        visit, "segments/one.html", 422 if error and visit.form else 200, told=told, one=told.segment if told else None,
        owners=owners, name=name, text=text, found=found, error=error,
        later=told is not None and told.segment.filter is not None and not (found or error or told.problem),
    )  # fmt: skip


async def _tried(
    connection: Connection, visit: Visit, application_id: UUID, text: str
) -> tuple[Preview | None, Refused | None]:
    """What a filter finds, or what is wrong with it, and where."""
    if not text:
        return None, None
    try:
        return await segments.preview(connection, application_id, text, visit.now, _SHOWN), None
    except Refused as error:
        return None, error


async def _the_one(connection: Connection, visit: Visit, segment_id: UUID) -> Segment:
    """A segment that this person may see. Raises Refused."""
    cursor = await connection.execute("SELECT application_id FROM segments WHERE id = %s", [segment_id])
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Segment not found")
    visit.sees(row[0])
    return await segments.get(connection, row[0], segment_id)


async def _values(connection: Connection, found: Segment) -> Values:
    (told,) = await segments.explained(connection, found.application_id, [found])
    return {"name": found.name, "filter": told.text}


def _name(visit: Visit) -> str:
    name = visit.field("name")
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise invalid("name", f"it must be 1 to {_LONGEST_NAME} characters in one line")
    return name
