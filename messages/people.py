"""What an application says of a person, in one transaction: the contact, its lists and topics, and whether it gets any
marketing mail.

The last two are not the application's alone. It takes people off; it does not bring back who left by their own hand
(`choosing.return_for`), and `unsubscribed: false` of somebody new says nothing: SDKs send it with everybody.
Applications hear of contacts from here (`audience/contact_telling`).

Works on the caller's connection and never commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from audience import audiences, choices, contact_telling, contacts, membership, segments, topics
from audience.choices import Act, Person, Preference, Source
from audience.contact_fields import checked_email
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes, Contact, Made
from audience.membership import MemberStatus, OnList, Place
from audience.segments import Segment
from audience.topics import Subscription
from core.paging import Page, Window
from core.queues import Lane
from core.refusal import invalid, not_found
from messages import choosing
from store.database import Connection
from webhooks.kinds import EventType


@dataclass(frozen=True, slots=True)
class Wish:
    """What an application says of somebody; what it does not name stays."""

    changes: Changes = field(default_factory=Changes)
    unsubscribed: bool | None = None
    """Whether they are to get no marketing mail at all."""
    segments: Sequence[UUID] = ()
    """Lists to be put on."""
    topics: Mapping[UUID, Subscription] = field(default_factory=dict, hash=False)
    email: str = ""
    """Another address, "" for the one they have."""
    trusted: bool = True
    """Whether consent goes along to it, by the application's word."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A contact as it is shown: with what its address says elsewhere."""

    contact: Contact
    unsubscribed: bool


_SOURCES: Final = {ContactSource.API: Source.API, ContactSource.CLI: Source.CLI, ContactSource.CONSOLE: Source.CONSOLE}


async def create(connection: Connection, application_id: UUID, email: str, wish: Wish, act: ContactAct) -> Made:
    """Make a contact; one of this address that is there gets what is given. Raises Refused."""
    person = Person(application_id, checked_email(email).key)
    await membership.lists(connection, application_id, wish.segments)
    wanted = await topics_wanted(connection, person, wish.topics)
    await choices.alone(connection, person)
    if wish.unsubscribed:
        await choosing.leave_all(connection, person, choice_of(act))
    before = await contacts.find(connection, application_id, person.address)
    made = await contacts.create(connection, application_id, email, wish.changes, act)
    await _confirm_places(connection, before, made.contact, act)
    joined = await _join(connection, made.contact, wish.segments, act)
    await choosing.choose(connection, person, wanted, choice_of(act))
    if made.created:
        await contact_telling.tell(connection, EventType.CONTACT_CREATED, [made.contact])
    elif joined or made.contact != before:
        await contact_telling.tell(connection, EventType.CONTACT_UPDATED, [made.contact])
    return made


async def change(
    connection: Connection, application_id: UUID, wanted: UUID | str, wish: Wish, act: ContactAct
) -> Contact:
    """Change a contact, but for its address, which campaigns follow (`campaigns/readdressing`). Raises Refused."""
    known = await contacts.held(connection, application_id, wanted)
    if wish.unsubscribed is not None:
        say = choosing.leave_all if wish.unsubscribed else choosing.return_for
        await say(connection, known.person, choice_of(act))
    changed = await contacts.change(connection, known, wish.changes, act)
    await _confirm_places(connection, known, changed, act)
    if changed != known:
        await contact_telling.tell(connection, EventType.CONTACT_UPDATED, [changed])
    return changed


async def delete(connection: Connection, application_id: UUID, wanted: UUID | str, act: ContactAct) -> Contact:
    """Take a contact away. What they chose stays: who left stays so when a list is brought in again."""
    known = await contacts.held(connection, application_id, wanted)
    await contact_telling.tell(connection, EventType.CONTACT_DELETED, [known])
    return await contacts.delete(connection, application_id, known.id, act)


