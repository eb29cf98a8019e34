"""`/people/imports/new`: a list is uploaded, looked at, and begun. What works on it then is a process in the background
(`workers/bringing_in`); how far it is says `/people/imports`.

Everybody on a foreign list is asked first. Only who has the right of operators, too, can vouch for their consent.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from audience import forms, properties, segments, topics
from audience.importing import asking, looking, uploads
from audience.importing.columns import ColumnMap
from audience.importing.looking import Look
from audience.importing.merging import Consent, Terms
from audience.importing.slices import Progress
from audience.importing.uploads import Upload
from audience.properties import Definitions
from audience.topics import Subscription
from console import choosing
from console.choosing import Option
from console.guard import ConsoleRoute, largest_form, largest_upload, needs
from console.owners import chosen
from console.people import columns as said_columns
from console.people import words
from console.rendering import page
from console.visit import Visit, Visiting
from core.paging import Window
from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from messages.confirmation_pool import refuse_unless_asked
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)

_BESIDE: Final = 64 * 1024
"""Bytes of the other fields."""
_FORM: Final = 64 * 1024
_LONGEST: Final = 2000
"""Characters of a proof."""
_VOUCH: Final = Right.MACHINE_CHANGE


@router.get("/people/imports/new")
@needs(Right.PEOPLE_CHANGE)
async def choose(visit: Visiting) -> Response:
    """Which application, which file."""
    return await _choose(visit)


@router.post("/people/imports/new")
@needs(Right.PEOPLE_CHANGE)
@largest_upload(asking.LARGEST + _BESIDE)
async def upload(visit: Visiting) -> Response:
    """Keeps a list, to be looked at."""
    file = visit.uploads.get("file")
    try:
        if file is None or not file.size:
            raise invalid("file", "choose a file that is not empty")
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            kept = await uploads.keep(connection, owner, _name(file.filename), visit.me.email, file.stream)
            entry = Entry("import.upload", str(kept.id), None, {"name": kept.name, "lines": kept.lines}, owner)
            await visit.note(connection, entry)
    except Refused as error:
        return await _choose(visit, error)
    return visit.go(f"/people/imports/new/{kept.id}")


@router.get("/people/imports/new/{upload_id}")
@needs(Right.PEOPLE_CHANGE)
async def look(visit: Visiting, upload_id: UUID) -> Response:
    """What is in it, and what becomes of its people."""
    return await _look(visit, upload_id)


@router.post("/people/imports/new/{upload_id}")
@needs(Right.PEOPLE_CHANGE)
@largest_form(_FORM)
async def begin(visit: Visiting, upload_id: UUID) -> Response:
    """It is brought in."""
    try:
        async with visit.given.database.transaction() as connection:
            found = await _known(connection, visit, upload_id)
            with await uploads.opened(connection, found) as file:
                terms, known = await _terms(connection, visit, found, file)
                await asyncio.to_thread(looking.columns, file, known, terms.columns)
            made = await uploads.begin(connection, found, terms)
            after = {"name": found.name, "lines": found.lines, "asks": terms.asks, "consent": _told(terms.consent)}
            await visit.note(connection, Entry("import.begin", str(made.id), None, after, found.application_id))
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _look(visit, upload_id, error)
    address = urlencode({"application": str(found.application_id), "open": str(made.id)})
    return visit.go(f"/people/imports?{address}", "It has begun. You can leave this page.")


@router.post("/people/imports/new/{upload_id}/discard")
@needs(Right.PEOPLE_CHANGE)
async def discard(visit: Visiting, upload_id: UUID) -> Response:
    """It is thrown away."""
    async with visit.given.database.transaction() as connection:
        found = await _known(connection, visit, upload_id)
        await uploads.discard(connection, upload_id)
        entry = Entry("import.discard", str(upload_id), {"name": found.name}, None, found.application_id)
        await visit.note(connection, entry)
    return visit.go(f"/people/imports?application={found.application_id}", "The list is thrown away.")


async def _choose(visit: Visit, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit) if error is None or error.field != "application" else None
        waiting = await uploads.waiting(connection, owners.chosen) if owners else []
    if owners is None and error is not None:
        raise error
    status = 200 if error is None else 422
    most = asking.LARGEST // 1024**2
    return page(visit, "people/imports_new.html", status, owners=owners, waiting=waiting, error=error, most=most)


@dataclass(frozen=True, slots=True)
class _Offers:
    """What a list of an application can be given."""

    known: Definitions
    lists: Sequence[Option]
    topics: Sequence[tuple[str, str]]
    forms: Sequence[Option]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a page shows of a list."""

    look: Look
    tried: Progress | None
    error: Refused | None


