"""Taking a person out of stored mail: what waits for them is not sent, what was sent no longer says to whom or what.

A message keeps its outcome and its times, so that figures stay true; recipient, subject, tags, content, replies that
quote the address, and who opened it from where are gone. Mail with other recipients keeps its content for its few
days: it is theirs too. A mail that a worker holds at this moment cannot be taken back; it stays for the next call.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from audience.choices import Person
from core.addresses import AddressError, parse_mailbox
from messages import timeline
from messages.held import FREE
from messages.model import MessageRef
from messages.personal import ERASED
from messages.states import Event, State, sources
from messages.timeline import Entry, EventKind
from store import arrays
from store.counters import Counted
from store.database import Connection

NOBODY: Final = "erased@erased.invalid"
"""Stands where an address stood. Nobody can have it (RFC 2606)."""

STEP: Final = 500
"""Messages of one statement."""

# The messages of an address first, by its index; whose mail it is, one by one. A campaign may have been making mail for
# the contact while it was erased: that names a contact who is no more.
_MINE: Final = """
WITH named AS MATERIALIZED (SELECT email_id, position FROM messages WHERE address = %(address)s)
SELECT m.email_id, m.position, q.email_id IS NOT NULL FROM named m
 CROSS JOIN LATERAL (SELECT application_id, contact_id FROM emails WHERE id = m.email_id OFFSET 0) e
  LEFT JOIN LATERAL (
    SELECT email_id FROM delivery_queue WHERE email_id = m.email_id AND position = m.position OFFSET 0) q ON true
 WHERE e.application_id = %(application)s AND (m.email_id < %(before)s OR (e.contact_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM contacts c WHERE c.id = e.contact_id)))
 ORDER BY 1, 2
"""

_PARTS: Final = "SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)"

_CANCEL: Final = f"""
WITH mine AS ({_PARTS}), gone AS (
  DELETE FROM delivery_queue q USING mine u WHERE q.email_id = u.email_id AND q.position = u.position AND {FREE}
  RETURNING q.email_id, q.position, q.lane, q.capture
), moved AS (
  UPDATE messages m SET state = '{State.CANCELLED}', updated_at = now() FROM gone
   WHERE m.email_id = gone.email_id AND m.position = gone.position AND m.email_id = ANY(%(emails)s::uuid[])
     AND m.state = ANY(%(sources)s))
SELECT email_id, position, lane, capture, now() FROM gone
"""

_BLANK_MESSAGES: Final = f"""
WITH mine AS ({_PARTS})
UPDATE messages m SET recipient = '{NOBODY}', address = '{NOBODY}' FROM mine u
 WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[])
"""

# Whether it was a machine, and whether it was the first, is what figures are made of; it tells of nobody.
_BLANK_EVENTS: Final = f"""
WITH mine AS ({_PARTS})
UPDATE events v SET reply = NULL, detail = NULL, engagement = CASE WHEN v.engagement IS NOT NULL THEN
       jsonb_build_object('machine', v.engagement->'machine', 'first', v.engagement->'first') END
  FROM mine u
 WHERE v.email_id = u.email_id AND v.position = u.position AND v.email_id = ANY(%(emails)s::uuid[])
   AND (v.reply IS NOT NULL OR v.detail IS NOT NULL OR v.engagement IS NOT NULL)
"""

_HEADERS: Final = 'SELECT id, "to", cc, bcc FROM emails WHERE id = ANY(%s)'

_BLANK_EMAIL: Final = """
UPDATE emails SET "to" = %(to)s, cc = %(cc)s, bcc = %(bcc)s, contact_id = NULL,
  subject = CASE WHEN %(alone)s THEN '' ELSE subject END, tags = CASE WHEN %(alone)s THEN '[]' ELSE tags END
 WHERE id = %(id)s
"""

_BLANK_CONTENTS: Final = (
    "UPDATE contents SET html = NULL, body = NULL, headers = '[]', raw = NULL, attachment_count = 0, size = 0"
    " WHERE id = ANY(%s)",
    "DELETE FROM attachments WHERE content_id = ANY(%s)",
)


@dataclass(frozen=True, slots=True)
class Blanked:
    """How it went."""

    cancelled: int
    blanked: tuple[MessageRef, ...]
    under_way: int
    """Held by a worker right now: for the next call."""


async def erase(connection: Connection, person: Person, before: UUID) -> Blanked:
    """Everything of the application to this person whose email's id is below that one, and what was made since for the
    contact who is gone."""
    names = {"address": person.address, "application": person.application_id, "before": before}
    rows = await (await connection.execute(_MINE, names)).fetchall()
    waiting = [MessageRef(email, position) for email, position, queued in rows if queued]
    cancelled = set().union(*[await _cancel(connection, step) for step in _steps(waiting)])
    held = set(waiting) - cancelled
    over = [ref for ref in (MessageRef(row[0], row[1]) for row in rows) if ref not in held]
    for step in _steps(over):
        await _blank(connection, person.address, step)
    return Blanked(len(cancelled), tuple(over), len(held))


async def _cancel(connection: Connection, refs: Sequence[MessageRef]) -> set[MessageRef]:
    """End those that nobody holds; the timeline and the campaign hear why."""
    names = _names(refs) | {"sources": sorted(state.value for state in sources(Event.CANCEL))}
    gone = await (await connection.execute(_CANCEL, names)).fetchall()
    kind = EventKind.CANCELLED
    await timeline.write(
        connection,
        [
            Entry(
                email, position, at, kind, detail=ERASED, capture=capture,
                counted=None if capture else Counted(lane, "", "", kind.value),
            )
            for email, position, lane, capture, at in gone
        ],
    )  # fmt: skip
    return {MessageRef(row[0], row[1]) for row in gone}


async def _blank(connection: Connection, address: str, refs: Sequence[MessageRef]) -> None:
    emails = sorted({ref.email_id for ref in refs})
    alone = []
    for identifier, *boxes in await (await connection.execute(_HEADERS, [emails])).fetchall():
        to, cc, bcc = [[_without(address, text) for text in texts] for texts in boxes]
        only = len(to) + len(cc) + len(bcc) == 1
        alone += [identifier] if only else []
        await connection.execute(_BLANK_EMAIL, {"id": identifier, "to": to, "cc": cc, "bcc": bcc, "alone": only})
    for statement in _BLANK_CONTENTS:
        await connection.execute(statement, [alone])
    await connection.execute(_BLANK_EVENTS, _names(refs))
    await connection.execute(_BLANK_MESSAGES, _names(refs))


def _without(address: str, text: str) -> str:
    """A stored recipient, unless it is this one."""
    try:
        return NOBODY if parse_mailbox(text).key == address else text
    except AddressError:
        return text


def _names(refs: Sequence[MessageRef]) -> dict[str, Any]:
    return {
        "emails": arrays.uuids(ref.email_id for ref in refs),
        "positions": arrays.integers(ref.position for ref in refs),
    }


def _steps(refs: Sequence[MessageRef]) -> list[Sequence[MessageRef]]:
    return [refs[at : at + STEP] for at in range(0, len(refs), STEP)]
