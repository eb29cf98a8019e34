"""Forgetting a person: all that an application holds about them goes, in one transaction, under every address they had.

Contact, lists and history, choices and their history, a sign-up that waits, runs of automations with the events that
began them, engagement, the person in stored mail and in mail that came back, captured test mail, lines of lists that
made no contact. Figures stay, for they name nobody: rows of campaigns keep the id of a contact that is no more. What
stays of the person is the hash of each address on the suppression list: they are not written to again. What was told to
webhooks goes with their retention.

As what somebody is known says `outcomes/known_as`. Stands here because reports of campaigns are the highest shelf on
which something of a person lies: whoever refused the mail may have named them. Mail that a worker holds at that moment
is gone over by `finish`, a duty, until it has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from audience import choices, confirmations, contact_telling, contacts, earlier, newly_confirmed, segments
from audience.choices import Person, Source
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Contact
from audience.importing import imports
from campaigns.automations import forgetting as automations
from core.ids import lowest_at
from messages import erasing as mail
from messages.erasing import Blanked
from outcomes import engagement, erasures, inbound, known_as
from outcomes.known_as import KnownAs
from sandbox import mailbox
from store.database import Connection, Database
from suppression import erasing as suppressions
from suppression import soft_bounces
from suppression.reasons import SuppressionScope
from webhooks.kinds import EventType

_SOURCES: Final = {ContactSource.API: Source.API, ContactSource.CLI: Source.CLI, ContactSource.CONSOLE: Source.CONSOLE}

_LATER: Final = timedelta(milliseconds=1)

# Words of servers and of the database, which quote the address. In the order in which news is taken.
_BLANK_REASONS: Final = """
WITH quoting AS MATERIALIZED (
  SELECT campaign_id, contact_id FROM campaign_recipients
   WHERE contact_id = ANY(%s) AND state IN ('bounced', 'deferred', 'expired', 'failed') AND reason IS NOT NULL
   ORDER BY 1, 2 FOR UPDATE)
UPDATE campaign_recipients r SET reason = NULL FROM quoting q
 WHERE r.campaign_id = q.campaign_id AND r.contact_id = q.contact_id
"""


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of a person."""

    contact_id: UUID | None
    cancelled: int
    """Mails that waited, and are not sent."""
    mails: int
    """Stored mails that no longer say to whom they went."""
    under_way: int
    """Mails that a worker was sending: gone over until they have ended."""
    earlier: tuple[str, ...]
    """Addresses that they had before, and that are forgotten with this one."""
    segments: tuple[tuple[UUID, str], ...] = ()
    """Id and name of segments whose filter holds an address of theirs: people wrote it, and people take it out."""


async def erase(
    connection: Connection, person: Person, act: ContactAct, scope: SuppressionScope = SuppressionScope.MARKETING
) -> Erased:
    """Forget the person; from now on no mail in `scope` (marketing, or all) of the application goes to them. Raises
    Refused when somebody moves them at this moment."""
    known = await known_as.held(connection, person)
    asked = [await erasures.note(connection, each) for each in known.people]
    if known.contact is not None:
        await contact_telling.tell(connection, EventType.CONTACT_DELETED, [_bare(known.contact)])
    await _forget_contacts(connection, known.contacts)
    for each in known.people:
        await confirmations.forget_person(connection, each.application_id, each.address)
        await choices.forget(connection, each)
    await earlier.unname(connection, person.application_id, known.beside, known.addresses)
    await imports.unname(connection, person.application_id, known.addresses)
    found = [await _mail(connection, each, lowest_at(max(asked) + _LATER)) for each in known.people]
    await _forget_addresses(connection, known, scope, act)
    return Erased(
        known.contact.id if known.contact else None, sum(one.cancelled for one in found),
        sum(len(one.blanked) for one in found), sum(one.under_way for one in found),
        tuple(address for address in known.addresses if address != person.address),
        tuple(await segments.naming(connection, person.application_id, known.addresses)),
    )  # fmt: skip


async def finish(database: Database) -> None:
    """Go over the erasures that are not over: what was under way then is blanked as it ends."""
    more = True
    while more:
        async with database.transaction() as connection:
            erasure = await erasures.due(connection)
            more = erasure is not None
            if erasure is None:
                continue
            person = erasure.person
            gone = await known_as.contacts_of(connection, person.application_id, [person.address])
            found = await _mail(connection, person, lowest_at(erasure.asked_at + _LATER))
            await _forget_contacts(connection, gone)
            if await contacts.find(connection, person.application_id, person.address) is None:  # nobody anew
                await engagement.forget_person(connection, person.application_id, person.address)
                await suppressions.keep_as_hash(connection, person.application_id, person.address)
            await erasures.gone_over(connection, erasure, left=bool(found.under_way))


async def _forget_contacts(connection: Connection, gone: Sequence[UUID]) -> None:
    """What has the id of a contact, of that one and of those before."""
    await contacts.forget(connection, gone)
    await newly_confirmed.forget(connection, gone)
    await automations.forget_people(connection, gone)
    await connection.execute(_BLANK_REASONS, [list(gone)])


async def _forget_addresses(connection: Connection, known: KnownAs, scope: SuppressionScope, act: ContactAct) -> None:
    """What has an address, each kind for all of them: in the order in which outcomes are recorded, which is queue, soft
    bounces, suppressions, the two never wait in a circle."""
    source = _SOURCES.get(act.source, Source.LINK)
    for each in known.people:
        await engagement.forget_person(connection, each.application_id, each.address)
    for each in known.people:
        await soft_bounces.forget_address(connection, each.address)
    for each in known.people:
        await suppressions.keep_as_hash(connection, each.application_id, each.address)
    for each in known.people:
        await suppressions.forbid(connection, each.application_id, each.address, scope, source, act.actor)


async def _mail(connection: Connection, person: Person, before: UUID) -> Blanked:
    found = await mail.erase(connection, person, before)
    await inbound.forget_about(connection, found.blanked)
    await inbound.forget_from(connection, person.address)
    await mailbox.forget_messages(connection, found.blanked)
    return found


def _bare(contact: Contact) -> Contact:
    """All that is still said of somebody who is erased: who it was."""
    return replace(contact, first_name=None, last_name=None, language=None, time_zone=None, properties={})
