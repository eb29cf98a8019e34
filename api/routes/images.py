"""`/images`: pictures for mail, stored here and served by the public pages: a campaign needs no other server."""

import base64
from dataclasses import replace
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.images import AddImage, ImageAnswer, ImageDeleted, ImageList
from core.paging import Window
from core.refusal import invalid
from templates import images
from templates.pictures import MAX_BYTES
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.images import image_answer, image_face
from web.faces.references import deleted
from web.paging import listed, window

router = APIRouter(prefix="/images", tags=["Templates"], route_class=ApplicationRoute)

PAGE: Final = 20


@router.post(
    "",
    summary="Add an image",
    status_code=201,
    response_model=ImageAnswer,
    responses={200: {"model": ImageAnswer, "description": "It was there already."}, **errors("conflict")},
)
@largest_body(MAX_BYTES * 4 // 3 + 8 * 1024)
async def add_image(body: AddImage, who: FullAccess, given: With) -> Response:
    """Stores an image and answers with its address, which mail can show. The same content is stored once."""
    try:
        data = base64.b64decode(body.content, validate=True)
    except ValueError:
        raise invalid("content", "it is no base64") from None
    settings = given.settings
    async with given.database.transaction() as connection:
        made, new = await images.add(connection, who.application_id, body.name, data, settings.image_bytes)
    return json_answer(image_answer(made, settings.public_url), 201 if new else 200)


@router.get("", summary="List images", response_model=ImageList)
async def list_images(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """The images of your application, newest first."""
    async with given.database.connection() as connection:
        found = await images.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
    return json_answer(listed(found, partial(image_face, public_url=given.settings.public_url)))


@router.get("/{image_id}", summary="Get an image", response_model=ImageAnswer, responses=errors("not_found"))
async def get_image(image_id: UUID, who: FullAccess, given: With) -> Response:
    """An image's address and measures."""
    async with given.database.connection() as connection:
        found = await images.get(connection, who.application_id, image_id)
    return json_answer(image_answer(found, given.settings.public_url))


@router.delete("/{image_id}", summary="Delete an image", response_model=ImageDeleted, responses=errors("not_found"))
async def delete_image(image_id: UUID, who: FullAccess, given: With) -> Response:
    """Removes an image. Mail that shows it, also mail that was sent, shows its `alt` from then on."""
    async with given.database.transaction() as connection:
        await images.delete(connection, who.application_id, image_id)
    return json_answer(deleted("image", image_id))
