"""Somebody's mail goes to another address from now on, and the campaigns that are under way follow: one mail for each
person, whichever of their rows it belongs to.

What waits in the queue for the old address is taken back and made anew for the new one; what a worker holds ends as it
ends, and where that was not sent because of the old address alone, `settle` lets the row wait again. Where two contacts
become one (`audience/contact_moves`) the rows of the one that goes become those of the other. Where both have a row in
a campaign one of them ends as `merged`: not the one whose mail was delivered, nor, while that is not known, the one
whose mail a worker holds. The other waits so long (`PARKED`), and `decide`, a duty, says what becomes of it.

The one door for whoever changes an address: it stands here because rows of campaigns are the highest shelf on which an
address has an effect. Works on the caller's connection and never commits, but for `decide`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audience import choices, contacts
from audience.choices import Act, Person
from audience.contact_fields import checked_email
from audience.contact_history import ContactAct
from audience.contacts import Contact
from campaigns import snapshot, tallies
from campaigns.experiment import REST
from campaigns.states import OPEN, RowState, words
from core.ids import uuid7
from messages import choosing, news, people, repository
from messages.people import Wish
from store import arrays
from store.database import Connection, Database

PARKED: Final = snapshot.WINNER_LATER + timedelta(days=30)
"""When a row is due that waits for the fate of another: never, until that is known. Its reason says whose."""
TAKEN_BACK: Final = "its recipient has another address now"

# Behind the advisory lock of those whose audience is being fixed no slice is made: it would not know of this.
_BEING_FIXED: Final = """
SELECT c.id, pg_advisory_xact_lock(hashtextextended('campaign ' || c.id::text, 0))
  FROM campaign_recipients r JOIN campaigns c ON c.id = r.campaign_id
 WHERE r.contact_id = ANY(%s::uuid[]) AND c.fixed_at IS NULL AND c.state IN ('sending', 'paused', 'stopped')
 GROUP BY c.id ORDER BY c.id
"""

_ROWS: Final = """
SELECT r.campaign_id, r.contact_id, r.state, r.email_id, r.variant,
       c.fixed_at IS NULL AND c.state IN ('sending', 'paused', 'stopped') AND %(to)s > (
         SELECT contact_id FROM campaign_recipients m WHERE m.campaign_id = r.campaign_id
          ORDER BY contact_id DESC LIMIT 1)
  FROM campaign_recipients r JOIN campaigns c ON c.id = r.campaign_id
 WHERE r.contact_id IN (%(gone)s, %(to)s) ORDER BY 1, 2 FOR UPDATE OF r
"""

_PASS_ON: Final = (
    "UPDATE campaign_recipients SET contact_id = %(to)s, destination = coalesce(%(destination)s, destination)"
    " WHERE campaign_id = %(campaign)s AND contact_id = %(gone)s",
    "UPDATE campaign_clicks SET contact_id = %(to)s WHERE campaign_id = %(campaign)s AND contact_id = %(gone)s",
)

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
SELECT o.campaign_id, o.contact_id, o.state, o.email_id, o.variant, false, k.contact_id, k.state
  FROM campaign_recipients o
  LEFT JOIN campaign_recipients k ON k.campaign_id = o.campaign_id AND k.contact_id = o.reason::uuid
 WHERE o.state = 'waiting' AND o.due_at = %(parked)s AND o.campaign_id = ANY(ARRAY(
         SELECT id FROM campaigns WHERE state = 'sending'))
   AND (k.state IS NULL OR k.state <> ALL(%(open)s)) ORDER BY 1, 2 FOR UPDATE OF o
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One of the two contacts in one campaign."""

    campaign_id: UUID
    contact_id: UUID
    state: RowState
    email_id: UUID | None
    variant: int
    follows: bool
    """The audience is being fixed, and has not come to the one that stays."""

    @property
    def has_mail(self) -> bool:
        """It is on its way."""
        return self.state in (RowState.QUEUED, RowState.DEFERRED)

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
    """As `choosing.move`. The caller holds both addresses (`choices.alone`, in one order)."""
    before = await contacts.find(connection, person.application_id, person.address)
    after = await choosing.move(connection, person, to, act, written, trusted=trusted)
    if before is not None and after is not None:
        await _follow(connection, before.id, after)


async def decide(database: Database) -> None:
    """Let rows go on that waited for another one, or end them as merged."""
    async with database.transaction() as connection:
        names = {"parked": PARKED, "open": words(OPEN)}
        changes: Counter[tallies.Tally] = Counter()
        for *facts, whose, state in await (await connection.execute(_PARKED, names)).fetchall():
            row = _row(facts)
            if state == RowState.DELIVERED:
                changes.update(await _put(connection, row, RowState.MERGED, _same_as(whose)))
            else:
                changes.update(await _put(connection, row, RowState.WAITING, due=row.due))
            if state in _GOT_LESS:
                said = {"campaign": row.campaign_id, "contact": whose, "reason": _same_as(row.contact_id)}
                await connection.execute(_SAY_MERGED, said)
                changes.update(tallies.moves(row.campaign_id, [(state, RowState.MERGED)]))
        await tallies.add(connection, changes)


