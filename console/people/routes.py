"""`/people`: contacts, the page of one of them, and the lists that were brought in.

Thin: `messages/people`, `outcomes/recipients` and `campaigns/erasing`, as for the API and the command line. The audit
log names a person by the contact's id and by nothing else: erasing somebody leaves no address behind in it.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from audience import audiences, choices, confirmations, contact_history, contacts, properties, segments
from audience.audiences import Audience
from audience.choices import Person
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes, Contact, named
from audience.importing import imports, uploads
from campaigns import erasing, readdressing
from console.choosing import pick, trouble
from console.guard import ConsoleRoute, largest_form, needs
from console.listing import listed, window
from console.owners import chosen
from console.people import words
from console.rendering import page
from console.shown import plural
from console.visit import Visit, Visiting
from core.addresses import AddressError, fold_address
from core.paging import Page, Window
from core.refusal import Refused, invalid, not_found
from messages import people, search
from messages.people import Wish
from messages.search import Filter
from outcomes import recipients
from store.database import Connection
from suppression.reasons import SuppressionScope

router = APIRouter(route_class=ConsoleRoute)

_STORY: Final = 100
_MAIL: Final = 20
_FACTS: Final = 128 * 1024
"""Bytes of a form: all values of a contact, as a browser writes them."""


@router.get("/people")
@needs(Right.PEOPLE_SEE)
async def list_people(visit: Visiting) -> Response:
    """Contacts of an application, newest first, or those of a segment."""
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit)
        text = visit.asked("q")
        if text and (path := await _path(connection, owners.chosen, text)):
            return visit.go(path)
    return await _list(visit)


@router.post("/people")
@needs(Right.PEOPLE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes somebody a contact."""
    proof = {"text": visit.field("consent")[:2000]} if visit.field("consent") else {}
    fields = {"first_name": visit.field("first_name")} if visit.field("first_name") else {}
    try:
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            wish = Wish(Changes(fields, {}, bool(proof), proof))
            made = await people.create(connection, owner, visit.field("email"), wish, _act(visit))
            entry = Entry("contact.create", str(made.contact.id), None, {"status": made.contact.status.value}, owner)
            await visit.note(connection, entry)
    except AddressError as error:
        return await _list(visit, invalid("email", error.reason.rstrip(".")))
    except Refused as error:
        return await _list(visit, error)
    told = "They are a contact." if made.created else "They were a contact already, and got what you said."
    return visit.go(f"/people/{made.contact.id}", told)


@router.get("/people/count")
@needs(Right.PEOPLE_SEE)
async def count(visit: Visiting) -> Response:
    """How many there are: asked behind the page, for it looks at all of them."""
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit)
        n = await audiences.count(connection, owners.chosen, Audience(), visit.now)
    return page(visit, "people/count.html", n=n, owner=owners.chosen, name=owners.names[owners.chosen])


@router.get("/people/imports")
@needs(Right.PEOPLE_SEE)
async def list_imports(visit: Visiting) -> Response:
    """Lists that were brought in, newest first; one open at the side."""
    async with visit.given.database.connection() as connection:
        owners, part = await chosen(connection, visit), window(visit)
        found = await imports.page(connection, owners.chosen, part)
        newest = next(iter((await imports.page(connection, owners.chosen, Window(1))).entries), None)
        under, lines = await imports.under_way(connection, owners.chosen)
        waiting = await uploads.waiting(connection, owners.chosen) if visit.may(Right.PEOPLE_CHANGE) else []
        wanted, shown, asking = _uuid(visit.asked("open")), None, None
        if wanted is not None:
            shown = await imports.find(connection, owners.chosen, wanted)
            asking = await confirmations.asking(connection, wanted) if shown else None
    rows = listed(visit, found, part, lambda one: one.id)
    return page(
        visit, "people/imports.html", list=rows, owners=owners, shown=shown, asking=asking, newest=newest, under=under,
        lines=lines, waiting=waiting, reasons=words.REASONS, pace=words.pace(shown) if shown else "",
    )  # fmt: skip