async def join(
    connection: Connection, application_id: UUID, wanted: UUID | str, segment_id: UUID, act: ContactAct
) -> Contact:
    """Put a contact on a list. Raises Refused."""
    await membership.list_named(connection, application_id, segment_id)
    known = await contacts.held(connection, application_id, wanted)
    if await _join(connection, known, [segment_id], act):
        await contact_telling.tell(connection, EventType.CONTACT_UPDATED, [known])
    return known


async def leave(
    connection: Connection, application_id: UUID, wanted: UUID | str, segment_id: UUID, act: ContactAct
) -> Contact:
    """Take a contact off a list. Raises Refused, also where it is not on it."""
    await membership.list_named(connection, application_id, segment_id)
    known = await contacts.held(connection, application_id, wanted)
    if not await membership.take_out(connection, OnList(segment_id, application_id, act), [known.id]):
        raise not_found("the contact is not in this segment")
    await contact_telling.tell(connection, EventType.CONTACT_UPDATED, [known])
    return known


async def seen(connection: Connection, found: Sequence[Contact]) -> list[Seen]:
    """Contacts as they are shown."""
    left = await contacts.unsubscribed(connection, found)
    return [Seen(one, one.id in left) for one in found]


async def in_segment(connection: Connection, segment: Segment, window: Window[UUID], now: datetime) -> Page[Contact]:
    """The contacts in a segment, newest first: of a list by the list's own index, of a filter whoever fits it now."""
    if segment.filter is None:
        return await contacts.page_of_list(connection, segment.id, window)
    audience = await segments.audience(connection, segment)
    fitting = await audiences.page(connection, segment.application_id, audience, now, window)
    known = await contacts.by_ids(connection, [one.id for one in fitting.entries])
    return Page([known[one.id] for one in fitting.entries if one.id in known], fitting.has_more)


async def places(connection: Connection, contact: Contact) -> list[Place]:
    """The lists that a contact is on, newest first; without those that it left."""
    found = (await membership.places(connection, [contact.id]))[contact.id]
    return [one for one in found if one.status is not MemberStatus.UNSUBSCRIBED]


async def topics_wanted(
    connection: Connection, person: Person, given: Mapping[UUID, Subscription]
) -> dict[UUID, Subscription]:
    """Those of these choices that mean something. Raises Refused: there is no such topic, or it is always on."""
    if not given:
        return {}
    return choosable(list(given.items()), await preferences(connection, person))


async def preferences(connection: Connection, person: Person) -> list[Preference]:
    """Every topic, and whether the person gets it."""
    return await choices.preferences(connection, person, await topics.every(connection, person.application_id))


def choosable(given: Sequence[tuple[UUID, Subscription]], known: Sequence[Preference]) -> dict[UUID, Subscription]:
    """The same, of choices in their order. Pure."""
    lanes = {one.topic.id: one.topic.lane for one in known}
    for number, (topic, subscription) in enumerate(given):
        lane = lanes.get(topic)
        if lane is None:
            raise invalid(f"topics[{number}].id", "there is no such topic")
        if lane is Lane.TRANSACTIONAL and subscription is Subscription.OPT_OUT:
            raise invalid(f"topics[{number}].id", "a transactional topic is always on")
    return {topic: subscription for topic, subscription in given if lanes[topic] is Lane.MARKETING}


async def _confirm_places(connection: Connection, before: Contact | None, after: Contact, act: ContactAct) -> None:
    """An application that says that somebody asked for mail says so of the lists they wait on, too."""
    if before is not None and before.status is not after.status:
        await membership.confirm_places(connection, after.id, after.application_id, act)


async def _join(connection: Connection, contact: Contact, segments: Sequence[UUID], act: ContactAct) -> bool:
    """Whether any of it is new. A contact's place is as proved as the contact."""
    status, fresh = MemberStatus(contact.status.value), False
    for segment in sorted(segments):
        where = OnList(segment, contact.application_id, act)
        fresh |= bool(await membership.put(connection, where, [contact.id], status))
    return fresh


def choice_of(act: ContactAct) -> Act:
    """How it is kept with what the person chose."""
    return Act(_SOURCES[act.source], act.ip, detail=act.actor)
