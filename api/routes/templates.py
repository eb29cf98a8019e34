"""`/templates`: what mail is written from. A template is named by its id or its alias. `templates/service` stores.

Saving builds: a template that cannot become a mail is refused with all that is wrong in it, line by line. Sending is
`POST /emails` with `template: {id, variables}`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response

from accounts.directory import Caller
from api.auth import FullAccess
from api.deps import Deps
from api.editing_templates import edit_of
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.templates import (
    CreateTemplate,
    PreviewTemplate,
    SeenTemplate,
    TemplateAnswer,
    TemplateDeleted,
    TemplateList,
    TemplatePreview,
    TemplateReference,
    TemplateTested,
    TemplateVersionList,
    TestTemplate,
    UpdateTemplate,
)
from campaigns import trying_templates
from campaigns.trying import To
from campaigns.trying_templates import Wanted
from core.paging import Window
from messages.previewing import preview
from store.database import Connection
from templates import service
from templates.model import Change, Template
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.references import deleted, reference
from web.faces.templates import preview_face, template_answer, template_face, version_face
from web.paging import listed, window

router = APIRouter(prefix="/templates", tags=["Templates"], route_class=ApplicationRoute)

PAGE: Final = 20
_BODY: Final = 8 * 1024 * 1024
"""A template has a subject and bodies in several languages, each with 512 thousand characters."""


@router.post(
    "", summary="Create a template", status_code=201, response_model=TemplateReference, responses=errors("conflict")
)
@largest_body(_BODY)
async def create_template(body: CreateTemplate, who: FullAccess, given: With) -> Response:
    """Makes a draft from HTML, MJML or a document of blocks. Placeholders are `{{{NAME}}}`, `{{{NAME|fallback}}}`, or
    Jinja: `{{ name | default("there") }}`, conditions and loops."""
    async with given.database.transaction() as connection:
        made = await service.create(connection, who.application_id, edit_of(body))
    return json_answer(reference("template", made.id), 201)


@router.get("", summary="List templates", response_model=TemplateList)
async def list_templates(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """The templates of your application, newest first."""
    async with given.database.connection() as connection:
        found = await service.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
    return json_answer(listed(found, template_face))


@router.get("/{template}", summary="Get a template", response_model=TemplateAnswer, responses=errors("not_found"))
async def get_template(template: str, who: FullAccess, given: With) -> Response:
    """A template with its newest content: the draft where there is one."""
    async with given.database.connection() as connection:
        found, version = await service.get(connection, who.application_id, template)
    return json_answer(await asyncio.to_thread(template_answer, found, version))


@router.patch(
    "/{template}",
    summary="Update a template",
    response_model=TemplateReference,
    responses=errors("not_found", "conflict"),
)
@largest_body(_BODY)
async def update_template(template: str, body: UpdateTemplate, who: FullAccess, given: With) -> Response:
    """Changes the draft, or begins one. Mail is made of the published version until you publish again."""
    async with given.database.transaction() as connection:
        found = await service.update(
            connection, who.application_id, template, edit_of(body), Change(body.revision, "by the API")
        )
    return json_answer(reference("template", found.id))


@router.post(
    "/{template}/publish",
    summary="Publish a template",
    response_model=TemplateReference,
    responses=errors("not_found", "conflict"),
)
async def publish_template(template: str, who: FullAccess, given: With, body: SeenTemplate | None = None) -> Response:
    """Makes mail of the draft from now on, within its layout as that is now. A published version never changes."""
    return await _change(partial(service.publish, seen=_seen(body)), template, who, given)


@router.post(
    "/{template}/undo",
    summary="Undo the last change of a template",
    response_model=TemplateReference,
    responses=errors("not_found", "conflict"),
)
async def undo_change(template: str, who: FullAccess, given: With, body: SeenTemplate | None = None) -> Response:
    """Makes the draft what it was before the last change. The last 50 are kept; 409 when there is none left."""
    return await _change(partial(service.undo, seen=_seen(body)), template, who, given)


@router.post(
    "/{template}/redo",
    summary="Redo the last undone change of a template",
    response_model=TemplateReference,
    responses=errors("not_found", "conflict"),
)
async def redo_change(template: str, who: FullAccess, given: With, body: SeenTemplate | None = None) -> Response:
    """Makes the change again that was undone last. 409 when there is none, or when the draft was changed since."""
    return await _change(partial(service.redo, seen=_seen(body)), template, who, given)


@router.get(
    "/{template}/versions",
    summary="List the versions of a template",
    response_model=TemplateVersionList,
    responses=errors("not_found"),
)
async def list_versions(template: str, who: FullAccess, given: With) -> Response:
    """The newest 50 versions, the last one first."""
    async with given.database.connection() as connection:
        found = await service.history(connection, who.application_id, template)
    return json_answer({"object": "list", "has_more": False, "data": [version_face(one) for one in found]})


@router.post(
    "/{template}/versions/{number}/restore",
    summary="Restore a version of a template",
    response_model=TemplateReference,
    responses=errors("not_found", "conflict"),
)
async def restore_version(
    template: str,
    number: Annotated[int, Path(ge=1, le=2**31 - 1)],
    who: FullAccess,
    given: With,
    body: SeenTemplate | None = None,
) -> Response:
    """Makes the draft what this version said. Mail is made of it once you publish."""
    return await _change(partial(service.bring_back, number=number, seen=_seen(body)), template, who, given)


@router.post(
    "/{template}/duplicate",
    summary="Duplicate a template",
    status_code=201,
    response_model=TemplateReference,
    responses=errors("not_found"),
)
async def duplicate_template(template: str, who: FullAccess, given: With) -> Response:
    """A draft with the same content, without an alias."""
    async with given.database.transaction() as connection:
        made = await service.duplicate(connection, who.application_id, template)
    return json_answer(reference("template", made.id), 201)


@router.post(
    "/{template}/preview",
    summary="Preview a template",
    response_model=TemplatePreview,
    responses=errors("not_found"),
)
@largest_body(512 * 1024)
async def preview_template(template: str, body: PreviewTemplate, who: FullAccess, given: With) -> Response:
    """The newest content as a mail, for the variables given or for a contact, with what recipients or mail programs
    will mind. Nothing is sent."""
    async with given.database.connection() as connection:
        shown = await preview(
            connection, who.application_id, template, (body.variables or {}, body.contact, body.language)
        )
    return json_answer(preview_face(shown.template, shown.filled, shown.remarks))


@router.post(
    "/{template}/test",
    summary="Send a test of a template",
    response_model=TemplateTested,
    responses=errors("not_found", "conflict"),
)
@largest_body(512 * 1024)
async def try_template(template: str, body: TestTemplate, who: FullAccess, given: With) -> Response:
    """The newest content to some addresses, or to the seed accounts, for the variables given or as a contact gets it;
    its links work. With a link to unsubscribe it goes as marketing mail, else as transactional mail."""
    to = To(body.to or (), bool(body.seeds))
    wanted = Wanted(to, body.sender or "", body.contact or "", body.language or "", body.variables or {})
    async with given.database.transaction() as connection:
        mails = await trying_templates.send(
            connection, who.application_id, template, wanted, given.settings.sandbox_domain
        )
    return json_answer(reference("template", mails[0].template_id) | {"emails": [mail.id for mail in mails]})


@router.delete(
    "/{template}",
    summary="Delete a template",
    response_model=TemplateDeleted,
    responses=errors("not_found", "conflict"),
)
async def delete_template(template: str, who: FullAccess, given: With) -> Response:
    """Removes a template with all its versions. Mail that was accepted keeps its content."""
    async with given.database.transaction() as connection:
        found = await service.delete(connection, who.application_id, template)
    return json_answer(deleted("template", found.id))


def _seen(body: SeenTemplate | None) -> int | None:
    return body.revision if body else None


async def _change(
    change: Callable[[Connection, UUID, str], Awaitable[Template]], template: str, who: Caller, given: Deps
) -> Response:
    """Do it to the one that is named."""
    async with given.database.transaction() as connection:
        found = await change(connection, who.application_id, template)
    return json_answer(reference("template", found.id))
