"""`/audiences`: segments as older clients know them, under their older name."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.routes.segments import delete, list_segments, make, show
from api.schemas.segments import AudienceAnswer, AudienceDeleted, AudienceMade, CreateSegment, SegmentList
from core.paging import Window
from web.paging import window

router = APIRouter(prefix="/audiences", tags=["Segments"], route_class=ApplicationRoute)


@router.post(
    "", summary="Create an audience", status_code=201, response_model=AudienceMade, responses=errors("conflict")
)
async def create_audience(body: CreateSegment, who: FullAccess, given: With) -> Response:
    """Makes a segment."""
    return await make("audience", body, who, given)


@router.get("", summary="List audiences", response_model=SegmentList)
async def list_audiences(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """The segments of your application, newest first."""
    return await list_segments(who, given, wanted)


@router.get("/{audience_id}", summary="Get an audience", response_model=AudienceAnswer, responses=errors("not_found"))
async def get_audience(audience_id: UUID, who: FullAccess, given: With) -> Response:
    """A segment."""
    return await show("audience", audience_id, who, given)


@router.delete(
    "/{audience_id}",
    summary="Delete an audience",
    response_model=AudienceDeleted,
    responses=errors("not_found", "conflict"),
)
async def delete_audience(audience_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes the segment and none of its contacts."""
    return await delete("audience", audience_id, who, given)