@router.post("/people/imports/{import_id}/stop")
@needs(Right.PEOPLE_CHANGE)
async def stop(visit: Visiting, import_id: UUID) -> Response:
    """Nothing more of it comes in, and nobody more of it is asked."""
    async with visit.given.database.transaction() as connection:
        owner = (await chosen(connection, visit)).chosen
        before = await imports.get(connection, owner, import_id)
        found, unasked = await imports.stop(connection, owner, import_id, visit.me.email)
        was, now = {"status": before.status.value}, {"status": found.status.value, "unasked": unasked}
        await visit.note(connection, Entry("import.stop", str(import_id), was, now, owner))
    address = urlencode({"application": str(owner), "open": str(import_id)})
    return visit.go(f"/people/imports?{address}", f"Stopped: {plural(unasked, 'person is', 'people are')} not asked.")


@router.get("/people/{contact_id}")
@needs(Right.PEOPLE_SEE)
async def show(visit: Visiting, contact_id: UUID) -> Response:
    """One person: what may we send them, what did they get, on what consent?"""
    return await _one(visit, contact_id)


@router.post("/people/{contact_id}/unsubscribe")
@needs(Right.PEOPLE_CHANGE)
async def unsubscribe(visit: Visiting, contact_id: UUID) -> Response:
    """No marketing mail of this application any more."""
    return await _set(visit, contact_id, unsubscribed=True)


@router.post("/people/{contact_id}/resubscribe")
@needs(Right.PEOPLE_CHANGE)
async def resubscribe(visit: Visiting, contact_id: UUID) -> Response:
    """Takes back what was said for them; never what they said themselves."""
    return await _set(visit, contact_id, unsubscribed=False)


@router.post("/people/{contact_id}/facts")
@needs(Right.PEOPLE_CHANGE)
@largest_form(_FACTS)
async def change_facts(visit: Visiting, contact_id: UUID) -> Response:
    """Another name, language, time zone; other values of properties. What is as it was is left alone."""
    try:
        async with visit.given.database.transaction() as connection:
            known = await _known(connection, visit, contact_id)
            defined = await properties.known(connection, known.application_id)
            changes = words.changed(known, defined, visit.form)
            names = [*changes.fields, *changes.properties]
            if names:
                await readdressing.update(connection, known.application_id, known.id, Wish(changes), _act(visit))
                entry = Entry("contact.update", str(known.id), None, {"changed": names}, known.application_id)
                await visit.note(connection, entry)
    except Refused as error:
        return await _one(visit, contact_id, error)
    return visit.go(f"/people/{contact_id}", f"Changed: {', '.join(names)}." if names else "Nothing was changed.")


@router.post("/people/{contact_id}/erase")
@needs(Right.PEOPLE_CHANGE)
async def erase(visit: Visiting, contact_id: UUID) -> Response:
    """Forgets them. The hash of the address stays suppressed."""
    scope = SuppressionScope.ALL if visit.field("all") == "on" else SuppressionScope.MARKETING
    async with visit.given.database.transaction() as connection:
        known = await _known(connection, visit, contact_id)
        gone = await erasing.erase(connection, known.person, _act(visit), scope)
        after = {"cancelled": gone.cancelled, "mails": gone.mails, "scope": scope.value}
        await visit.note(connection, Entry("contact.erase", str(known.id), None, after, known.application_id))
    told = (
        f"They are forgotten: {plural(gone.cancelled, 'waiting mail')} taken back, {plural(gone.mails, 'stored mail')}"
    )
    return visit.go(f"/people?application={known.application_id}", f"{told} without their name.")


