"""`/contact-properties`: what an application keeps of its contacts, each with a type. `audience/properties` stores."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.contact_properties import (
    CreateProperty,
    PropertyAnswer,
    PropertyDeleted,
    PropertyList,
    PropertyReference,
    UpdateProperty,
)
from audience import properties
from audience.properties import MOST
from core.paging import Window
from web.answers import json_answer
from web.faces.contacts import property_answer, property_face
from web.faces.references import deleted, reference
from web.paging import listed, window

router = APIRouter(prefix="/contact-properties", tags=["Contacts"], route_class=ApplicationRoute)

_NOUN = "contact_property"


@router.post(
    "",
    summary="Create a contact property",
    status_code=201,
    response_model=PropertyReference,
    responses=errors("conflict"),
)
async def create_property(body: CreateProperty, who: FullAccess, given: With) -> Response:
    """Defines what may be kept of contacts beside their name."""
    async with given.database.transaction() as connection:
        made = await properties.create(connection, who.application_id, body.key, body.type, body.fallback_value)
    return json_answer(reference(_NOUN, made.id), 201)


@router.get("", summary="List contact properties", response_model=PropertyList)
async def list_properties(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """Your properties, newest first; all of them without `limit`."""
    async with given.database.connection() as connection:
        found = await properties.page(connection, who.application_id, replace(wanted, limit=wanted.limit or MOST))
    return json_answer(listed(found, property_face))


@router.get(
    "/{property_id}", summary="Get a contact property", response_model=PropertyAnswer, responses=errors("not_found")
)
async def get_property(property_id: UUID, who: FullAccess, given: With) -> Response:
    """A property."""
    async with given.database.connection() as connection:
        return json_answer(property_answer(await properties.get(connection, who.application_id, property_id)))


@router.patch(
    "/{property_id}",
    summary="Update a contact property",
    response_model=PropertyReference,
    responses=errors("not_found"),
)
async def update_property(property_id: UUID, body: UpdateProperty, who: FullAccess, given: With) -> Response:
    """Gives it another fallback. Key and type stay as they are: filters and mail rely on them."""
    async with given.database.transaction() as connection:
        if "fallback_value" in body.model_fields_set:
            await properties.update(connection, who.application_id, property_id, body.fallback_value)
        else:
            await properties.get(connection, who.application_id, property_id)
    return json_answer(reference(_NOUN, property_id))


@router.delete(
    "/{property_id}",
    summary="Delete a contact property",
    response_model=PropertyDeleted,
    responses=errors("not_found"),
)
async def delete_property(property_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes the property, and its value of every contact: out of sight at once, gone a little later. Until then no
    other property bears its key."""
    async with given.database.transaction() as connection:
        await properties.delete(connection, who.application_id, property_id)
    return json_answer(deleted(_NOUN, property_id))
