"""What a recipient says about the mail of an application, and all that follows from it in one transaction.

Choices about topics and pauses are kept in `audience/choices`; leaving *all* marketing mail of an application is a
suppression, so that everybody who asks the list hears of it. When it was a mail's own link or header that was used,
the timeline of that mail says so, and the application hears `email.unsubscribed`. Nothing here asks who may: the
sealed link did (`audience/links`), or the application's key.

Works on the caller's connection and never commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from audience import choices, contact_history, contact_moves, contact_telling, topics
from audience.choices import OWN_HAND, Act, Person, Preference, Source, What
from audience.contacts import Contact
from audience.links import MailLink
from audience.telling import tell_choices
from audience.topics import Subscription
from core.queues import Lane
from core.refusal import conflict
from messages import timeline
from messages.capture import person_of
from messages.model import MessageRef
from messages.timeline import Entry, EventKind
from store.counters import Counted
from store.database import Connection
from suppression import adding, finding, withdrawing
from suppression.entries import Addition, Suppression
from suppression.predicate import forbidding
from suppression.reasons import Reason, SuppressionEntry, SuppressionScope
from suppression.removing import Remover
from suppression.subjects import hashed
from webhooks.kinds import EventType

MOVED_AWAY: Final = "the mail goes to another address now"
"""Why all mail is left at an address that somebody moves away from."""

_FORBIDDEN: Final = f"""
SELECT s.id, s.reason, s.scope
  FROM (SELECT %(address)s::text AS address, '{Lane.MARKETING}' AS lane, %(application)s::uuid AS application_id,
               NULL::uuid AS topic_id) r, LATERAL (SELECT s.* {forbidding("r")}) s