async def _list(visit: Visit, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        owners, part = await chosen(connection, visit), window(visit)
        kinds = (await segments.page(connection, owners.chosen, Window(segments.MOST))).entries
        named = pick([(str(one.id), one.name) for one in kinds], visit.asked("segment"))
        wanted = next((one for one in kinds if str(one.id) == named), None)
        found: Page[Contact] = Page([])
        try:
            if wanted is not None:
                found = await people.in_segment(connection, wanted, part, visit.now)
            elif unclear := trouble([(str(one.id), one.name) for one in kinds], visit.asked("segment")):
                raise invalid("segment", unclear)
            else:
                found = await contacts.page(connection, owners.chosen, part)
        except Refused as refusal:  # its filter cannot be used any more, or it is none
            error = error or refusal
        left = {one.contact.id for one in await people.seen(connection, found.entries) if one.unsubscribed}
        stranger = await _stranger(connection, owners.chosen, visit.asked("q"))
    rows = listed(visit, found, part, lambda one: one.id)
    options = [(str(one.id), one.name) for one in kinds]
    return page(
        visit, "people/list.html", 200 if error is None else 422, list=rows, owners=owners, left=left, error=error,
        segments=options, segment=str(wanted.id) if wanted else "", stranger=stranger,
    )  # fmt: skip


async def _stranger(connection: Connection, owner: UUID, text: str) -> tuple[str, str] | None:
    """Of an address that is no contact: what may be sent to it. What is no address is looked for in vain."""
    if not text:
        return None
    try:
        address = fold_address(text)
    except AddressError as error:
        return text, f"This is no address: {error.reason}"
    found = await recipients.of_application(connection, Person(owner, address))
    return address, words.answer(None, found)


async def _path(connection: Connection, owner: UUID, text: str) -> str | None:
    try:
        found = await contacts.find(connection, owner, named(text))
    except Refused:
        return None
    return f"/people/{found.id}" if found else None


async def _one(visit: Visit, contact_id: UUID, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        known = await _known(connection, visit, contact_id)
        found = await recipients.of_application(connection, known.person)
        changes = (await contact_history.page(connection, known.id, _STORY)).entries
        chosen_before = (await choices.history(connection, known.person, _STORY)).entries
        topics = {one.preference.topic.id: one.preference.topic.name for one in found.topics}
        mails = await _mails(connection, visit, known)
        places = await people.places(connection, known)
        defined = await properties.known(connection, known.application_id)
    return page(
        visit, "people/one.html", 200 if error is None else 422, one=known, found=found, mails=mails, places=places,
        story=words.story(changes, chosen_before, topics), answered=words.answer(known, found), because=words.because,
        error=error, fields=words.facts(known, defined),
    )  # fmt: skip


async def _mails(connection: Connection, visit: Visit, known: Contact) -> list[search.MessageRow]:
    if not visit.may(Right.MAIL_SEE):
        return []
    wanted = Filter(address=known.address, limit=_MAIL, applications=(known.application_id,))
    return await search.find(connection, wanted)


async def _set(visit: Visit, contact_id: UUID, *, unsubscribed: bool) -> Response:
    try:
        async with visit.given.database.transaction() as connection:
            known = await _known(connection, visit, contact_id)
            (before,) = await people.seen(connection, [known])
            wish = Wish(unsubscribed=unsubscribed)
            changed = await readdressing.update(connection, known.application_id, known.id, wish, _act(visit))
            (after,) = await people.seen(connection, [changed])
            was, now = {"unsubscribed": before.unsubscribed}, {"unsubscribed": after.unsubscribed}
            await visit.note(connection, Entry("contact.update", str(known.id), was, now, known.application_id))
    except Refused as error:
        return await _one(visit, contact_id, error)
    told = "They get no marketing mail any more." if unsubscribed else "They get marketing mail again."
    return visit.go(f"/people/{contact_id}", told)


async def _known(connection: Connection, visit: Visit, contact_id: UUID) -> Contact:
    """A contact that this person may see. Raises Refused."""
    found: Mapping[UUID, Contact] = await contacts.by_ids(connection, [contact_id])
    if contact_id not in found:
        raise not_found("there is no such contact", "Somebody may have removed or erased them.")
    visit.sees(found[contact_id].application_id)
    return found[contact_id]


def _act(visit: Visit) -> ContactAct:
    return ContactAct(ContactSource.CONSOLE, visit.ip, visit.me.email)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
