"""Forgetting a person: all that an application holds about them goes, in one transaction.

Contact, lists and history, choices and their history, a sign-up that waits, runs of automations with the events that
began them, engagement, the person in stored mail and in mail that came back, captured test mail. Figures stay, for they
name nobody. What stays is the hash of the address on the suppression list: they are not written to again. What was told
to webhooks goes with their retention.

Stands here because reports of campaigns are the highest shelf on which something of a person lies: whoever refused the
mail may have named them. Mail that a worker holds at that moment is gone over by `finish`, a duty, until it has ended.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from audience import choices, confirmations, contact_telling, contacts
from audience.choices import Person, Source
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Contact
from audience.importing import merging
from campaigns.automations import forgetting as automations
from core.ids import lowest_at
from messages import erasing as mail
from messages.erasing import Blanked
from outcomes import engagement, erasures, inbound
from sandbox import mailbox
from store.database import Connection, Database
from suppression import erasing as suppressions
from suppression import soft_bounces
from suppression.reasons import SuppressionScope
from webhooks.kinds import EventType

_SOURCES: Final = {ContactSource.API: Source.API, ContactSource.CLI: Source.CLI, ContactSource.CONSOLE: Source.CONSOLE}

_LATER: Final = timedelta(milliseconds=1)

# Words of servers and of the database, which quote the address. The contact may have been deleted long before: mail
# that was kept knows whose it was.
_BLANK_REASONS: Final = """
WITH mine AS MATERIALIZED (
  SELECT e.contact_id FROM messages m CROSS JOIN LATERAL (
    SELECT contact_id, application_id FROM emails WHERE id = m.email_id OFFSET 0) e
   WHERE m.address = %(address)s AND e.application_id = %(application)s AND e.contact_id IS NOT NULL
  UNION SELECT %(contact)s::uuid WHERE %(contact)s::uuid IS NOT NULL)
UPDATE campaign_recipients r SET reason = NULL FROM mine
 WHERE r.contact_id = mine.contact_id AND r.state IN ('bounced', 'deferred', 'expired', 'failed')
   AND r.reason IS NOT NULL
   AND NOT EXISTS (SELECT FROM contacts c WHERE c.id = mine.contact_id)
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


async def erase(
    connection: Connection, person: Person, act: ContactAct, scope: SuppressionScope = SuppressionScope.MARKETING
) -> Erased:
    """Forget the person; from now on no mail in `scope` (marketing, or all) of the application goes to them."""
    await merging.none_beside(connection, person.application_id)
    await choices.alone(connection, person)
    asked = await erasures.note(connection, person)
    contact = await contacts.find(connection, person.application_id, person.address)
    if contact is not None:
        await contact_telling.tell(connection, EventType.CONTACT_DELETED, [_bare(contact)])
        await contacts.forget(connection, [contact.id])
    await automations.forget_person(connection, person, contact.id if contact else None)
    await confirmations.forget_person(connection, person.application_id, person.address)
    await choices.forget(connection, person)
    # In the order in which outcomes are recorded: queue, soft bounces, suppressions. The two never wait in a circle.
    found = await _mail(connection, person, lowest_at(asked + _LATER), contact.id if contact else None)
    await engagement.forget_person(connection, person.application_id, person.address)
    await soft_bounces.forget_address(connection, person.address)
    await suppressions.keep_as_hash(connection, person.application_id, person.address)
    source = _SOURCES.get(act.source, Source.LINK)
    await suppressions.forbid(connection, person.application_id, person.address, scope, source, act.actor)
    return Erased(contact.id if contact else None, found.cancelled, len(found.blanked), found.under_way)


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
            found = await _mail(connection, person, lowest_at(erasure.asked_at + _LATER))
            if await contacts.find(connection, person.application_id, person.address) is None:  # nobody anew
                await automations.forget_person(connection, person, None)
                await engagement.forget_person(connection, person.application_id, person.address)
                await suppressions.keep_as_hash(connection, person.application_id, person.address)
            await erasures.gone_over(connection, erasure, left=bool(found.under_way))


async def _mail(connection: Connection, person: Person, before: UUID, contact_id: UUID | None = None) -> Blanked:
    names = {"address": person.address, "application": person.application_id, "contact": contact_id}
    await connection.execute(_BLANK_REASONS, names)
    found = await mail.erase(connection, person, before)
    await inbound.forget_about(connection, found.blanked)
    await mailbox.forget_messages(connection, found.blanked)
    return found


def _bare(contact: Contact) -> Contact:
    """All that is still said of somebody who is erased: who it was."""
    return replace(contact, first_name=None, last_name=None, language=None, time_zone=None, properties={})
