"""`/contacts/imports`: a list of contacts as a file, `multipart/form-data`. A process in the background works on it
(`audience/importing/slices`); here it is looked at and kept.

A foreign list is never trusted: its people are unconfirmed, and each gets one mail that asks, from the pool that is
kept for that. Only an operator can vouch for their consent, on the command line or in the console.
"""

import asyncio
import io
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from accounts.directory import Caller
from api.auth import FullAccess
from api.deps import Deps
from api.errors import ApiError
from api.openapi import errors
from api.operating import ApplicationRoute, With, by
from api.schemas.contact_imports import ImportAnswer, ImportList, ImportReference
from audience import confirmations
from audience.importing import asking, imports
from audience.importing.columns import ColumnMap
from audience.importing.imports import PART, ImportStatus
from audience.importing.merging import Terms, stored
from audience.properties import Definitions
from audience.topics import Subscription
from core.list_files import TORN, decoded
from core.paging import Window
from core.refusal import invalid
from messages.confirmation_pool import refuse_unless_asked
from store.database import Connection
from web.absent import Absent
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.contact_imports import import_answer, import_face
from web.faces.references import reference
from web.multipart import Part, read_multipart
from web.paging import listed, window

router = APIRouter(prefix="/contacts/imports", tags=["Contacts"], route_class=ApplicationRoute)

PAGE: Final = 20
_BESIDE: Final = 256 * 1024
"""Bytes of the other parts."""
_FIELDS: Final = {
    "file": {"type": "string", "format": "binary", "description": "CSV, or one address a line; also packed."},
    "column_map": {
        "type": "string",
        "description": 'JSON: `{"email": "E-Mail", "properties": {"city": {"column": "Town"}}}`. Guessed where it says '
        "nothing.",
    },
    "on_conflict": {"type": "string", "enum": ["skip", "upsert"], "default": "skip"},
    "segments": {"type": "string", "description": 'JSON: `[{"id": "…"}]`, lists to be put on.'},
    "topics": {"type": "string", "description": 'JSON: `[{"id": "…", "subscription": "opt_in"}]`.'},
    "confirm": {
        "type": "string", "enum": ["true", "false"], "default": "true",
        "description": "Ours. `false`: nobody is asked, and nobody is written to before they sign up.",
    },
    "language": {"type": "string", "description": "Ours. Of those of whom the list says none: `de`."},
    "form_id": {
        "type": "string", "format": "uuid", "description": "Ours. The sign-up form in whose words they are asked.",
    },
}  # fmt: skip
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": _FIELDS}}},
    }
}


@router.post(
    "",
    summary="Import contacts",
    status_code=201,
    response_model=ImportReference,
    responses=errors("conflict", "not_found"),
    openapi_extra=_BODY,
)
@largest_body(asking.LARGEST + _BESIDE)
async def create_import(request: Request, who: FullAccess, given: With) -> Response:
    """Takes a list of at most 50 MB; `GET /contacts/imports/{id}` says how far it is. Each person who is new gets one
    mail that asks whether they want yours; nothing else reaches them before they say yes."""
    parts = read_multipart(request.headers.get("content-type", ""), await request.body())
    file = parts.get("file")
    if file is None or not file.body:
        raise ApiError("missing_required_field", "The `file` field is missing: send the list as multipart/form-data.")
    async with given.database.transaction() as connection:
        terms = await _terms(connection, who, given, parts)
        known = await asking.check(connection, terms)
        await asyncio.to_thread(_look, file.body, known, terms.columns)
        await imports.refuse_more(connection, who.application_id)
        name = file.filename[:200] or "import.csv"
        made = await imports.begin(connection, who.application_id, name, terms.actor, stored(terms))
        for number, at in enumerate(range(0, len(file.body), PART)):
            await imports.keep_part(connection, made.id, number, file.body[at : at + PART])
    return json_answer(reference("contact_import", made.id), 201)


