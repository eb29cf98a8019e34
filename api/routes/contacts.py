"""`/contacts`: the people an application writes to. A contact is named by its id or its address, encoded or not.

Thin: `messages/people` knows what belongs together. `/contacts/{contact}/topics` works for whoever has an address, be
they a contact or not: what somebody chose goes by address. `/audiences/...` are the same as older clients know them
(`api/routes/segment_contacts`).
"""

from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from api.auth import FullAccess
from api.contacting import act_of, alteration, creation, person_meant, same_address, shown
from api.openapi import errors
from api.operating import ApplicationRoute, With, by
from api.schemas.contacts import (
    ContactAnswer,
    ContactList,
    ContactReference,
    ContactRemoved,
    CreateContact,
    PastList,
    PlaceList,
    PlaceReference,
    PlaceRemoved,
    UpdateContact,
)
from api.schemas.topics import Choices, ChooseTopics, ContactTopics, WhoseTopics
from audience import contact_history, contacts, properties
from audience.choices import Act, Source
from audience.contacts import named
from audience.topics import MOST
from campaigns import readdressing
from core.paging import Window, page_within
from messages import choosing, people
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.contacts import contact_answer, contact_past_face, place_face, removed_face
from web.faces.references import reference
from web.faces.topics import preference_face
from web.paging import listed, there, window

router = APIRouter(prefix="/contacts", tags=["Contacts"], route_class=ApplicationRoute)

Part = Annotated[Window[UUID], Depends(window)]

PAGE: Final = 20
_BODY: Final = 64 * 1024


@router.post(
    "",
    summary="Create a contact",
    status_code=201,
    response_model=ContactReference,
    responses={200: {"model": ContactReference, "description": "There was a contact of this address; it is updated."}},
)
@largest_body(_BODY)
async def create_contact(body: CreateContact, request: Request, who: FullAccess, given: With) -> Response:
    """Makes somebody a contact. By your word they asked for mail: `consent` keeps how. Who left all your mail is and
    stays `unsubscribed`."""
    wish, act = creation(body, given.settings), act_of(request, who)
    async with given.database.transaction() as connection:
        made = await people.create(connection, who.application_id, body.email, wish, act)
    return json_answer(reference("contact", made.contact.id), 201 if made.created else 200)


@router.get("", summary="List contacts", response_model=ContactList)
async def list_contacts(who: FullAccess, given: With, wanted: Part) -> Response:
    """Your contacts, newest first."""
    async with given.database.connection() as connection:
        found = await contacts.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
        return await shown(connection, found)


@router.get(
    "/{contact:path}/topics",
    summary="List what a contact takes",
    response_model=ContactTopics,
    responses=errors("not_found"),
)
async def list_contact_topics(contact: str, who: FullAccess, given: With, wanted: Part) -> Response:
    """Every topic, and whether this person gets it."""
    async with given.database.connection() as connection:
        person, _ = await person_meant(connection, who.application_id, contact)
        found = await people.preferences(connection, person)
    part = page_within(found, lambda one: one.topic.id, replace(wanted, limit=wanted.limit or MOST))
    return json_answer(listed(there(part), preference_face))


@router.patch(
    "/{contact:path}/topics",
    summary="Change what a contact takes",
    response_model=WhoseTopics,
    responses=errors("not_found"),
)
@largest_body(_BODY)
async def update_contact_topics(contact: str, body: ChooseTopics, who: FullAccess, given: With) -> Response:
    """Takes or leaves topics for a person. It holds for mail that waits, too."""
    act = Act(Source.API, detail=by(who))
    asked = body.topics if isinstance(body, Choices) else body
    async with given.database.transaction() as connection:
        person, identifier = await person_meant(connection, who.application_id, contact)
        known = await people.preferences(connection, person)
        wanted = people.choosable([(one.id, one.subscription) for one in asked], known)
        await choosing.choose(connection, person, wanted, act)
    return json_answer(reference("contact", identifier))


