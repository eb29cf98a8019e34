"""`/forms`: sign-up forms of an application. Recipients see them at `/s/…` of the public pages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.deps import Deps
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.forms import CreateForm, FormDeleted, FormItem, FormList, FormReference, UpdateForm
from audience import confirmations, forms
from audience.forms import Field, Form, FormFacts, Texts
from core.paging import Page, Window
from core.refusal import conflict
from store.database import Connection
from web.answers import json_answer
from web.faces.forms import form_face
from web.faces.references import deleted, reference
from web.paging import listed, window

router = APIRouter(prefix="/forms", tags=["Forms"], route_class=ApplicationRoute)

PAGE: Final = 20


@router.post("", summary="Create a form", status_code=201, response_model=FormReference, responses=errors("conflict"))
async def create_form(body: CreateForm, who: FullAccess, given: With) -> Response:
    """Makes a sign-up form, with a hosted page and HTML for your own. Whoever signs up is a contact once they have
    confirmed by the mail that they get."""
    if not given.settings.public_url:
        raise conflict(
            "this server has no public pages, where a form could be seen and confirmed", "Set POSTLANE_PUBLIC_URL."
        )
    async with given.database.transaction() as connection:
        made = await forms.create(connection, who.application_id, body.facts())
    return json_answer(reference("form", made.id), 201)


@router.get("", summary="List forms", response_model=FormList)
async def list_forms(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """Your forms, newest first."""
    async with given.database.connection() as connection:
        found = await forms.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
        faces = await _faces(connection, given, found.entries)
    return json_answer(listed(Page(faces, found.has_more), lambda face: face))


@router.get("/{form_id}", summary="Get a form", response_model=FormItem, responses=errors("not_found"))
async def get_form(form_id: UUID, who: FullAccess, given: With) -> Response:
    """A form, and how many signed up by it."""
    async with given.database.connection() as connection:
        found = await forms.get(connection, who.application_id, form_id)
        (face,) = await _faces(connection, given, [found])
    return json_answer(face)


@router.patch(
    "/{form_id}", summary="Update a form", response_model=FormReference, responses=errors("not_found", "conflict")
)
async def update_form(form_id: UUID, body: UpdateForm, who: FullAccess, given: With) -> Response:
    """Changes a form. Whoever signed up before keeps what they agreed to."""
    async with given.database.transaction() as connection:
        known = await forms.get(connection, who.application_id, form_id)
        await forms.update(connection, who.application_id, form_id, _changed(known.facts, body))
    return json_answer(reference("form", form_id))


@router.delete("/{form_id}", summary="Delete a form", response_model=FormDeleted, responses=errors("not_found"))
async def delete_form(form_id: UUID, who: FullAccess, given: With) -> Response:
    """It takes nobody more; links in mail that has left still work."""
    async with given.database.transaction() as connection:
        await forms.delete(connection, who.application_id, form_id)
    return json_answer(deleted("form", form_id))


async def _faces(connection: Connection, given: Deps, found: Sequence[Form]) -> list[dict[str, object]]:
    figures = await confirmations.figures(connection, [one.id for one in found])
    return [form_face(one, figures[one.id], given.settings.public_url) for one in found]


def _changed(facts: FormFacts, body: UpdateForm) -> FormFacts:
    said = body.model_fields_set
    return FormFacts(
        body.name or facts.name,
        body.sender or facts.sender,
        body.segment_id if "segment_id" in said else facts.segment_id,
        facts.topics if body.topics is None else tuple(body.topics),
        facts.fields if body.fields is None else tuple(Field(one.key, one.labels, one.required) for one in body.fields),
        body.language or facts.language,
        facts.texts
        if body.texts is None
        else {code: Texts(**texts.model_dump()) for code, texts in body.texts.items()},
        facts.origins if body.origins is None else tuple(body.origins),
        facts.welcome if body.welcome is None else body.welcome,
    )
