"""`/applications`: who sends from this installation. Make, list, rename, limit, and delete.

Thin: `accounts/applications` changes, `campaigns.withdrawal` deletes. Every route wants an operator's key.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from accounts import applications, repository
from accounts.applications import Changes
from accounts.quotas import Quota, quota_of
from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With
from api.schemas.applications import (
    ApplicationDeleted,
    ApplicationList,
    ApplicationReference,
    CreateApplication,
    UpdateApplication,
)
from campaigns.withdrawal import delete_application
from web.answers import json_answer
from web.faces.applications import application_face
from web.faces.references import deleted, reference
from web.paging import listed, page_of

router = APIRouter(prefix="/applications", tags=["Applications"], route_class=OperatorRoute)


@router.post(
    "",
    summary="Create an application",
    status_code=201,
    response_model=ApplicationReference,
    responses=errors("conflict"),
)
async def create(body: CreateApplication, who: Operator, given: With) -> Response:
    """Makes an application. Its keys are made with `postlane keys create NAME --application APPLICATION`."""
    async with given.database.transaction() as connection:
        quota = quota_of(body.messages_per_day, body.messages_per_second)
        made = await applications.create(connection, body.name, quota)
    return json_answer(reference("application", made.id), 201)


@router.patch(
    "/{application_id}",
    summary="Update an application",
    response_model=ApplicationReference,
    responses=errors("conflict", "not_found"),
)
async def update(application_id: UUID, body: UpdateApplication, who: Operator, given: With) -> Response:
    """Renames an application, or says how much it may bring in over the API and SMTP: messages are recipients, mail of
    test keys and campaigns do not count. Every process knows within five seconds."""
    async with given.database.transaction() as connection:
        found = await applications.one(connection, application_id)
        await applications.change(connection, found, Changes(body.name, _quota(body, found.quota)))
    given.directory.forget()
    return json_answer(reference("application", application_id))


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


def _quota(body: UpdateApplication, before: Quota) -> Quota | None:
    """As it is to be; None when nothing is said about it."""
    said = body.model_fields_set
    if not said & {"messages_per_day", "messages_per_second"}:
        return None
    return quota_of(
        body.messages_per_day if "messages_per_day" in said else before.per_day,
        body.messages_per_second if "messages_per_second" in said else before.per_second,
    )