"""

# The partition of a mail that is too old is gone, and so is its timeline. Told once of a mail: whoever has its link can
# leave and come back all day.
_MAIL: Final = """
SELECT e.lane, d.ip, d.provider, clock_timestamp(), m.capture
  FROM messages m JOIN emails e ON e.id = m.email_id
  LEFT JOIN LATERAL (SELECT ip, provider FROM events v WHERE v.email_id = m.email_id AND v.position = m.position
                      AND v.kind = 'delivered' ORDER BY v.at DESC LIMIT 1) d ON true
 WHERE m.email_id = %(email)s AND m.position = %(position)s AND e.id = %(email)s AND e.application_id = %(application)s
   AND NOT EXISTS (SELECT FROM events u WHERE u.email_id = m.email_id AND u.position = m.position
                      AND u.kind = 'unsubscribed')
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands between a person and an application."""

    preferences: tuple[Preference, ...]
    """Every topic, whether they are shown it or not."""
    paused_until: datetime | None
    off: bool
    """They left all marketing mail."""
    blocked: bool
    """Something else forbids marketing mail to them, which is not theirs to change: a dead mailbox, a complaint."""


async def standing(connection: Connection, person: Person) -> Standing:
    """How it stands now."""
    every = await topics.every(connection, person.application_id)
    found = await choices.preferences(connection, person, every)
    forbidden = await _forbidden(connection, person)
    own = _left_all(person, forbidden)
    paused = await choices.paused_until(connection, person)
    return Standing(tuple(found), paused, bool(own), len(own) < len(forbidden))


async def unsubscribe(connection: Connection, person: Person, topic_id: UUID | None, act: Act) -> bool:
    """Leave one topic, or all marketing mail where the link names none, or one that is gone: nobody sends under it, and
    who leaves it wants no other instead. Whether that is new."""
    if topic_id is None or await topics.find(connection, person.application_id, topic_id) is None:
        return await leave_all(connection, person, act)
    return bool(await choose(connection, person, {topic_id: Subscription.OPT_OUT}, act))


async def choose(
    connection: Connection, person: Person, wanted: Mapping[UUID, Subscription], act: Act
) -> dict[UUID, Subscription]:
    """Take or leave topics; those for which that is new. Who takes one by their own hand has not left all mail any
    more; their application, which may have old lists to bring in, cannot say that for them."""
    await choices.alone(connection, person)
    if act.source is Source.LINK and Subscription.OPT_IN in wanted.values():
        await return_to_all(connection, person, act)
    changed = await choices.subscribe(connection, person, wanted, act)
    if changed:
        await tell_choices(connection, person, changed, _how(act))
    if Subscription.OPT_OUT in changed.values():
        await _tell_mail(connection, person, act)
    return changed


async def pause(connection: Connection, person: Person, until: datetime | None, act: Act) -> bool:
    """Stop all marketing mail until then, or go on with it (None); whether that is new."""
    await choices.alone(connection, person)
    if not await choices.pause(connection, person, until, act):
        return False
    how = _how(act) | {"paused_until": until}
    await tell_choices(connection, person, {}, how)
    return True


async def leave_all(connection: Connection, person: Person, act: Act) -> bool:
    """Leave all marketing mail of the application; whether that is new. It is, too, where the application had said so
    for the person, and now they say it themselves: only they take that back."""
    await choices.alone(connection, person)
    if any(_leaves(one, person) and one.address == hashed(person.address) for one in await _about(connection, person)):
        return False  # erased, or brought in as a hash: their address is not written down again for it
    by_hand = act.source in OWN_HAND
    detail = "the recipient left all marketing mail" if by_hand else "taken off all marketing mail"
    detail += f": {act.detail}" if act.detail else ""
    entry = SuppressionEntry(SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, act.source, detail)
    owner, actor = person.application_id, "the recipient" if by_hand else act.detail
    addition = Addition(person.address, entry, owner, only_for=owner, source_id=act.email_id, actor=actor)
    (added,) = await adding.add(connection, [addition])
    fresh = added.created or added.changed or await withdrawing.stand_behind(connection, added.id, addition)
    if not fresh and not (by_hand and await _is_new_word(connection, person, act)):
        return False
    await choices.note(connection, person, What.ALL_OFF, act)
    await _tell_mail(connection, person, act)
    await contact_telling.tell_of(connection, person)
    return True


async def _is_new_word(connection: Connection, person: Person, act: Act) -> bool:
    """Whether somebody who leaves by their own hand what is left already says more than was said: that it was not only
    that their mail moved away."""
    if not await choices.left_by_hand(connection, person):
        return True
    return act.detail != MOVED_AWAY and await choices.left_by_moving(connection, person)


async def return_to_all(connection: Connection, person: Person, act: Act) -> bool:
    """Take back that all was left; whether it was. Topics that were left by themselves stay so."""
    await choices.alone(connection, person)
    left = _left_all(person, await _forbidden(connection, person))
    if not left:
        return False
    await withdrawing.take_back(connection, left, Reason.UNSUBSCRIBE, Remover("the recipient", None))
    await choices.note(connection, person, What.ALL_ON, act)
    await contact_telling.tell_of(connection, person)
    return True


async def return_for(connection: Connection, person: Person, act: Act) -> bool:
    """The same, said by the application: it takes back what it said, never what the person said. Raises Refused."""
    await choices.alone(connection, person)
    said = [one for one in await _about(connection, person) if _leaves(one, person)]
    if not said:
        return False
    locked = any(one.reason is Reason.COMPLAINT or one.address != person.address for one in said)
    if locked or await choices.left_by_hand(connection, person):
        raise conflict(
            "the person left by their own hand, complained, or was erased: only they come back",
            "They do so on their page of preferences, or by signing up again.",
            code="left_by_hand",
        )
    return await return_to_all(connection, person, act)


async def move(
    connection: Connection, person: Person, to: str, act: Act, written: str = "", *, trusted: bool = True
) -> Contact | None:
    """The mail goes to another (folded) address from now on: it gets the contact, the choices and their history, and
    this one gets no marketing mail any more, whatever list its application still has it on. `written`: the address as
    somebody wrote it. `trusted`: consent goes along. The contact as it is there; None when the person is none.
    Campaigns follow by `campaigns/readdressing`, which everybody else calls."""
    other, quiet = replace(person, address=to), replace(act, email_id=None)
    how = contact_history.act_of(act)
    back = trusted and await choices.left_by_moving(connection, other)
    contact = await contact_moves.move(connection, person, written or to, how, trusted=trusted)
    left = bool(_left_all(person, await _forbidden(connection, person)))
    await choices.copy(connection, person, to, act)
    if left:
        await leave_all(connection, other, quiet)
    elif back or act.source in OWN_HAND:  # who left there comes back by reading mail there, not by their application's
        # word, which takes back alone that the mail had gone elsewhere
        await return_to_all(connection, other, quiet)
    await leave_all(connection, person, replace(quiet, detail=MOVED_AWAY))
    await tell_choices(connection, person, {}, _how(act) | {"moved_to": to})
    if contact is not None:
        await contact_telling.tell(connection, EventType.CONTACT_UPDATED, [contact])
    return contact


async def link_of(connection: Connection, ref: MessageRef) -> MailLink | None:
    """The link of a mail that is stored still; None for one that nobody can leave."""
    cursor = await connection.execute(
        "SELECT e.application_id, e.topic_id, e.id, m.position, m.address, m.capture FROM messages m JOIN emails e"
        " ON e.id = m.email_id WHERE m.email_id = %s AND m.position = %s AND e.id = %s AND e.lane = %s",
        [ref.email_id, ref.position, ref.email_id, Lane.MARKETING.value],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    application, topic, email, position, address, capture = row
    return MailLink(application, topic, email, position, person_of(address, capture))


async def _forbidden(connection: Connection, person: Person) -> list[tuple[UUID, str, str]]:
    """Entries of the suppression list that forbid marketing mail: id, reason, scope."""
    names = {"address": person.address, "application": person.application_id}
    return [(row[0], row[1], row[2]) for row in await (await connection.execute(_FORBIDDEN, names)).fetchall()]


async def _about(connection: Connection, person: Person) -> list[Suppression]:
    return await finding.about(connection, person.address)


def _leaves(entry: Suppression, person: Person) -> bool:
    """Whether it says that the person left this application's marketing mail, in whatever words."""
    own = entry.only_for == person.application_id and entry.scope is SuppressionScope.MARKETING
    return own and entry.reason in (Reason.UNSUBSCRIBE, Reason.COMPLAINT)


