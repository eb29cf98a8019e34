"""Somebody's mail goes to another address from now on, and the campaigns that are under way follow: one mail for each
person, whichever of their rows it belongs to.

What waits in the queue for the old address is taken back and made anew for the new one; what a worker holds ends as it
ends, and where that was not sent because of the old address alone, `settle` lets the row wait again. Where two contacts
become one (`audience/contact_moves`) the rows of the one that goes become those of the other, as do its runs of
automations. Where both have a row in a campaign the better one is the other's: whose mail was delivered, or is still to
be sent. What is left over ends as `merged`; while a worker holds its mail, the other row waits so long (`PARKED`), and
`decide`, a duty, says what becomes of it. Of two campaigns with the same content (`following`) one brings it.

The one door for whoever changes an address: it stands here because rows of campaigns are the highest shelf on which an
address has an effect. Works on the caller's connection and never commits, but for `decide`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audience import choices, contacts
from audience.choices import Act, Person
from audience.contact_fields import checked_email
from audience.contact_history import ContactAct
from audience.contacts import Contact
from campaigns import repository, snapshot, tallies
from campaigns.automations import joining, moving
from campaigns.experiment import REST
from campaigns.following import Whom
from campaigns.states import OPEN, RowState, words
from core.ids import uuid7
from core.refusal import conflict
from messages import choosing, news, people, signing_up
from messages import repository as mails
from messages.people import Wish
from outcomes import engagement
from store import arrays
from store.database import Connection, Database

PARKED: Final = snapshot.WINNER_LATER + timedelta(days=30)
"""When a row is due that waits for the fate of another: never, until that is known. Its reason names whose."""
TAKEN_BACK: Final = "its recipient has another address now"

_ROWS: Final = """
SELECT campaign_id, contact_id, state, email_id, variant FROM campaign_recipients
 WHERE contact_id IN (%(gone)s, %(to)s) ORDER BY 1, 2 FOR UPDATE
"""

# Of both campaigns that a person gets the same by: whoever missed the one gets the other.
_FOLLOWED: Final = """
SELECT k.id, k.follows FROM campaigns k
 WHERE k.application_id = %(application)s AND k.follows_whom = %(missed)s
   AND EXISTS (SELECT FROM campaign_recipients r WHERE r.contact_id IN (%(gone)s, %(to)s)
                  AND r.campaign_id IN (k.id, k.follows))
"""

_PASS_ON: Final = (
    "UPDATE campaign_recipients SET contact_id = %(to)s WHERE campaign_id = %(campaign)s AND contact_id = %(gone)s",
    "UPDATE campaign_clicks SET contact_id = %(to)s WHERE campaign_id = %(campaign)s AND contact_id = %(gone)s",
)

_DESTINATION: Final = """
UPDATE campaign_recipients SET destination = %(destination)s WHERE contact_id = %(contact)s AND state = 'waiting'
"""

_PUT: Final = """
UPDATE campaign_recipients SET state = %(state)s, reason = %(reason)s, due_at = coalesce(%(due)s, now()),
       email_id = NULL, queued_at = NULL, class = NULL, ended_at = CASE WHEN %(state)s <> 'waiting' THEN now() END
 WHERE campaign_id = %(campaign)s AND contact_id = %(contact)s
"""

_SAY_MERGED: Final = """
UPDATE campaign_recipients SET state = 'merged', reason = %(reason)s
 WHERE campaign_id = %(campaign)s AND contact_id = %(contact)s
"""

# Whose mail was taken out of the store meanwhile is waited for no longer.
_PARKED: Final = """
SELECT o.campaign_id, o.contact_id, whose.id
  FROM campaign_recipients o
 CROSS JOIN LATERAL (SELECT substring(o.reason FROM '[0-9a-f-]{36}')::uuid AS id) whose
  LEFT JOIN campaign_recipients k ON k.campaign_id = o.campaign_id AND k.contact_id = whose.id
 WHERE o.state = 'waiting' AND o.due_at = %(parked)s AND o.campaign_id = ANY(ARRAY(
         SELECT id FROM campaigns WHERE state = 'sending'))
   AND (k.state IS NULL OR k.state <> ALL(%(open)s))
"""

# Locked in the order in which news is taken.
_BOTH: Final = """
SELECT campaign_id, contact_id, state, email_id, variant
  FROM unnest(%(campaigns)s::uuid[], %(contacts)s::uuid[]) AS u(campaign_id, contact_id)
  JOIN campaign_recipients r USING (campaign_id, contact_id) ORDER BY 1, 2 FOR UPDATE OF r
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One of the two contacts in one campaign."""

    campaign_id: UUID
    contact_id: UUID
    state: RowState
    email_id: UUID | None
    variant: int

    @property
    def has_mail(self) -> bool:
        """It is on its way."""
        return self.state in (RowState.QUEUED, RowState.DEFERRED)

    @property
    def worth(self) -> int:
        """Of two rows the greater is the person's."""
        return 2 if self.state is RowState.DELIVERED else 1 if self.state in OPEN else 0

    @property
    def due(self) -> datetime | None:
        """When it is due again: at once, or when there is a winner."""
        return snapshot.WINNER_LATER if self.variant == REST else None


