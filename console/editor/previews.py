"""A mail as somebody gets it: made by what makes the mail, for templates and for what campaigns say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from accounts.roles import Right
from audience import contacts
from audience.contacts import named
from campaigns import repository, trying
from campaigns.model import Campaign
from campaigns.trying import Preview, Whose
from console.visit import Visit
from core.paging import Window
from core.refusal import invalid
from messages import previewing
from store.database import Connection
from templates.checks import Remark, remarks_on
from templates.model import Template

_OFFERED: Final = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of it."""

    subject: str
    sender: str
    html: str
    text: str
    remarks: Sequence[Remark]
    person: str
    """The address of whoever gets it so; "" is somebody unknown."""


async def some_people(connection: Connection, visit: Visit, application_id: UUID) -> list[str]:
    """Addresses that a mail may be shown as, the newest: a few to begin with, for who may see people."""
    if not visit.may(Right.PEOPLE_SEE):
        return []
    found = await contacts.page(connection, application_id, Window(_OFFERED))
    return [one.email for one in found.entries]


async def shown(connection: Connection, visit: Visit, found: Template) -> Shown:
    """The newest content of a template, for whom the address of the page names. Raises Refused: it cannot be made for
    them."""
    if found.campaign_id is not None:
        campaign = await repository.get(connection, found.application_id, found.campaign_id)
        made = await of_campaign(connection, visit, campaign)
        html, text = made.html or "", made.text or ""
        return Shown(made.subject, made.sender, html, text, remarks_on(made.subject, html, text), made.person)
    whom = visit.asked("as") if visit.may(Right.PEOPLE_SEE) else ""
    wanted: previewing.Wanted = ({}, whom or None, visit.asked("language") or None)
    one = await previewing.preview(connection, found.application_id, str(found.id), wanted)
    filled = one.filled
    return Shown(filled.subject, filled.sender, filled.html, filled.text, one.remarks, whom)


async def of_campaign(connection: Connection, visit: Visit, found: Campaign) -> Preview:
    """As the person gets it who was asked for, else somebody of its segment, for who may see people. Raises Refused."""
    whose = await whose_of(connection, visit, found)
    if whose.contact_id is None and visit.may(Right.PEOPLE_SEE):
        return await trying.preview_for_somebody(connection, found, whose)
    return await trying.preview(connection, found, whose)


async def whose_of(connection: Connection, visit: Visit, found: Campaign) -> Whose:
    """As whom, in what. Raises Refused: there is no such contact."""
    person, language, number = visit.asked("as"), visit.asked("language"), visit.asked("variant")
    contact = None
    if person and visit.may(Right.PEOPLE_SEE):
        known = await contacts.find(connection, found.application_id, named(person))
        if known is None:
            raise invalid("as", f"there is no contact {person[:100]}")
        contact = known.id
    variant = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else None
    return Whose(contact, language or None, variant)
