"""`/applications`: who sends from this installation. List, and delete.

Thin: `accounts/repository` stores, `campaigns.withdrawal` deletes. Every route wants an operator's key.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from accounts import repository
from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With
from api.schemas.applications import ApplicationDeleted, ApplicationList
from campaigns.withdrawal import delete_application
from web.answers import json_answer
from web.faces.applications import application_face
from web.faces.references import deleted
from web.paging import listed, page_of

router = APIRouter(prefix="/applications", tags=["Applications"], route_class=OperatorRoute)


@router.get("", summary="List applications", response_model=ApplicationList)
async def list_applications(who: Operator, given: With, wanted: Part) -> Response:
    """All applications with their domains and how many keys each has, oldest first."""
    async with given.database.connection() as connection:
        found = page_of(await repository.tenants(connection), lambda one: str(one.application.id), wanted)
    return json_answer(listed(found, application_face))


@router.delete(
    "/{application_id}",
    summary="Delete an application",
    response_model=ApplicationDeleted,
    responses=errors("conflict"),
)
async def delete(
    application_id: UUID,
    who: Operator,
    given: With,
    cancel: Annotated[bool, Query(description="Also when mail waits: it is cancelled.")] = False,
) -> Response:
    """Deletes an application with its keys and domains. While mail of it waits, this is refused, unless `cancel` is
    true. Its keys stop at once; it takes five seconds until every process knows. The history of what was sent stays
    until its time is over."""
    gone = await delete_application(given.database, application_id, cancel=cancel)
    given.directory.forget()
    return json_answer(deleted("application", gone.id))
