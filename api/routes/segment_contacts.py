"""`/segments/{segment}/contacts`, and the same as older clients know it: `/audiences/{audience}/contacts...`.

A contact of today is one person in one application; a contact of an audience is their place on that list. So the older
routes make, show and change the one contact, and take it off the list where they remove it.
"""

from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.auth import FullAccess
from api.contacting import act_of, alteration, creation, same_address, shown
from api.deps import Deps
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.routes.contacts import PAGE, Part
from api.schemas.contacts import (
    ContactAnswer,
    ContactList,
    ContactReference,
    ContactRemoved,
    CreateContact,
    UpdateContact,
)
from audience import contacts, membership, properties, segments
from audience.contacts import Contact, named
from campaigns import readdressing
from core.paging import Window
from core.refusal import not_found
from messages import people
from store.database import Connection
from web.answers import json_answer
from web.faces.contacts import contact_answer, removed_face
from web.faces.references import reference

router = APIRouter(tags=["Contacts"], route_class=ApplicationRoute)


@router.get(
    "/segments/{segment_id}/contacts",
    summary="List contacts of a segment",
    response_model=ContactList,
    responses=errors("not_found"),
)
async def list_segment_contacts(segment_id: UUID, who: FullAccess, given: With, wanted: Part) -> Response:
    """The contacts in a segment, newest first; without those who left the list."""
    return await _listed(given, who.application_id, segment_id, wanted)


@router.get(
    "/audiences/{audience_id}/contacts",
    summary="List contacts of an audience",
    response_model=ContactList,
    responses=errors("not_found"),
)
async def list_audience_contacts(audience_id: UUID, who: FullAccess, given: With, wanted: Part) -> Response:
    """The same, by the older name of a segment."""
    return await _listed(given, who.application_id, audience_id, wanted)


@router.post(
    "/audiences/{audience_id}/contacts",
    summary="Create a contact of an audience",
    status_code=201,
    response_model=ContactReference,
    responses={
        200: {"model": ContactReference, "description": "There was a contact of this address; it is updated."},
        **errors("not_found"),
    },
)
async def create_audience_contact(
    audience_id: UUID, body: CreateContact, request: Request, who: FullAccess, given: With
) -> Response:
    """Makes somebody a contact, and puts them on this list."""
    wish, act = creation(body, given.settings), act_of(request, who)
    wish = replace(wish, segments=[*wish.segments, audience_id])
    async with given.database.transaction() as connection:
        await membership.list_named(connection, who.application_id, audience_id)
        made = await people.create(connection, who.application_id, body.email, wish, act)
    return json_answer(reference("contact", made.contact.id), 201 if made.created else 200)


@router.get(
    "/audiences/{audience_id}/contacts/{contact:path}",
    summary="Get a contact of an audience",
    response_model=ContactAnswer,
    responses=errors("not_found"),
)
async def get_audience_contact(audience_id: UUID, contact: str, who: FullAccess, given: With) -> Response:
    """A contact that is on this list."""
    async with given.database.connection() as connection:
        known = await _on_list(connection, who.application_id, audience_id, contact)
        (seen,) = await people.seen(connection, [known])
        definitions = await properties.known(connection, who.application_id)
    return json_answer(contact_answer(seen, definitions))


@router.patch(
    "/audiences/{audience_id}/contacts/{contact:path}",
    summary="Update a contact of an audience",
    response_model=ContactReference,
    responses=errors("not_found", "conflict"),
)
async def update_audience_contact(
    audience_id: UUID, contact: str, body: UpdateContact, request: Request, who: FullAccess, given: With
) -> Response:
    """Changes the contact, on whatever lists it is."""
    async with given.database.transaction() as connection:
        known = await _on_list(connection, who.application_id, audience_id, contact)
        same_address(body, known)
        wish, act = alteration(body, given.settings), act_of(request, who)
        changed = await readdressing.update(connection, who.application_id, known.id, wish, act)
    return json_answer(reference("contact", changed.id))


@router.delete(
    "/audiences/{audience_id}/contacts/{contact:path}",
    summary="Remove a contact from an audience",
    response_model=ContactRemoved,
    responses=errors("not_found"),
)
async def remove_audience_contact(
    audience_id: UUID, contact: str, request: Request, who: FullAccess, given: With
) -> Response:
    """Takes the contact off this list; it stays a contact."""
    async with given.database.transaction() as connection:
        known = await people.leave(connection, who.application_id, named(contact), audience_id, act_of(request, who))
    return json_answer(removed_face(known))


async def _listed(given: Deps, application_id: UUID, segment_id: UUID, wanted: Window[UUID]) -> Response:
    window = replace(wanted, limit=wanted.limit or PAGE)
    async with given.database.connection() as connection:
        segment = await segments.get(connection, application_id, segment_id)
        return await shown(connection, await people.in_segment(connection, segment, window, given.clock.now()))


async def _on_list(connection: Connection, application_id: UUID, segment_id: UUID, contact: str) -> Contact:
    """Raises Refused: there is no such list, or nobody of that name on it."""
    await membership.list_named(connection, application_id, segment_id)
    known = await contacts.get(connection, application_id, named(contact))
    if segment_id not in [place.segment_id for place in await people.places(connection, known)]:
        raise not_found("Contact not found")
    return known
