"""`/forms`: where people sign up; make, change, delete a form, with its HTML and JSON for other pages, and a look.

Thin: `audience/forms`. What a reader would see is shown by the public pages themselves (`web/previews`).
"""

import re
from dataclasses import replace
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from audience import confirmations, forms, properties, segments, topics
from audience.forms import NAMES, Form, FormFacts, Texts
from console.choosing import chosen_id
from console.forms import words
from console.forms.filled import Choice, called, facts, language_of, languages_of
from console.guard import ConsoleRoute, needs
from console.listing import listed, window
from console.looks import framed_look
from console.owners import Owners, chosen
from console.rendering import page
from console.visit import Visit, Visiting
from core.paging import Window
from core.queues import Lane
from core.refusal import Refused, conflict, invalid, not_found
from store.database import Connection
from web.faces.forms import embedded
from web.previews import What

router = APIRouter(route_class=ConsoleRoute)

_INDEXED: Final = re.compile(r"\[\d+\](?:\.key)?$")
"""Places within a list that the service names a field by."""


@router.get("/forms")
@needs(Right.PEOPLE_SEE)
async def list_forms(visit: Visiting) -> Response:
    """All of an application, newest first, with how many signed up."""
    wanted = window(visit)
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit)
        found = await forms.page(connection, owners.chosen, wanted)
        figures = await confirmations.figures(connection, [one.id for one in found.entries])
    return page(
        visit, "forms/list.html", rows=listed(visit, found, wanted, lambda one: one.id), figures=figures, owners=owners,
        answered=words.who_signs_up(list(figures.values())), public=visit.given.settings.public_url,
    )  # fmt: skip


@router.get("/forms/new")
@needs(Right.PEOPLE_CHANGE)
async def new(visit: Visiting) -> Response:
    """A form before it is made."""
    return await _edit(visit, None)


@router.post("/forms")
@needs(Right.PEOPLE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes a form."""
    try:
        if not visit.given.settings.public_url:
            raise conflict("this server has no public pages to show a form", "Set POSTLANE_PUBLIC_URL.")
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            segment = await chosen_id(connection, visit, "segment_id", "Segment", owner)
            wanted = facts(visit, None, language_of(visit, None), segment)
            made = await forms.create(connection, owner, wanted)
            await visit.note(connection, Audit("form.create", made.facts.name, None, _values(made.facts), owner))
    except Refused as error:
        return await _edit(visit, None, error)
    return visit.go(f"/forms/{made.id}", f"{made.facts.name} is there: put it on your page, or link to its own.")


@router.get("/forms/{form_id}")
@needs(Right.PEOPLE_SEE)
async def show(form_id: UUID, visit: Visiting) -> Response:
    """One form: its page, how it looks, and what to put on pages of one's own."""
    async with visit.given.database.connection() as connection:
        found, owners = await _the_one(connection, visit, form_id)
        figures = (await confirmations.figures(connection, [found.id]))[found.id]
        choice = await _choice(connection, found.application_id)
    public = visit.given.settings.public_url
    return framed_look(visit, What.FORM, found.id, found.application_id, "forms/one.html", {
        "form": found, "owners": owners, "figures": figures, "choice": choice, "words": words,
        "languages": languages_of(found.facts),
        "url": f"{public}/s/{found.id}" if public else "", "embed": embedded(found, public) if public else "",
        "json": words.as_json(found, public) if public else "", "called": called,
    })  # fmt: skip


@router.get("/forms/{form_id}/change")
@needs(Right.PEOPLE_CHANGE)
async def change(form_id: UUID, visit: Visiting) -> Response:
    """The form with everything it says; `?in=de` for the texts of a language."""
    return await _edit(visit, form_id)


@router.post("/forms/{form_id}/change")
@needs(Right.PEOPLE_CHANGE)
async def update(form_id: UUID, visit: Visiting) -> Response:
    """Changes it. Whoever signed up before keeps what they agreed to."""
    try:
        async with visit.given.database.transaction() as connection:
            was, _ = await _the_one(connection, visit, form_id)
            language = language_of(visit, was.facts)
            segment = await chosen_id(connection, visit, "segment_id", "Segment", was.application_id)
            wanted = facts(visit, was.facts, language, segment)
            now = await forms.update(connection, was.application_id, form_id, wanted)
            before, after = _values(was.facts), _values(now.facts)
            await visit.note(connection, Audit("form.update", now.facts.name, before, after, was.application_id))
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _edit(visit, form_id, error)
    return visit.go(f"/forms/{form_id}?lang={language}", f"{now.facts.name} is changed.")


@router.post("/forms/{form_id}/delete")
@needs(Right.PEOPLE_CHANGE)
async def delete(form_id: UUID, visit: Visiting) -> Response:
    """It takes nobody more."""
    async with visit.given.database.transaction() as connection:
        gone, _ = await _the_one(connection, visit, form_id)
        await forms.delete(connection, gone.application_id, form_id)
        before = _values(gone.facts)
        await visit.note(connection, Audit("form.delete", gone.facts.name, before, None, gone.application_id))
    return visit.go(f"/forms?application={gone.application_id}", f"{gone.facts.name} takes nobody more.")


async def _the_one(connection: Connection, visit: Visit, form_id: UUID) -> tuple[Form, Owners]:
    """A form of an application that they see. Raises Refused."""
    owners = await chosen(connection, visit)
    found = await forms.shown(connection, form_id)
    if found is None or found.application_id not in owners.names:
        raise not_found("there is no such form")
    return found, replace(owners, chosen=found.application_id)


async def _edit(visit: Visit, form_id: UUID | None, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        if form_id is None:
            known, owners = None, await chosen(connection, visit)
        else:
            known, owners = await _the_one(connection, visit, form_id)
        choice = await _choice(connection, owners.chosen)
    if error is not None and error.field:
        error = invalid(_INDEXED.sub("", error.field), error.reason)
    shown = known.facts if known else FormFacts("", "")
    language = language_of(visit, shown if known else None)
    return page(
        visit, "forms/edit.html", 422 if error else 200, form=known, facts=shown, owners=owners, choice=choice,
        error=error, language=language, texts=shown.texts.get(language, Texts()),
        languages=languages_of(shown), asked=[one.key for one in shown.fields],
        needed=[one.key for one in shown.fields if one.required],
    )  # fmt: skip


async def _choice(connection: Connection, owner: UUID) -> Choice:
    lists = (await segments.page(connection, owner, Window(segments.MOST))).entries
    offered = [one for one in await topics.every(connection, owner) if one.lane is Lane.MARKETING]
    keys = [*NAMES, *sorted(await properties.known(connection, owner))]
    return Choice(
        {str(one.id): one.name for one in lists if one.filter is None},
        {str(one.id): one.name for one in offered},
        {key: called(key) for key in keys},
    )


def _values(found: FormFacts) -> Values:
    return {
        "name": found.name, "from": found.sender, "segment_id": str(found.segment_id or ""),
        "topics": [str(one) for one in found.topics], "fields": [one.key for one in found.fields],
        "language": found.language, "texts": sorted(found.texts), "origins": list(found.origins),
        "welcome": found.welcome,
    }  # fmt: skip
