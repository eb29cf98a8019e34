"""`/templates/{id}/edit`: writing a template, or what a campaign says, block by block or as code.

What is chosen stands in the address, so everything but dragging and formatting works without scripts. A change is one
small form; with a script it is sent by itself, and answered with the parts of the page that differ. Whoever changes
what somebody else has changed since is refused, and keeps what they typed.
"""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from campaigns import steering
from console.editor import acts, fields, words
from console.editor.acts import Act
from console.editor.asked import Asked
from console.editor.desk import desk, faults
from console.editor.door import the_one, values
from console.guard import ConsoleRoute, largest_form, needs
from console.menu import menu_of
from console.owners import chosen
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused
from store.database import Connection
from templates import document, rich, service
from templates.build import Kind
from templates.limits import MAX_SOURCE
from templates.model import Edit, LanguageEdit, Template, Version
from templates.pictures import MAX_BYTES

router = APIRouter(route_class=ConsoleRoute)

POLICIES: Final = "htmx postlane-editor"
"""Trusted Types: `postlane-editor` lets `assets/editor.js` parse HTML into a document that nobody sees, and no more."""
_LARGEST: Final = MAX_BYTES + 6 * MAX_SOURCE
"""Bytes: a picture, or a code of which each letter takes several."""
STARTS: Final = (("blocks", "Blocks, in the editor"), ("mjml", "MJML"), ("html", "HTML"))
_MJML: Final = """<mjml>
  <mj-body>
    <mj-section>
      <mj-column>
        <mj-text>Hello {{ first_name | default("there") }}</mj-text>
      </mj-column>
    </mj-section>
  </mj-body>
</mjml>
"""
_HTML: Final = """<!doctype html>
<html>
<body>
<p>Hello {{ first_name | default("there") }}</p>
<p><a href="{{{UNSUBSCRIBE_URL}}}">Unsubscribe</a></p>
</body>
</html>
"""


@router.get("/templates/new")
@needs(Right.CAMPAIGNS_CHANGE)
async def new(visit: Visiting) -> Response:
    """What to begin with."""
    return await _new(visit)


@router.post("/templates")
@needs(Right.CAMPAIGNS_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes a draft, to go on with in the editor."""
    try:
        async with visit.given.database.transaction() as connection:
            mine = await chosen(connection, visit)
            content = LanguageEdit(start(visit.field("start")), visit.field("subject"))
            made = await service.create(connection, mine.chosen, Edit(name=visit.field("name"), content=content))
            await visit.note(connection, Entry("template.create", str(made.id), None, values(made), mine.chosen))
    except Refused as error:
        return await _new(visit, error)
    return visit.go(f"/templates/{made.id}/edit")


def start(kind: str) -> tuple[Kind, str]:
    """What a new mail begins with."""
    if kind == "mjml":
        return Kind.MJML, _MJML
    return (Kind.HTML, _HTML) if kind == "html" else (Kind.BLOCKS, document.written(document.STARTER))


@router.get("/templates/{template_id}/edit")
@needs(Right.CAMPAIGNS_CHANGE)
async def edit(visit: Visiting, template_id: UUID) -> Response:
    """The editor."""
    return await _page(visit, template_id, Asked.of(visit.request.query_params))


@router.post("/templates/{template_id}/edit")
@needs(Right.CAMPAIGNS_CHANGE)
@largest_form(_LARGEST)
async def save(visit: Visiting, template_id: UUID) -> Response:
    """One change."""
    asked = Asked.of(visit.request.query_params)
    try:
        async with visit.given.database.transaction() as connection:
            one, version = await the_one(connection, visit, template_id)
            if one.campaign_id is not None:
                await steering.may_follow(connection, one)
            now, asked = await acts.do(Act(connection, visit, one, version, asked))
            if now.campaign_id is not None:
                await steering.follow(connection, now)
            await _note(connection, visit, (one, version), now)
    except Refused as error:
        return await _page(visit, template_id, asked, error)
    if visit.request.headers.get("hx-request"):
        return await _page(visit, template_id, asked)
    return visit.go(f"/templates/{template_id}/edit?{asked.query()}", _told(one, now, version))


def _told(was: Template, now: Template, version: Version) -> str:
    """What a change without a script came to."""
    published = now.published_id is not None and now.published_id != was.published_id
    return f"Version {version.number} is in force." if published else "Saved."


async def _note(connection: Connection, visit: Visit, was: tuple[Template, Version], now: Template) -> None:
    """Into the audit log: a change each, and typing that is one step once."""
    one, version = was
    if now.revision == one.revision:
        return
    act = "publish" if now.published_id != one.published_id else "update"
    renamed = (now.name, now.alias) != (one.name, one.alias)
    if act == "update" and not renamed and now.step == one.step and one.step:
        return
    _, after = await service.get(connection, now.application_id, str(now.id))
    entry = Entry(
        f"template.{act}", str(one.id), values(one, version), values(now, after), one.application_id
    )  # fmt: skip
    await visit.note(connection, entry)


async def _page(visit: Visit, template_id: UUID, asked: Asked, error: Refused | None = None) -> Response:
    """The editor, or the parts of it that a script asks for: after a refusal only what it says."""
    by_script = bool(visit.request.headers.get("hx-request"))
    status = 200 if error is None else 409 if error.kind == "conflict" else 422
    if error is not None and error.kind == "not_found":
        raise error
    if by_script and error is not None:
        return page(
            visit, "editor/trouble.html", status, trusted=POLICIES, error=error, faults=faults(error), asked=asked,
            at=f"/templates/{template_id}", fields=fields,
        )  # fmt: skip
    async with visit.given.database.connection() as connection:
        known = await the_one(connection, visit, template_id)
        found = await desk(connection, visit, known, asked)
    return page(
        visit, "editor/parts.html" if by_script else "editor/edit.html", status, trusted=POLICIES, desk=found,
        asked=found.asked, one=found.one, menu=menu_of(visit, _place(found.one)), at=f"/templates/{template_id}",
        error=error, faults=faults(error) if error else (), words=words, fields=fields, rich=rich,
        uploaded=by_script and any(file.body for file in visit.files.values()),
    )  # fmt: skip


def _place(one: Template) -> str:
    """Where in the menu one is: words of a campaign are the campaign's."""
    return "/templates" if one.campaign_id is None else "/campaigns"


async def _new(visit: Visit, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        mine = await chosen(connection, visit)
    return page(visit, "editor/new.html", 200 if error is None else 422, owners=mine, error=error, starts=STARTS)
