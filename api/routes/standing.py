"""`/standing`: what providers say about our IPs and domains, as files of theirs that were handed in.

Thin: `pools/standing_files` reads, `pools/standing` keeps. Every route wants an operator's key.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With
from api.schemas.standing import StandingList, StandingTaken
from pools import standing
from pools.standing_files import read
from web.answers import json_answer
from web.bodies import read_body
from web.faces.standing import standing_face, taken_face
from web.paging import listed, page_of

router = APIRouter(prefix="/standing", tags=["Standing"], route_class=OperatorRoute)

_LARGEST = 10 * 1024 * 1024
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string", "description": "The file of snds or yahoo."}},
            "application/json": {"schema": {"type": "object", "description": "The answer of google."}},
        },
    }
}


@router.get("", summary="List what providers say of us", response_model=StandingList)
async def list_standing(
    who: Operator,
    given: With,
    wanted: Part,
    subject: Annotated[str | None, Query(max_length=300, description="Only this IP or domain.")] = None,
) -> Response:
    """The newest figure of each name."""
    async with given.database.connection() as connection:
        found = await standing.latest(connection, subject or "")
    faces = [standing_face(figure) for figure in found]
    return json_answer(listed(page_of(faces, lambda face: str(face["id"]), wanted), lambda face: face))


@router.post(
    "/{source}",
    summary="Import what a provider says of us",
    status_code=201,
    response_model=StandingTaken,
    responses=errors("validation_error"),
    openapi_extra=_FILE,
)
async def import_standing(
    source: Literal["snds", "yahoo", "google"], request: Request, who: Operator, given: With
) -> Response:
    """Takes a file as the provider gives it: the CSV of SNDS, figures of Yahoo's feedback loop as CSV with a heading,
    or the answer of Google's `domains.getComplianceStatus`. Handed in again it changes nothing."""
    figures = read(source, await read_body(request, _LARGEST), given.clock.now().date())
    async with given.database.transaction() as connection:
        taken = await standing.keep(connection, source, figures)
    return json_answer(taken_face(taken), 201)
