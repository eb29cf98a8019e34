"""All that an application holds about a person, for the person: contact, lists, consent, choices, engagement, mail,
and what was told of them for automations.

Reads only. Mail is told with its timeline and, while it is stored, its text; of attachments the names. The newest
`MOST_MAIL` mails, and of texts so many characters together: what was left out is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import TupleRow

from audience import choices, confirmations, contact_history, contacts, membership, properties
from audience.choices import Past, Person
from audience.contact_history import ContactPast
from audience.contacts import Contact
from audience.membership import Place
from audience.properties import Definitions
from messages import choosing
from messages.choosing import Standing
from outcomes import engagement
from outcomes.engagement import Engagement
from store.database import Connection
from suppression import history as suppression_history
from suppression import repository as suppressions
from suppression.asking import Asker
from suppression.entries import Ended, Suppression
from suppression.subjects import forms

MOST_MAIL: Final = 5_000
MOST_TEXT: Final = 20_000_000
"""Characters of texts of mail: what a program reads in one piece."""

_MAIL: Final = """
WITH named AS MATERIALIZED (
  SELECT email_id, position, state, updated_at FROM messages WHERE address = %(address)s
   ORDER BY email_id DESC)
SELECT m.email_id, m.position, m.state, e.created_at, e.sender, e.subject, e.lane, e.campaign_id, c.html, c.body,
       ARRAY(SELECT filename FROM attachments WHERE content_id = e.content_id ORDER BY position)
  FROM named m
 CROSS JOIN LATERAL (SELECT * FROM emails WHERE id = m.email_id OFFSET 0) e
  LEFT JOIN LATERAL (SELECT html, body FROM contents WHERE id = e.content_id OFFSET 0) c ON true
 WHERE e.application_id = %(application)s ORDER BY m.email_id DESC, m.position LIMIT %(most)s
"""

_EVENTS: Final = """
SELECT v.email_id, v.position, v.kind, v.at, v.reply, v.detail, v.engagement
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
 CROSS JOIN LATERAL (SELECT * FROM events WHERE email_id = u.email_id AND position = u.position OFFSET 0) v
 ORDER BY v.at
"""

_TOLD: Final = """
SELECT name, payload, at FROM application_events WHERE contact_id = %(contact)s ORDER BY id DESC LIMIT %(most)s
"""

_RUNS: Final = """
SELECT a.name, r.state, r.reason, r.created_at, r.ended_at
  FROM automation_runs r JOIN automations a ON a.id = r.automation_id
 WHERE r.contact_id = %(contact)s ORDER BY r.id DESC LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class ToldOf:
    """An event that the application told of them."""

    name: str
    payload: Mapping[str, Any] = field(hash=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Entered:
    """An automation that they went through."""

    automation: str
    state: str
    reason: str | None
    at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to a mail."""

    kind: str
    at: datetime
    reply: str | None
    detail: str | None
    engagement: Mapping[str, Any] | None = field(hash=False)


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail to the person."""

    email_id: UUID
    position: int
    state: str
    created_at: datetime
    sender: str
    subject: str
    lane: str
    campaign_id: UUID | None
    html: str | None
    text: str | None
    attachments: tuple[str, ...]
    events: tuple[Happened, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What is held about a person."""

    person: Person
    contact: Contact | None
    definitions: Definitions = field(hash=False)
    places: Sequence[Place]
    history: Sequence[ContactPast]
    standing: Standing
    choices: Sequence[Past]
    entries: Sequence[Suppression]
    ended: Sequence[Ended]
    waiting: "confirmations.Confirmation | None"
    """A sign-up that waits for a yes."""
    engagement: Engagement | None
    mail: Sequence[SentMail]
    more_mail: bool
    """There is more than is told here."""
    told: Sequence[ToldOf] = ()
    entered: Sequence[Entered] = ()


async def export(connection: Connection, person: Person) -> Held:
    """What the application of the person holds about them."""
    owner = person.application_id
    contact = await contacts.find(connection, owner, person.address)
    asker = Asker("", owner)
    mail = await _mail(connection, person)
    return Held(
        person,
        contact,
        await properties.known(connection, owner),
        (await membership.places(connection, [contact.id]))[contact.id] if contact else [],
        (await contact_history.page(connection, contact.id)).entries if contact else [],
        await choosing.standing(connection, person),
        (await choices.history(connection, person)).entries,
        asker.sees(await suppressions.about(connection, person.address)),
        asker.sees_ended(await suppression_history.of_subjects(connection, forms(person.address))),
        await confirmations.of_person(connection, owner, person.address),
        await engagement.engagement_of(connection, owner, person.address),
        mail[:MOST_MAIL],
        len(mail) > MOST_MAIL,
        [ToldOf(*row) for row in await _of_contact(connection, _TOLD, contact)],
        [Entered(*row) for row in await _of_contact(connection, _RUNS, contact)],
    )


async def _of_contact(connection: Connection, statement: str, contact: Contact | None) -> list[TupleRow]:
    if contact is None:
        return []
    names = {"contact": contact.id, "most": MOST_MAIL}
    return await (await connection.execute(statement, names)).fetchall()


async def _mail(connection: Connection, person: Person) -> list[SentMail]:
    names: dict[str, Any] = {"address": person.address, "application": person.application_id, "most": MOST_MAIL + 1}
    rows = await (await connection.execute(_MAIL, names)).fetchall()
    mails = [_sent(row) for row in rows]
    names = {"emails": [one.email_id for one in mails], "positions": [one.position for one in mails]}
    events: dict[tuple[UUID, int], list[Happened]] = {}
    for email, position, *what in await (await connection.execute(_EVENTS, names)).fetchall():
        events.setdefault((email, position), []).append(Happened(*what))
    return bounded([replace(one, events=tuple(events.get((one.email_id, one.position), ()))) for one in mails])


def bounded(mails: Sequence[SentMail], most: int = MOST_TEXT) -> list[SentMail]:
    """The same, with the texts of the newest that fit. Pure."""
    left, found = most, []
    for one in mails:
        left -= len(one.html or "") + len(one.text or "")
        found.append(one if left >= 0 else replace(one, html=None, text=None))
    return found


def _sent(row: TupleRow) -> SentMail:
    email, position, state, at, sender, subject, lane, campaign, html, text, files = row
    return SentMail(email, position, state, at, sender, subject, lane, campaign, html, text, tuple(files))