async def _look(visit: Visit, upload_id: UUID, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        found = await _known(connection, visit, upload_id)
        offers = await _offers(connection, found.application_id)
        file = await uploads.opened(connection, found)
    with file:
        seen = await _see(visit, found, file, error)
        guessed = await asyncio.to_thread(looking.columns, file, offers.known, ColumnMap())
    options = said_columns.options(offers.known)
    shown = said_columns.on_page(guessed, len(options))
    settings = visit.given.settings
    return page(
        visit, "people/imports_look.html", 200 if error is None else 422, one=found, offers=offers, options=options,
        columns=[(one, said_columns.chosen(one, _said(visit))) for one in shown], left=len(guessed) - len(shown),
        seen=seen.look, tried=seen.tried, error=seen.error, given=_said(visit), ticked=_ticked(visit), words=words,
        pool=settings.confirmation_pool, pace=settings.confirmations_an_hour, vouches=visit.may(_VOUCH),
        most=looking.LOOKED_AT,
    )  # fmt: skip


async def _see(visit: Visit, found: Upload, file: IO[bytes], error: Refused | None) -> _Seen:
    """As it would be begun; where that cannot be, as it was guessed, and why."""
    given, tried = visit.given, None
    async with (
        given.database.connection() as connection,
        connection.transaction(force_rollback=True),  # no property is made by looking
    ):
        known = await properties.known(connection, found.application_id)
        terms = Terms(found.application_id, visit.me.email)
        try:
            terms = replace(terms, columns=await _columns(connection, visit, found, file))
            known = await properties.known(connection, found.application_id)
            terms, known = await _terms(connection, visit, found, file)
        except Refused as refused:
            error = error or refused
    seen = await _seen(file, known, terms)
    if _said(visit)("dry") and error is None:
        tried = await looking.rehearse(given.database, given.tools.resolver, terms, file, known)
    return _Seen(seen, tried, error)


async def _seen(file: IO[bytes], known: Definitions, terms: Terms) -> Look:
    return await asyncio.to_thread(looking.look, file, known, terms.columns, vouched=terms.consent is not None)


async def _known(connection: Connection, visit: Visit, upload_id: UUID) -> Upload:
    found = await uploads.get(connection, upload_id)
    visit.sees(found.application_id)
    return found


async def _offers(connection: Connection, owner: UUID) -> _Offers:
    kinds = (await segments.page(connection, owner, Window(segments.MOST))).entries
    known = await topics.every(connection, owner)
    made = (await forms.page(connection, owner, Window(forms.MOST))).entries
    return _Offers(
        await properties.known(connection, owner),
        [("", "None"), *((str(one.id), one.name) for one in kinds if one.filter is None)],
        [(str(one.id), one.name) for one in known if one.lane is Lane.MARKETING],
        [("", "None"), *((str(one.id), one.facts.name) for one in made)],
    )


# What somebody says


def _said(visit: Visit) -> Callable[[str], str]:
    """A field of the form, which is sent by GET to look at it."""
    return lambda name: visit.field(name) or visit.asked(name, _LONGEST)


def _ticked(visit: Visit) -> Sequence[str]:
    return [*visit.form.get("topic", ()), *visit.request.query_params.getlist("topic")]


async def _columns(connection: Connection, visit: Visit, found: Upload, file: IO[bytes]) -> ColumnMap:
    known = await properties.known(connection, found.application_id)
    guessed = await asyncio.to_thread(looking.columns, file, known, ColumnMap())
    shown = said_columns.on_page(guessed, len(said_columns.options(known)))
    given = said_columns.mapped(shown, known, _said(visit))
    return await asking.columns_of(connection, found.application_id, given) if given else ColumnMap()


async def _terms(connection: Connection, visit: Visit, found: Upload, file: IO[bytes]) -> tuple[Terms, Definitions]:
    """What is asked of the import, and the properties that its columns may hold. Raises Refused, naming the field."""
    said, owner, settings = _said(visit), found.application_id, visit.given.settings
    consent = _consent(visit)
    asks = consent is None and not said("no_mail")
    if asks:
        await refuse_unless_asked(connection, settings.confirmation_pool, settings.public_url)
    offers = await _offers(connection, owner)
    into, form = _picked(offers.lists, said("list"), "list"), _picked(offers.forms, said("form"), "form")
    terms = Terms(
        owner, visit.me.email, bool(said("upsert")), (into,) if into else (),
        {UUID(one): Subscription.OPT_IN for one, _ in offers.topics if one in _ticked(visit)}, consent, asks, form,
        await _columns(connection, visit, found, file),
        said("language")[:2].lower() or await asking.language_of(connection, owner, form), found.lines,
    )  # fmt: skip
    return terms, await asking.check(connection, terms)


def _picked(options: Sequence[Option], text: str, field: str) -> UUID | None:
    value = choosing.picked(options, text, field) if text else ""
    return UUID(value) if value else None


def _consent(visit: Visit) -> Consent | None:
    """All three, or none: half a proof is none. Raises Refused."""
    said = _said(visit)
    source, on, text = said("consent_source"), said("consent_date"), said("consent_text")
    if not (source or on or text):
        return None
    if not visit.may(_VOUCH):
        raise conflict("only somebody with the right of operators can vouch for people", "Leave the proof empty.")
    for name, value in (("consent_source", source), ("consent_date", on), ("consent_text", text)):
        if not value:
            raise invalid(name, "a proof says where they agreed, when, and to what")
    return Consent(source[:_LONGEST], _day(on, visit.now), text[:_LONGEST])


def _day(text: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text[:10]).replace(tzinfo=UTC)
    except ValueError:
        raise invalid("consent_date", "it is a day, such as 2026-03-31") from None
    if at > now:
        raise invalid("consent_date", "it is in the future")
    return at


def _told(consent: Consent | None) -> dict[str, Any] | None:
    return None if consent is None else {"source": consent.source, "at": consent.at.isoformat(), "text": consent.text}


def _name(text: str) -> str:
    """Of a file, without the folders that some browsers tell."""
    return text.replace("\0", "").replace("\\", "/").rpartition("/")[2]