def _left_all(person: Person, forbidden: list[tuple[UUID, str, str]]) -> list[UUID]:
    """Of these entries those that say that the person left this application's marketing mail: theirs to take back."""
    key = f"{person.application_id} {SuppressionScope.MARKETING}"
    return [found for found, reason, scope in forbidden if reason == Reason.UNSUBSCRIBE and scope == key]


async def _tell_mail(connection: Connection, person: Person, act: Act) -> None:
    """Say on the timeline of the mail that its recipient left: the first time, and as long as it is stored."""
    if act.email_id is None:
        return
    names = {"email": act.email_id, "position": act.position, "application": person.application_id}
    row = await (await connection.execute(_MAIL, names)).fetchone()
    if row is not None:
        lane, ip, provider, at, capture = row
        counted = Counted(lane, provider or "", ip or "", EventKind.UNSUBSCRIBED.value)
        detail = f"unsubscribed by {act.source.value}"
        entry = Entry(
            act.email_id, act.position, at, EventKind.UNSUBSCRIBED, ip=ip, provider=provider, detail=detail,
            counted=None if capture else counted, capture=capture,
        )  # fmt: skip
        await timeline.write(connection, [entry])


def _how(act: Act) -> dict[str, object]:
    return {"source": act.source.value} | ({"email_id": act.email_id} if act.email_id else {})