_GOT_LESS: Final = frozenset({RowState.UNSUBSCRIBED, RowState.SUPPRESSED, RowState.ERASED})
"""How mail ends that was not sent because its contact is no more, or its address the old one."""


async def update(
    connection: Connection, application_id: UUID, wanted: UUID | str, wish: Wish, act: ContactAct
) -> Contact:
    """What an application says of a contact: first its address, then the rest. Raises Refused."""
    if wish.email:
        wanted = await _readdress(connection, application_id, wanted, wish, act)
    return await people.change(connection, application_id, wanted, wish, act)


async def move(
    connection: Connection, person: Person, to: str, act: Act, written: str = "", *, trusted: bool = True
) -> None:
    """As `choosing.move`. The caller holds both addresses (`choices.alone_at`)."""
    before = await contacts.find(connection, person.application_id, person.address)
    after = await choosing.move(connection, person, to, act, written, trusted=trusted)
    await signing_up.readdress(connection, person, to, written)
    if trusted:
        await engagement.bring_along(connection, person.application_id, person.address, to)
    if before is None or after is None:
        return
    if before.id != after.id:
        await joining.pass_on(connection, before.id, after.id)
    await moving.follow(connection, before.id, after)
    await _follow(connection, before.id, after)


async def decide(database: Database) -> None:
    """Let rows go on that waited for another one, or end them as merged."""
    async with database.transaction() as connection:
        names = {"parked": PARKED, "open": words(OPEN)}
        parked = await (await connection.execute(_PARKED, names)).fetchall()
        rows = await _both(connection, [(campaign, one) for campaign, *pair in parked for one in pair if one])
        changes: Counter[tallies.Tally] = Counter()
        for campaign, whose, awaited in parked:
            row, other = rows.get((campaign, whose)), rows.get((campaign, awaited))
            if row is not None and row.state is RowState.WAITING and (other is None or other.state not in OPEN):
                changes.update(await _decide(connection, row, other))
        await tallies.add(connection, changes)


async def _both(connection: Connection, which: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Row]:
    """These rows, by campaign and contact."""
    names = {
        "campaigns": arrays.uuids(campaign for campaign, _ in which),
        "contacts": arrays.uuids(contact for _, contact in which),
    }
    found = [_row(facts) for facts in await (await connection.execute(_BOTH, names)).fetchall()] if which else []
    return {(row.campaign_id, row.contact_id): row for row in found}


async def _decide(connection: Connection, row: Row, other: Row | None) -> Counter[tallies.Tally]:
    """What becomes of a row now that the mail of the other one has its outcome."""
    if other is not None and other.state is RowState.DELIVERED:
        rest, mine = await _exchange(connection, other, row)
        return await _put(connection, rest, RowState.MERGED, _same_as(mine.contact_id))
    changes = await _put(connection, row, RowState.WAITING, due=row.due)
    if other is not None and other.state in _GOT_LESS:
        said = {"campaign": row.campaign_id, "contact": other.contact_id, "reason": _same_as(row.contact_id)}
        await connection.execute(_SAY_MERGED, said)
        changes.update(tallies.moves(row.campaign_id, [(other.state, RowState.MERGED)]))
    return changes


async def _readdress(
    connection: Connection, application_id: UUID, wanted: UUID | str, wish: Wish, act: ContactAct
) -> UUID | str:
    """By what the contact is named afterwards: another contact may have been there, and is the one now."""
    mailbox = checked_email(wish.email, "new_email")
    known = await contacts.get(connection, application_id, wanted)
    if known.address == mailbox.key:
        return known.id
    await choices.alone_at(connection, application_id, (known.address, mailbox.key))
    if (await contacts.get(connection, application_id, known.id)).address != known.address:
        raise conflict("somebody else changes this contact right now", "Ask again.")
    await move(connection, known.person, mailbox.key, people.choice_of(act), mailbox.wire, trusted=wish.trusted)
    return mailbox.key


async def _follow(connection: Connection, gone: UUID, stays: Contact) -> None:
    """Bring the rows of one contact to the other, which may be the same at another address."""
    await snapshot.none_beside(connection, stays.application_id)
    names: dict[str, Any] = {"gone": gone, "to": stays.id}
    followed = await _followed(connection, names | {"application": stays.application_id, "missed": Whom.MISSED.value})
    rows = [_row(facts) for facts in await (await connection.execute(_ROWS, names)).fetchall()]
    theirs = {row.campaign_id: row for row in rows if row.contact_id == stays.id != gone}
    changes: Counter[tallies.Tally] = Counter()
    for row in rows:
        if row.contact_id == gone:
            changes.update(await _one(connection, row, theirs.get(row.campaign_id), stays))
    if followed and gone != stays.id:
        rows = [_row(facts) for facts in await (await connection.execute(_ROWS, names)).fetchall()]
        changes.update(await _by_one_campaign(connection, [row for row in rows if row.campaign_id in followed], stays))
    domain = stays.address.rpartition("@")[2]
    await connection.execute(_DESTINATION, {"contact": stays.id, "destination": domain})
    await tallies.add(connection, changes)


