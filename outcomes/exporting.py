"""All that an application holds about a person, for the person, under every address they had: contact, lists, consent,
choices, engagement, mail, campaigns, and what was told of them for automations.

Reads only. As what somebody is known says `known_as`. Mail is told with its timeline and, while it is stored, its text;
of attachments the names. The newest `MOST_MAIL` mails, and of texts so many characters together: what was left out is
said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import TupleRow

from audience import choices, confirmations, contact_history, membership, properties
from audience.choices import Past, Person
from audience.confirmations import Confirmation
from audience.contact_history import ContactPast
from audience.contacts import Contact
from audience.membership import Place
from audience.properties import Definitions
from messages import choosing
from messages.choosing import Standing
from outcomes import engagement, known_as
from outcomes.engagement import Engagement
from outcomes.known_as import KnownAs
from store.database import Connection
from suppression import finding
from suppression import history as suppression_history
from suppression.asking import Asker
from suppression.entries import Ended, Suppression
from suppression.subjects import forms

MOST_MAIL: Final = 5_000
MOST_TEXT: Final = 20_000_000
"""Characters of texts of mail: what a program reads in one piece."""

_MAIL: Final = """
WITH named AS MATERIALIZED (
  SELECT email_id, position, state, recipient FROM messages WHERE address = ANY(%(addresses)s)
   ORDER BY email_id DESC)
SELECT m.email_id, m.position, m.recipient, m.state, e.created_at, e.sender, e.subject, e.tags, e.lane, e.campaign_id,
       c.html, c.body, ARRAY(SELECT filename FROM attachments WHERE content_id = e.content_id ORDER BY position)
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
SELECT name, payload, at FROM application_events WHERE contact_id = ANY(%(contacts)s) ORDER BY id DESC LIMIT %(most)s
"""

_RUNS: Final = """
SELECT a.name, r.state, r.reason, r.created_at, r.ended_at
  FROM automation_runs r JOIN automations a ON a.id = r.automation_id
 WHERE r.contact_id = ANY(%(contacts)s) ORDER BY r.id DESC LIMIT %(most)s
"""

_CAMPAIGNS: Final = """
SELECT r.campaign_id, c.name, r.state, r.reason, r.queued_at, r.ended_at, r.opened_at, r.clicked_at, r.unsubscribed_at,
       r.complained_at, ARRAY(
         SELECT l.url FROM campaign_clicks k JOIN campaign_links l USING (campaign_id, number)
          WHERE k.campaign_id = r.campaign_id AND k.contact_id = r.contact_id ORDER BY l.number)
  FROM campaign_recipients r JOIN campaigns c ON c.id = r.campaign_id
 WHERE r.contact_id = ANY(%(contacts)s) ORDER BY r.campaign_id DESC LIMIT %(most)s
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
class InCampaign:
    """A campaign that they were in, whether they got it or not."""

    campaign_id: UUID
    name: str
    state: str
    reason: str | None
    queued_at: datetime | None
    ended_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None
    complained_at: datetime | None
    links: Sequence[str] = ()
    """That they followed."""


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
    recipient: str
    state: str
    created_at: datetime
    sender: str
    subject: str
    tags: Sequence[Sequence[str]]
    lane: str
    campaign_id: UUID | None
    html: str | None
    text: str | None
    attachments: tuple[str, ...]
    events: tuple[Happened, ...] = ()


@dataclass(frozen=True, slots=True)
class AtAddress:
    """What is held under one of their addresses."""

    address: str
    choices: Sequence[Past]
    entries: Sequence[Suppression]
    ended: Sequence[Ended]
    signup: Confirmation | None
    """That waits for a yes, or had it."""
    engagement: Engagement | None


@dataclass(frozen=True, slots=True)
class Held:
    """What is held about a person."""

    person: Person
    contact: Contact | None
    definitions: Definitions = field(hash=False)
    places: Sequence[Place]
    history: Sequence[ContactPast]
    standing: Standing
    now: AtAddress
    earlier: Sequence[AtAddress]
    """Addresses that they had before."""
    mail: Sequence[SentMail]
    more_mail: bool
    """There is more than is told here."""
    campaigns: Sequence[InCampaign] = ()
    told: Sequence[ToldOf] = ()
    entered: Sequence[Entered] = ()


async def export(connection: Connection, person: Person) -> Held:
    """What the application of the person holds about them."""
    known = await known_as.of(connection, person)
    contact, theirs = known.contact, {"contacts": list(known.contacts), "most": MOST_MAIL}
    mail = await _mail(connection, known)
    return Held(
        person,
        contact,
        await properties.known(connection, person.application_id),
        (await membership.places(connection, [contact.id]))[contact.id] if contact else [],
        (await contact_history.page_of(connection, known.contacts)).entries,
        await choosing.standing(connection, person),
        await _at(connection, person),
        [await _at(connection, each) for each in known.people if each != person],
        mail[:MOST_MAIL],
        len(mail) > MOST_MAIL,
        [InCampaign(*row) for row in await _rows(connection, _CAMPAIGNS, theirs)],
        [ToldOf(*row) for row in await _rows(connection, _TOLD, theirs)],
        [Entered(*row) for row in await _rows(connection, _RUNS, theirs)],
    )


async def _at(connection: Connection, person: Person) -> AtAddress:
    asker = Asker("", person.application_id)
    return AtAddress(
        person.address,
        (await choices.history(connection, person)).entries,
        asker.sees(await finding.about(connection, person.address)),
        asker.sees_ended(await suppression_history.of_subjects(connection, forms(person.address))),
        await confirmations.of_person(connection, person.application_id, person.address),
        await engagement.engagement_of(connection, person.application_id, person.address),
    )


async def _rows(connection: Connection, statement: str, names: Mapping[str, Any]) -> list[TupleRow]:
    return await (await connection.execute(statement, names)).fetchall()


async def _mail(connection: Connection, known: KnownAs) -> list[SentMail]:
    names: dict[str, Any] = {
        "addresses": list(known.addresses), "application": known.person.application_id, "most": MOST_MAIL + 1
    }  # fmt: skip
    mails = [_sent(row) for row in await _rows(connection, _MAIL, names)]
    names = {"emails": [one.email_id for one in mails], "positions": [one.position for one in mails]}
    events: dict[tuple[UUID, int], list[Happened]] = {}
    for email, position, *what in await _rows(connection, _EVENTS, names):
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
    email, position, recipient, state, at, sender, subject, tags, lane, campaign, html, text, files = row
    return SentMail(
        email, position, recipient, state, at, sender, subject, tags, lane, campaign, html, text, tuple(files)
    )  # fmt: skip
