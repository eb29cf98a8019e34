"""`/segments`: lists and filters of contacts. `audience/segments` stores, `audience/audiences` counts and finds."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from accounts.directory import Caller
from api.auth import FullAccess
from api.deps import Deps
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.segments import (
    CreateSegment,
    PreviewSegment,
    SegmentAnswer,
    SegmentCount,
    SegmentDeleted,
    SegmentList,
    SegmentMade,
    SegmentPreview,
    SegmentReference,
    UpdateSegment,
)
from audience import audiences, segments
from core.objectives import REPORT
from core.paging import Page, Window
from web.answers import json_answer
from web.faces.references import deleted, reference
from web.faces.segments import found_face, segment_answer, segment_face
from web.objectives import serves
from web.paging import listed, window

router = APIRouter(prefix="/segments", tags=["Segments"], route_class=ApplicationRoute)

PAGE = 20
"""Entries of a list for which nobody said how many."""


@router.post("", summary="Create a segment", status_code=201, response_model=SegmentMade, responses=errors("conflict"))
async def create_segment(body: CreateSegment, who: FullAccess, given: With) -> Response:
    """Makes a list, or a segment of whoever a filter holds for."""
    return await make("segment", body, who, given)


@router.get("", summary="List segments", response_model=SegmentList)
async def list_segments(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """The segments of your application, newest first."""
    async with given.database.connection() as connection:
        found = await segments.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
        shown = await segments.explained(connection, who.application_id, found.entries)
    return json_answer(listed(Page(shown, found.has_more), segment_face))


@router.post("/preview", summary="Preview a filter", response_model=SegmentPreview)
@serves(REPORT)
async def preview_segment(body: PreviewSegment, who: FullAccess, given: With) -> Response:
    """How many contacts a filter finds, and some of them. Stores nothing."""
    async with given.database.connection() as connection:
        found = await segments.preview(connection, who.application_id, body.filter, given.clock.now(), body.limit)
    return json_answer(
        {
            "object": "segment_preview",
            "count": found.count,
            "filter": found.filter,
            "filter_text": found.text,
            "data": [found_face(one) for one in found.some],
        }
    )


@router.get("/{segment_id}", summary="Get a segment", response_model=SegmentAnswer, responses=errors("not_found"))
async def get_segment(segment_id: UUID, who: FullAccess, given: With) -> Response:
    """A segment, with its filter in both forms."""
    return await show("segment", segment_id, who, given)


@router.get(
    "/{segment_id}/count",
    summary="Count a segment",
    response_model=SegmentCount,
    responses=errors("not_found", "conflict"),
)
@serves(REPORT)
async def count_segment(segment_id: UUID, who: FullAccess, given: With) -> Response:
    """How many contacts are in it now: confirmed or not, without those who left the list."""
    async with given.database.connection() as connection:
        found = await segments.get(connection, who.application_id, segment_id)
        meant = await segments.audience(connection, found)
        count = await audiences.count(connection, who.application_id, meant, given.clock.now())
    return json_answer({"object": "segment_count", "id": segment_id, "count": count})


@router.patch(
    "/{segment_id}",
    summary="Update a segment",
    response_model=SegmentReference,
    responses=errors("not_found", "conflict"),
)
async def update_segment(segment_id: UUID, body: UpdateSegment, who: FullAccess, given: With) -> Response:
    """Changes the name or the filter."""
    async with given.database.transaction() as connection:
        await segments.update(connection, who.application_id, segment_id, body.name, body.filter)
    return json_answer(reference("segment", segment_id))


@router.delete(
    "/{segment_id}",
    summary="Delete a segment",
    response_model=SegmentDeleted,
    responses=errors("not_found", "conflict"),
)
async def delete_segment(segment_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes the segment and none of its contacts."""
    return await delete("segment", segment_id, who, given)


# The same by either name: older clients call a segment an audience (`audiences`).


async def make(noun: str, body: CreateSegment, who: Caller, given: Deps) -> Response:
    """A new one, under the name that was asked for."""
    async with given.database.transaction() as connection:
        made = await segments.create(connection, who.application_id, body.name, body.filter)
    return json_answer(reference(noun, made.id) | {"name": made.name}, 201)


async def show(noun: str, identifier: UUID, who: Caller, given: Deps) -> Response:
    """One of them."""
    async with given.database.connection() as connection:
        found = await segments.get(connection, who.application_id, identifier)
        (shown,) = await segments.explained(connection, who.application_id, [found])
    return json_answer(segment_answer(shown, noun))


async def delete(noun: str, identifier: UUID, who: Caller, given: Deps) -> Response:
    """It goes, and nobody who is in it."""
    async with given.database.transaction() as connection:
        await segments.delete(connection, who.application_id, identifier)
    return json_answer(deleted(noun, identifier))
