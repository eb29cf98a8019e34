"""`/templates`: all of them, one as somebody gets it, a test of it, and making its draft the version in force.

Thin: `templates/service`, `messages/previewing` and `campaigns/trying_templates`, as for the API and the command line.
They are written in `console/editor`.
"""

from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from alarms import seeds
from campaigns import trying_templates
from campaigns.trying import To
from campaigns.trying_templates import Wanted
from console.editor.door import seen, the_one, values
from console.editor.previews import some_people
from console.frames import framed
from console.guard import ConsoleRoute, needs
from console.listing import listed, window
from console.owners import chosen
from console.rendering import page
from console.shown import plural
from console.visit import Visit, Visiting
from core.refusal import Refused
from messages import previewing
from messages.previewing import Preview
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
    """Makes the draft what mail is made of, if it is still the one that was looked at."""
    try:
        async with visit.given.database.transaction() as connection:
            was, _ = await the_one(connection, visit, template_id)
            now = await service.publish(connection, was.application_id, str(was.id), seen(visit))
            entry = Entry("template.publish", str(was.id), values(was), values(now), was.application_id)
            await visit.note(connection, entry)
    except Refused as error:
        return await _one(visit, template_id, error)
    return visit.go(f"/templates/{template_id}", "Published: mail is made of it within seconds.")


@router.post("/templates/{template_id}/test")
@needs(Right.CAMPAIGNS_CHANGE)
async def send_test(visit: Visiting, template_id: UUID) -> Response:
    """To some addresses and seed accounts, as the person gets it whom the page shows."""
    to = To(visit.field("to").replace(",", " ").split(), bool(visit.field("seeds")))
    wanted = Wanted(to, visit.field("from"), _whom(visit), visit.asked("language"))
    try:
        async with visit.given.database.transaction() as connection:
            found, _ = await the_one(connection, visit, template_id)
            simulated = visit.given.settings.sandbox_domain
            mails = await trying_templates.send(connection, found.application_id, str(found.id), wanted, simulated)
            after = {"mails": [str(mail.id) for mail in mails]}
            await visit.note(connection, Entry("template.test", str(found.id), None, after, found.application_id))
    except Refused as error:
        return await _one(visit, template_id, error)
    return visit.go(f"/messages/{mails[0].id}", f"{plural(len(mails), 'test mail')} on the way.")


async def _one(visit: Visit, template_id: UUID, error: Refused | None = None) -> Response:
    made: Preview | None = None
    async with visit.given.database.connection() as connection:
        found, version = await the_one(connection, visit, template_id)
        if found.campaign_id is not None:
            return visit.go(f"/campaigns/{found.campaign_id}")
        people = await some_people(connection, visit, found.application_id)
        probed = len(await seeds.active(connection, trying_templates.lane_of(version)))
        try:
            made = await _preview(connection, visit, found) if visit.may(Right.MAIL_CONTENT) else None
        except Refused as refusal:
            error = error or refusal
    status = 200 if error is None else 409 if error.kind == "conflict" else 422
    return page(
        visit, "templates/one.html", status, one=found, version=version, made=made, error=error,
        whom=visit.asked("as"), seeds=probed, people=people,
    )  # fmt: skip


async def _preview(connection: Connection, visit: Visit, found: Template) -> Preview:
    """Its newest content, as a contact gets it who was named. Raises Refused: it cannot be made for them."""
    wanted: previewing.Wanted = ({}, _whom(visit) or None, visit.asked("language") or None)
    return await previewing.preview(connection, found.application_id, str(found.id), wanted)


def _whom(visit: Visit) -> str:
    """The contact whom the address names, for who may see people."""
    return visit.asked("as") if visit.may(Right.PEOPLE_SEE) else ""
