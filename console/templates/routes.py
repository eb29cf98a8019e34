"""`/templates`: all of them, one as somebody gets it, and making its draft the version in force.

Thin: `templates/service` and `messages/previewing`, as for the API and the command line. They are written in
`console/editor`.
"""

from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from console.editor.door import the_one, values
from console.frames import framed
from console.guard import ConsoleRoute, needs
from console.listing import listed, window
from console.owners import chosen
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused
from messages import previewing
from messages.previewing import Preview, Wanted
from store.database import Connection
from templates import images, service
from templates.model import Template

router = APIRouter(route_class=ConsoleRoute)


@router.get("/templates")
@needs(Right.CAMPAIGNS_SEE)
async def list_templates(visit: Visiting) -> Response:
    """All of an application, newest first."""
    async with visit.given.database.connection() as connection:
        owners, part = await chosen(connection, visit), window(visit)
        found = await service.page(connection, owners.chosen, part)
    return page(visit, "templates/list.html", list=listed(visit, found, part, lambda one: one.id), owners=owners)


@router.get("/templates/{template_id}")
@needs(Right.CAMPAIGNS_SEE)
async def show(visit: Visiting, template_id: UUID) -> Response:
    """One of them: how does it arrive, and is that in force?"""
    return await _one(visit, template_id)


@router.get("/templates/{template_id}/frame")
@needs(Right.MAIL_CONTENT)
async def frame(visit: Visiting, template_id: UUID) -> Response:
    """Its HTML, for the frame that it is shown in."""
    async with visit.given.database.connection() as connection:
        found, _ = await the_one(connection, visit, template_id)
        made = await _preview(connection, visit, found)
    return framed(made.filled.html, images.below(visit.given.settings.public_url))


@router.post("/templates/{template_id}/publish")
@needs(Right.CAMPAIGNS_CHANGE)
async def publish(visit: Visiting, template_id: UUID) -> Response:
    """Makes the draft what mail is made of."""
    try:
        async with visit.given.database.transaction() as connection:
            was, _ = await the_one(connection, visit, template_id)
            now = await service.publish(connection, was.application_id, str(was.id))
            entry = Entry("template.publish", str(was.id), values(was), values(now), was.application_id)
            await visit.note(connection, entry)
    except Refused as error:
        return await _one(visit, template_id, error)
    return visit.go(f"/templates/{template_id}", "Published: mail is made of it within seconds.")


async def _one(visit: Visit, template_id: UUID, error: Refused | None = None) -> Response:
    made: Preview | None = None
    async with visit.given.database.connection() as connection:
        found, version = await the_one(connection, visit, template_id)
        if found.campaign_id is not None:
            return visit.go(f"/campaigns/{found.campaign_id}")
        try:
            made = await _preview(connection, visit, found) if visit.may(Right.MAIL_CONTENT) else None
        except Refused as refusal:
            error = error or refusal
    return page(
        visit, "templates/one.html", 200 if error is None else 422, one=found, version=version, made=made, error=error,
        whom=visit.asked("as"),
    )  # fmt: skip


async def _preview(connection: Connection, visit: Visit, found: Template) -> Preview:
    """Its newest content, as a contact gets it who was named. Raises Refused: it cannot be made for them."""
    contact = visit.asked("as") if visit.may(Right.PEOPLE_SEE) else ""
    wanted: Wanted = ({}, contact or None, visit.asked("language") or None)
    return await previewing.preview(connection, found.application_id, str(found.id), wanted)