@router.get("", summary="List imports", response_model=ImportList)
async def list_imports(
    who: FullAccess,
    given: With,
    wanted: Annotated[Window[UUID], Depends(window)],
    status: Annotated[ImportStatus | None, Absent, Query(description="Only those that are so far.")] = None,
) -> Response:
    """Imports, newest first."""
    async with given.database.connection() as connection:
        part = replace(wanted, limit=wanted.limit or PAGE)
        found = await imports.page(connection, who.application_id, part, status)
    return json_answer(listed(found, import_face))


@router.get("/{import_id}", summary="Get an import", response_model=ImportAnswer, responses=errors("not_found"))
async def get_import(import_id: UUID, who: FullAccess, given: With) -> Response:
    """How far it is, and what became of each line."""
    async with given.database.connection() as connection:
        found = await imports.get(connection, who.application_id, import_id)
        return json_answer(import_answer(found, await confirmations.asking(connection, import_id)))


@router.post("/{import_id}/stop", summary="Stop an import", response_model=ImportAnswer, responses=errors("not_found"))
async def stop_import(import_id: UUID, who: FullAccess, given: With) -> Response:
    """Ours. Nothing more of it comes in, and nobody more of it is asked. Contacts that it made stay, unconfirmed."""
    async with given.database.transaction() as connection:
        found, _ = await imports.stop(connection, who.application_id, import_id, by(who))
        return json_answer(import_answer(found, await confirmations.asking(connection, import_id)))


def _look(body: bytes, known: Definitions, columns: ColumnMap) -> None:
    """Says at once what cannot be. In a thread: the table of a large archive takes a while."""
    try:
        with decoded(io.BytesIO(body)) as text:
            asking.reader(text, known, columns).opened()
    except TORN as error:
        raise invalid("file", f"it is damaged: {error}", "invalid_file") from None


async def _terms(connection: Connection, who: Caller, given: Deps, parts: dict[str, Part] | Any) -> Terms:
    if "consent" in parts:
        raise invalid("consent", "only an operator can vouch for people: `postlane contacts import --consent-source …`")
    asks = _word(parts, "confirm", ("true", "false")) != "false"
    if asks:
        await refuse_unless_asked(connection, given.settings.confirmation_pool, given.settings.public_url)
    form_id = _id({"id": parts["form_id"].text}, "form_id") if "form_id" in parts else None
    of_form = await asking.language_of(connection, who.application_id, form_id)  # refuses what is another's
    spoken = parts["language"].text if "language" in parts else ""
    return Terms(
        who.application_id,
        by(who),
        _word(parts, "on_conflict", ("skip", "upsert")) == "upsert",
        tuple(_id(one, "segments") for one in _json(parts, "segments", [])),
        {_id(one, "topics"): _subscription(one) for one in _json(parts, "topics", [])},
        asks=asks,
        form_id=form_id,
        columns=await asking.columns_of(connection, who.application_id, _json(parts, "column_map", {})),
        language=spoken[:2].lower() or of_form,
    )


def _word(parts: Any, name: str, words: tuple[str, ...]) -> str:
    text = parts[name].text if name in parts else words[0]
    if text not in words:
        raise invalid(name, f"it must be {' or '.join(words)}")
    return str(text)


def _json(parts: Any, name: str, empty: Any) -> Any:
    """A part that holds JSON of the kind of `empty`."""
    text = parts[name].text if name in parts else ""
    try:
        found = orjson.loads(text) if text else empty
    except orjson.JSONDecodeError:
        raise invalid(name, "it is no JSON") from None
    if not isinstance(found, type(empty)):
        raise invalid(name, f"it must be {'an object' if isinstance(empty, dict) else 'a list'}")
    return found


def _id(one: Any, name: str) -> UUID:
    try:
        return UUID(str(one["id"] if isinstance(one, dict) else one))
    except (KeyError, ValueError):
        raise invalid(name, "each needs an `id`") from None


def _subscription(one: Any) -> Subscription:
    try:
        return Subscription(one.get("subscription", "opt_in") if isinstance(one, dict) else "opt_in")
    except ValueError:
        raise invalid("topics", "`subscription` must be opt_in or opt_out") from None
