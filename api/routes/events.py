"""`/events`: what applications tell of, in Resend's shape, and what their payloads hold.

`/events/send` is answered when the event and the runs that it begins are stored. With an `Idempotency-Key` the same
event again begins nothing, for 24 hours.
"""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response

from api.auth import FullAccess
from api.contacting import act_of
from api.idempotency import keyed, settled
from api.openapi import IDEMPOTENCY_HEADER, errors
from api.operating import ApplicationRoute, With
from api.schemas.events import (
    CreateEvent,
    CustomEventAnswer,
    CustomEventDeleted,
    CustomEventList,
    CustomEventReference,
    EventSent,
    SendEvent,
    UpdateEvent,
)
from campaigns.automations import events
from campaigns.automations.events import Happened
from core.paging import Window
from messages.accept import Accepted, take_key
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.events import event_answer, event_face
from web.faces.references import deleted, reference
from web.paging import listed, window

router = APIRouter(prefix="/events", tags=["Events"], route_class=ApplicationRoute)

PAGE = 20
_BODY = 256 * 1024
_Window = Annotated[Window[UUID], Depends(window)]
_REFUSALS = errors("not_found", "conflict")


@router.post(
    "/send",
    summary="Send an event",
    status_code=202,
    response_model=EventSent,
    responses=errors(
        "not_found", "conflict", "invalid_idempotency_key", "invalid_idempotent_request",
        "concurrent_idempotent_requests",
    ),
    openapi_extra={"parameters": [IDEMPOTENCY_HEADER]},
)  # fmt: skip
@largest_body(_BODY)
async def send_event(body: SendEvent, request: Request, who: FullAccess, given: With) -> Response:
    """Something happened to a contact: every enabled automation that waits for it begins for them."""
    asked = keyed(request, who, await request.body())
    answer = orjson.dumps({"object": "event", "event": body.event})
    happened = Happened(body.event, body.contact_id, body.email or "", body.payload)
    async with given.database.transaction() as connection:
        if asked is not None:
            acceptance = await take_key(connection, who.application_id, asked.with_answer(answer))
            if not isinstance(acceptance, Accepted):
                return Response(settled(acceptance, answer), 202, media_type="application/json")
        await events.tell(connection, who.application_id, happened, act_of(request, who))
    return Response(answer, 202, media_type="application/json")


@router.post("", summary="Create an event", status_code=201, response_model=CustomEventReference, responses=_REFUSALS)
async def create_event(body: CreateEvent, who: FullAccess, given: With) -> Response:
    """Defines an event. Those that nobody defined are taken too, unchecked."""
    async with given.database.transaction() as connection:
        made = await events.define(connection, who.application_id, body.name, body.fields)
    return json_answer(reference("event", made.id), 201)


@router.get("", summary="List events", response_model=CustomEventList)
async def list_events(who: FullAccess, given: With, wanted: _Window) -> Response:
    """The events that are defined, newest first."""
    async with given.database.connection() as connection:
        found = await events.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
    return json_answer(listed(found, event_face))


@router.get("/{event:path}", summary="Get an event", response_model=CustomEventAnswer, responses=_REFUSALS)
async def get_event(event: str, who: FullAccess, given: With) -> Response:
    """A definition by its id or name."""
    async with given.database.connection() as connection:
        return json_answer(event_answer(await events.get(connection, who.application_id, event)))


@router.patch("/{event:path}", summary="Update an event", response_model=CustomEventReference, responses=_REFUSALS)
async def update_event(event: str, body: UpdateEvent, who: FullAccess, given: With) -> Response:
    """Gives it another schema."""
    async with given.database.transaction() as connection:
        known = await events.get(connection, who.application_id, event)
        if "fields" in body.model_fields_set:
            await events.redefine(connection, known, body.fields)
    return json_answer(reference("event", known.id))


@router.delete("/{event:path}", summary="Delete an event", response_model=CustomEventDeleted, responses=_REFUSALS)
async def delete_event(event: str, who: FullAccess, given: With) -> Response:
    """Forgets the definition."""
    async with given.database.transaction() as connection:
        known = await events.get(connection, who.application_id, event)
        await events.forget(connection, known)
    return json_answer(deleted("event", known.id))