async def _readdress(
    connection: Connection, application_id: UUID, wanted: UUID | str, wish: Wish, act: ContactAct
) -> UUID | str:
    """By what the contact is named afterwards: another contact may have been there, and is the one now."""
    mailbox = checked_email(wish.email, "new_email")
    known = await contacts.get(connection, application_id, wanted)
    if known.address == mailbox.key:
        return known.id
    for address in sorted((known.address, mailbox.key)):
        await choices.alone(connection, Person(application_id, address))
    person = (await contacts.held(connection, application_id, known.id)).person
    await move(connection, person, mailbox.key, people.choice_of(act), mailbox.wire, trusted=wish.trusted)
    return mailbox.key


async def _follow(connection: Connection, gone: UUID, stays: Contact) -> None:
    """Bring the rows of one contact to the other, which may be the same at another address."""
    await connection.execute(_BEING_FIXED, [arrays.uuids({gone, stays.id})])
    cursor = await connection.execute(_ROWS, {"gone": gone, "to": stays.id})
    rows = [_row(facts) for facts in await cursor.fetchall()]
    theirs = {row.campaign_id: row for row in rows if row.contact_id == stays.id != gone}
    changes: Counter[tallies.Tally] = Counter()
    for row in rows:
        if row.contact_id == gone:
            changes.update(await _one(connection, row, theirs.get(row.campaign_id), stays))
    await tallies.add(connection, changes)


async def _one(connection: Connection, row: Row, other: Row | None, stays: Contact) -> Counter[tallies.Tally]:
    """What becomes of the row of the one that goes, in one campaign."""
    if row.contact_id == stays.id:
        return await _made_anew(connection, row, stays)
    if other is None and row.follows and row.state in OPEN:
        return await _ends(connection, row, stays)
    if other is None:
        return await _pass_on(connection, row, stays)
    if row.state in OPEN and other.state not in OPEN | {RowState.DELIVERED, RowState.HELD_OUT}:
        return await _swap(connection, row, stays)
    return await _of_two(connection, row, other, stays)


async def _of_two(connection: Connection, row: Row, other: Row, stays: Contact) -> Counter[tallies.Tally]:
    """Both have a row: one mail between them."""
    if row.state in OPEN and await _taken_back(connection, row, stays):
        return await _put(connection, row, RowState.MERGED, _same_as(stays.id))
    is_ahead = row.state in OPEN or row.state is RowState.DELIVERED
    if not is_ahead or other.state not in OPEN or not await _taken_back(connection, other, stays):
        return Counter()
    if row.state is RowState.DELIVERED:
        return await _put(connection, other, RowState.MERGED, _same_as(row.contact_id))
    return await _put(connection, other, RowState.WAITING, str(row.contact_id), PARKED)


async def _made_anew(connection: Connection, row: Row, stays: Contact) -> Counter[tallies.Tally]:
    """Its mail goes to the new address, unless a worker has it."""
    if not row.has_mail or not await _taken_back(connection, row, stays):
        return Counter()
    return await _put(connection, row, RowState.WAITING, due=row.due)


async def _ends(connection: Connection, row: Row, stays: Contact) -> Counter[tallies.Tally]:
    """The one that stays is yet to get a row of their own."""
    if not await _taken_back(connection, row, stays):
        return Counter()
    return await _put(connection, row, RowState.MERGED, _same_as(stays.id))


async def _pass_on(connection: Connection, row: Row, stays: Contact) -> Counter[tallies.Tally]:
    await _rename(connection, row, stays.id, stays.address.rpartition("@")[2])
    return await _made_anew(connection, _of(row, stays.id), stays)


async def _swap(connection: Connection, row: Row, stays: Contact) -> Counter[tallies.Tally]:
    """The one that stays may not get it, or could not; the other may: so the person may."""
    nobody = uuid7()
    await _rename(connection, _of(row, stays.id), nobody)
    await _rename(connection, row, stays.id, stays.address.rpartition("@")[2])
    await _rename(connection, _of(row, nobody), row.contact_id)
    return await _made_anew(connection, _of(row, stays.id), stays)


async def _rename(connection: Connection, row: Row, to: UUID, destination: str | None = None) -> None:
    names = {"campaign": row.campaign_id, "gone": row.contact_id, "to": to, "destination": destination}
    for statement in _PASS_ON:
        await connection.execute(statement, names)
    if row.email_id is not None:
        await news.pass_on(connection, row.email_id, to)


async def _taken_back(connection: Connection, row: Row, stays: Contact) -> bool:
    """Whether no mail of it is on its way any more. False: a worker has it, or what became of it is not told yet."""
    if not row.has_mail or row.email_id is None:
        return True
    found = await repository.cancel(connection, stays.application_id, row.email_id, TAKEN_BACK)
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


def _of(row: Row, contact_id: UUID) -> Row:
    return Row(row.campaign_id, contact_id, row.state, row.email_id, row.variant, row.follows)


def _row(facts: Sequence[Any]) -> Row:
    campaign, contact, state, email, variant, follows = facts
    return Row(campaign, contact, RowState(state), email, variant, follows)
