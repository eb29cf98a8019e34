"""`/audiences`: segments as older clients know them, under their older name."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.routes.segments import list_segments
from api.schemas.segments import AudienceAnswer, AudienceDeleted, AudienceMade, CreateSegment, SegmentList
from audience import segments
from core.paging import Window
from web.answers import json_answer
from web.faces.references import deleted, reference
from web.faces.segments import segment_answer
from web.paging import window

router = APIRouter(prefix="/audiences", tags=["Segments"], route_class=ApplicationRoute)


@router.post(
    "", summary="Create an audience", status_code=201, response_model=AudienceMade, responses=errors("conflict")
)
async def create_audience(body: CreateSegment, who: FullAccess, given: With) -> Response:
    """Makes a segment."""
    async with given.database.transaction() as connection:
        made = await segments.create(connection, who.application_id, body.name, body.filter)
    return json_answer(reference("audience", made.id) | {"name": made.name}, 201)


@router.get("", summary="List audiences", response_model=SegmentList)
async def list_audiences(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """The segments of your application, newest first."""
    return await list_segments(who, given, wanted)


@router.get("/{audience_id}", summary="Get an audience", response_model=AudienceAnswer, responses=errors("not_found"))
async def get_audience(audience_id: UUID, who: FullAccess, given: With) -> Response:
    """A segment."""
    async with given.database.connection() as connection:
        found = await segments.get(connection, who.application_id, audience_id)
        (shown,) = await segments.explained(connection, who.application_id, [found])
    return json_answer(segment_answer(shown, "audience"))


@router.delete(
    "/{audience_id}",
    summary="Delete an audience",
    response_model=AudienceDeleted,
    responses=errors("not_found", "conflict"),
)
async def delete_audience(audience_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes the segment and none of its contacts."""
    async with given.database.transaction() as connection:
        await segments.delete(connection, who.application_id, audience_id)
    return json_answer(deleted("audience", audience_id))
