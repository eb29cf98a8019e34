"""What the routes of contacts share: bodies as wishes, who asks, answers of pages."""

from uuid import UUID

from fastapi import Request, Response

from accounts.directory import Caller
from api.operating import by
from api.schemas.contacts import ContactFacts, CreateContact, UpdateContact
from audience import contacts
from audience.choices import Person
from audience.contact_fields import FIELDS, checked_email
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes, Contact, Status, named
from core.paging import Page
from core.refusal import invalid
from core.settings import Settings
from messages import people
from messages.people import Wish
from store.database import Connection
from web.answers import json_answer
from web.faces.contacts import contact_face
from web.paging import listed


def act_of(request: Request, who: Caller) -> ContactAct:
    """How a change comes to us: by the application's key, from its own server's address."""
    return ContactAct(ContactSource.API, request.client.host if request.client else "", by(who))


def creation(body: CreateContact, settings: Settings) -> Wish:
    """What an application says of somebody new: by its word they asked for mail, unless that is not trusted here."""
    return Wish(
        _changes(body, confirm=settings.api_contacts == Status.CONFIRMED),
        bool(body.unsubscribed),
        [one.id for one in body.segments or ()],
        {one.id: one.subscription for one in body.topics or ()},
    )


def alteration(body: UpdateContact, settings: Settings) -> Wish:
    """The same of somebody who is a contact. What proves a consent is trusted as the application is."""
    trusted = settings.api_contacts == Status.CONFIRMED
    changes = _changes(body, confirm=trusted and body.consent is not None)
    return Wish(changes, body.unsubscribed, email=body.new_email or "", trusted=trusted)


def same_address(body: UpdateContact, known: Contact) -> None:
    """SDKs repeat in the body whom they mean. Raises Refused for another address: it would be left unsaid that nothing
    came of it."""
    if body.email and checked_email(body.email).key != known.address:
        raise invalid("email", "it is not the contact's address; to change that, give `new_email`")


async def shown(connection: Connection, found: Page[Contact]) -> Response:
    """A page of contacts."""
    seen = await people.seen(connection, found.entries)
    return json_answer(listed(Page(seen, found.has_more), contact_face))


def _changes(body: ContactFacts, *, confirm: bool) -> Changes:
    given = body.model_fields_set
    proof = body.consent.model_dump(exclude_none=True, mode="json") if body.consent else {}
    return Changes(
        {name: getattr(body, name) for name in FIELDS if name in given},
        body.properties or {},
        confirm,
        {key: value for key, value in proof.items() if value},
    )


async def person_meant(connection: Connection, application_id: UUID, text: str) -> tuple[Person, UUID | str]:
    """Whose choices are meant, and what the answer calls them: by the contact's id, or by the
    address where it is nobody's."""
    wanted = named(text)
    if isinstance(wanted, UUID):
        known = await contacts.get(connection, application_id, wanted)
        return known.person, known.id
    found = await contacts.find(connection, application_id, wanted)
    return Person(application_id, wanted), found.id if found is not None else wanted
