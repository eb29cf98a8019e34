"""What a campaign says: what it begins with (blocks, a template, code), then the editor; and how many would get it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from campaigns import repository, sources, steering
from campaigns.checking import checks
from campaigns.model import Campaign
from console.campaigns import words
from console.campaigns.door import the_one, values
from console.choosing import chosen_id
from console.editor.routes import start
from console.guard import ConsoleRoute, largest_form, needs
from console.rendering import page
from console.visit import Visit, Visiting
from core.paging import Window
from core.refusal import Refused, conflict
from store.database import Connection
from templates import service
from templates.build import Kind, Source
from templates.model import DEFAULT, Template, Writing

router = APIRouter(route_class=ConsoleRoute)

BLOCKS: Final = "blocks"
"""In the place of a template: a mail of blocks from the beginning."""
_LARGEST: Final = 5 * 1024 * 1024
"""Bytes of a form, as of a body of the API."""


@router.get("/campaigns/{campaign_id}/content")
@needs(Right.CAMPAIGNS_CHANGE)
async def content(visit: Visiting, campaign_id: UUID) -> Response:
    """On to the editor; where it was not written there, what to begin with."""
    async with visit.given.database.connection() as connection:
        found = await the_one(connection, visit, campaign_id)
        source = await sources.of(connection, found)
    if source is not None and not visit.asked("anew"):
        return visit.go(f"/templates/{source.id}/edit")
    return await _beginnings(visit, found)


@router.post("/campaigns/{campaign_id}/content")
@needs(Right.CAMPAIGNS_CHANGE)
@largest_form(_LARGEST)
async def begin(visit: Visiting, campaign_id: UUID) -> Response:
    """Another beginning: what it said before is gone."""
    async with visit.given.database.connection() as connection:
        known = await the_one(connection, visit, campaign_id)
    try:
        async with visit.given.database.transaction() as connection:
            code = (visit.form.get("code") or ("",))[0].replace("\r\n", "\n")
            made = await begun(connection, known, await _chosen(connection, visit, known), code)
            now = await repository.get(connection, known.application_id, known.id)
            entry = Entry("campaign.update", str(known.id), values(known), values(now), known.application_id)
            await visit.note(connection, entry)
    except Refused as error:
        return await _beginnings(visit, known, error)
    return visit.go(f"/templates/{made.id}/edit", "Saved. Write here what it says.")


@router.get("/campaigns/{campaign_id}/reach")
@needs(Right.CAMPAIGNS_SEE)
async def reach(visit: Visiting, campaign_id: UUID) -> Response:
    """How many people would get it now."""
    found, error = None, None
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, campaign_id)
    try:
        found = await checks.reach(visit.given.tools, one)
    except Refused as refusal:
        error = refusal
    return page(visit, "campaigns/reach.html", 200, one=one, people=found, error=error, called=words.called(one))


async def begun(connection: Connection, known: Campaign, chosen: str, code: str) -> Template:
    """What a campaign is written from now: blocks, a template, or code; it says the same at once. Raises Refused."""
    if known.state.value != "draft":
        raise conflict(f"only a draft can be changed, and this campaign is {known.state}", "Duplicate it.")
    writing, template_id = await _writing(connection, known, chosen, code)
    made = await sources.begin(connection, known, writing)
    await steering.follow(connection, made)
    now = await repository.get(connection, known.application_id, known.id)
    await steering.update(connection, now, replace(steering.draft_of(now), template_id=template_id))
    return made


async def _chosen(connection: Connection, visit: Visit, known: Campaign) -> str:
    """Blocks, the id of a template, or "" for code. Raises Refused."""
    if visit.field("template") == BLOCKS:
        return BLOCKS
    return await chosen_id(connection, visit, "template", "Template", known.application_id)


def is_mjml(code: str) -> bool:
    """Whether somebody pasted MJML."""
    return code.lstrip()[:5].lower() == "<mjml"


async def published(connection: Connection, application_id: UUID) -> Sequence[tuple[str, str]]:
    """Templates to begin with."""
    found = await service.page(connection, application_id, Window(service.MOST))
    return [(str(one.id), one.name) for one in found.entries if one.published_id]


async def _writing(connection: Connection, known: Campaign, chosen: str, code: str) -> tuple[Writing, UUID | None]:
    """What to begin with, and the template that this is."""
    if chosen == BLOCKS:
        return Writing({DEFAULT: Source(*start("blocks"))}), None
    if chosen:
        version = await service.published(connection, known.application_id, chosen)
        return version.writing, version.template_id
    if is_mjml(code):
        return Writing({DEFAULT: Source(Kind.MJML, code)}), None
    if not code.strip() and known.words.html:
        return sources.as_it_stands(known), known.template_id
    return Writing({DEFAULT: Source(Kind.HTML, code)}), None


async def _beginnings(visit: Visit, found: Campaign, error: Refused | None = None) -> Response:
    if found.state.value != "draft":
        raise conflict(f"only a draft can be changed, and this campaign is {found.state}", "Duplicate it.")
    async with visit.given.database.connection() as connection:
        templates = await published(connection, found.application_id)
        source = await sources.of(connection, found)
    return page(
        visit, "campaigns/content.html", 200 if error is None else 422, one=found, templates=templates, error=error,
        source=source, words=words,
    )  # fmt: skip