async def _followed(connection: Connection, names: dict[str, Any]) -> set[UUID]:
    """Their campaigns that go to who missed another one, and those others. Nobody is tried again in them beside us."""
    found = await (await connection.execute(_FOLLOWED, names)).fetchall()
    await repository.alone_with(connection, *{first for _, first in found})
    return {campaign for pair in found for campaign in pair}


async def _one(connection: Connection, row: Row, other: Row | None, stays: Contact) -> Counter[tallies.Tally]:
    """What becomes of the row of the one that goes, in one campaign."""
    if row.contact_id == stays.id:
        return await _made_anew(connection, row, stays)
    if other is None:
        await _rename(connection, row, stays.id)
        return await _made_anew(connection, replace(row, contact_id=stays.id), stays)
    changes: Counter[tallies.Tally] = Counter()
    if row.worth > other.worth and other.state is not RowState.HELD_OUT:
        row, other = await _exchange(connection, row, other)
        changes.update(await _made_anew(connection, other, stays))
    changes.update(await _of_two(connection, row, other, stays))
    return changes


async def _of_two(connection: Connection, row: Row, other: Row, stays: Contact) -> Counter[tallies.Tally]:
    """Both have a row: one mail between them, by that of the one that stays."""
    if row.state not in OPEN:
        return Counter()
    if await _taken_back(connection, row, stays):
        return await _put(connection, row, RowState.MERGED, _same_as(stays.id))
    if other.state in OPEN and await _taken_back(connection, other, stays):
        waits = f"waits for what becomes of the mail to contact {row.contact_id}"
        return await _put(connection, other, RowState.WAITING, waits, PARKED)
    return Counter()


async def _by_one_campaign(connection: Connection, rows: Sequence[Row], stays: Contact) -> Counter[tallies.Tally]:
    """Of campaigns with the same content one that brings it: what waits gives way to what was sent, is under way, or
    was to be sent first."""
    changes: Counter[tallies.Tally] = Counter()
    gets = {(row.campaign_id, row.contact_id): row for row in rows if row.worth}
    for row in sorted((row for row in gets.values() if row.state in OPEN), key=_last_first):
        related = await repository.related(connection, row.campaign_id)
        by = [one.campaign_id for one in gets.values() if one.campaign_id in related]
        if by and await _taken_back(connection, row, stays):
            changes.update(await _put(connection, row, RowState.MERGED, f"they get it by broadcast {by[0]}"))
            del gets[row.campaign_id, row.contact_id]
    return changes


def _last_first(row: Row) -> tuple[bool, int]:
    return row.has_mail, -row.campaign_id.int


async def _made_anew(connection: Connection, row: Row, stays: Contact) -> Counter[tallies.Tally]:
    """Its mail goes to the new address, unless a worker has it."""
    if not row.has_mail or not await _taken_back(connection, row, stays):
        return Counter()
    return await _put(connection, row, RowState.WAITING, due=row.due)


async def _exchange(connection: Connection, row: Row, other: Row) -> tuple[Row, Row]:
    """Each of the two gets the other's row, with its mail; the rows as they are then, in the same order of contacts."""
    nobody = uuid7()
    await _rename(connection, other, nobody)
    await _rename(connection, row, other.contact_id)
    await _rename(connection, replace(other, contact_id=nobody), row.contact_id)
    return replace(other, contact_id=row.contact_id), replace(row, contact_id=other.contact_id)


async def _rename(connection: Connection, row: Row, to: UUID) -> None:
    names = {"campaign": row.campaign_id, "gone": row.contact_id, "to": to}
    for statement in _PASS_ON:
        await connection.execute(statement, names)
    if row.email_id is not None:
        await news.pass_on(connection, row.email_id, to)


async def _taken_back(connection: Connection, row: Row, stays: Contact) -> bool:
    """Whether no mail of it is on its way any more. False: a worker has it, or what became of it is not told yet."""
    if not row.has_mail or row.email_id is None:
        return True
    found = await mails.cancel(connection, stays.application_id, row.email_id, TAKEN_BACK)
    return found is None or found.moved > 0


async def _put(
    connection: Connection, row: Row, state: RowState, reason: str | None = None, due: datetime | None = None
) -> Counter[tallies.Tally]:
    names: dict[str, Any] = {
        "campaign": row.campaign_id, "contact": row.contact_id, "state": state.value, "reason": reason, "due": due
    }  # fmt: skip
    await connection.execute(_PUT, names)
    return tallies.moves(row.campaign_id, [(row.state.value, state.value)])


def _same_as(contact_id: UUID) -> str:
    return f"the same person as contact {contact_id}"


def _row(facts: Sequence[Any]) -> Row:
    campaign, contact, state, email, variant = facts
    return Row(campaign, contact, RowState(state), email, variant)