@router.get(
    "/{contact:path}/segments",
    summary="List a contact's segments",
    response_model=PlaceList,
    responses=errors("not_found"),
)
async def list_contact_segments(contact: str, who: FullAccess, given: With, wanted: Part) -> Response:
    """The lists that a contact was put on, the newest first."""
    async with given.database.connection() as connection:
        known = await contacts.get(connection, who.application_id, named(contact))
        found = await people.places(connection, known)
    part = page_within(found, lambda one: one.segment_id, replace(wanted, limit=wanted.limit or MOST))
    return json_answer(listed(there(part), place_face))


@router.post(
    "/{contact:path}/segments/{segment_id}",
    summary="Add a contact to a segment",
    status_code=201,
    response_model=PlaceReference,
    responses=errors("not_found"),
)
async def add_to_segment(contact: str, segment_id: UUID, request: Request, who: FullAccess, given: With) -> Response:
    """Puts a contact on a list. Who left that list by their own hand stays off it."""
    async with given.database.transaction() as connection:
        await people.join(connection, who.application_id, named(contact), segment_id, act_of(request, who))
    return json_answer({"id": segment_id}, 201)


@router.delete(
    "/{contact:path}/segments/{segment_id}",
    summary="Remove a contact from a segment",
    response_model=PlaceRemoved,
    responses=errors("not_found"),
)
async def remove_from_segment(
    contact: str, segment_id: UUID, request: Request, who: FullAccess, given: With
) -> Response:
    """Takes a contact off a list."""
    async with given.database.transaction() as connection:
        await people.leave(connection, who.application_id, named(contact), segment_id, act_of(request, who))
    return json_answer({"id": segment_id, "deleted": True})


@router.get(
    "/{contact:path}/history",
    summary="List what happened to a contact",
    response_model=PastList,
    responses=errors("not_found"),
)
async def get_contact_history(contact: str, who: FullAccess, given: With) -> Response:
    """Every change with its time, and how it came: proof of consent among them. Newest first, at most 1,000."""
    async with given.database.connection() as connection:
        known = await contacts.get(connection, who.application_id, named(contact))
        return json_answer(listed(await contact_history.page(connection, known.id), contact_past_face))


@router.get("/{contact:path}", summary="Get a contact", response_model=ContactAnswer, responses=errors("not_found"))
async def get_contact(contact: str, who: FullAccess, given: With) -> Response:
    """A contact by its id or its address."""
    async with given.database.connection() as connection:
        known = await contacts.get(connection, who.application_id, named(contact))
        (seen,) = await people.seen(connection, [known])
        definitions = await properties.known(connection, who.application_id)
    return json_answer(contact_answer(seen, definitions))


@router.patch(
    "/{contact:path}",
    summary="Update a contact",
    response_model=ContactReference,
    responses=errors("not_found", "conflict"),
)
@largest_body(_BODY)
async def update_contact(contact: str, body: UpdateContact, request: Request, who: FullAccess, given: With) -> Response:
    """Changes what is known of somebody, their address too. `conflict`: they left all mail by their own hand, and only
    they come back."""
    async with given.database.transaction() as connection:
        known = await contacts.get(connection, who.application_id, named(contact))
        same_address(body, known)
        wish, act = alteration(body, given.settings), act_of(request, who)
        changed = await readdressing.update(connection, who.application_id, known.id, wish, act)
    return json_answer(reference("contact", changed.id))


@router.delete(
    "/{contact:path}", summary="Delete a contact", response_model=ContactRemoved, responses=errors("not_found")
)
async def delete_contact(contact: str, request: Request, who: FullAccess, given: With) -> Response:
    """Takes a contact away. What they chose stays, so that who left is not written to when a list is brought in again;
    `POST /contacts/{contact}/erase` forgets the person."""
    async with given.database.transaction() as connection:
        gone = await people.delete(connection, who.application_id, named(contact), act_of(request, who))
    return json_answer(removed_face(gone))
