"""A person has another address: mail of automations that waits for the old one is taken back, and its step is done
again, so that it is rendered, asked about and sent anew, once for the person.

A run goes back to the earliest step whose mail was taken back, if nothing after it has left; what waited before mail
that has left is passed over, and says why. So is mail of a run that was cancelled or failed, or that the other
one's run does (`joining`). Mail that a worker has is left: it ends as its server says, or as suppressed.

Works on the caller's connection and never commits; the caller holds the contact.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple
from uuid import UUID

from audience.contacts import Contact
from campaigns.automations.model import RunState, StepState
from messages import repository as mails
from store.database import Connection

TAKEN_BACK: Final = "its recipient has another address now"

# Of runs with mail in the queue for another address, every step that is over. Behind whoever does their steps now.
_STEPS: Final = """
WITH chosen AS MATERIALIZED (
  SELECT r.id, r.state, r.contact_id FROM automation_runs r
   WHERE r.contact_id IN (%(gone)s, %(to)s) AND EXISTS (
     SELECT FROM automation_steps s JOIN delivery_queue q ON q.email_id = s.email_id
      WHERE s.run_id = r.id AND q.address <> %(address)s)
   ORDER BY r.id FOR UPDATE)
SELECT c.id, c.contact_id = %(to)s AND c.state IN ('running', 'completed'), s.position, s.email_id,
       EXISTS (SELECT FROM delivery_queue q WHERE q.email_id = s.email_id AND q.address <> %(address)s)
  FROM chosen c JOIN automation_steps s ON s.run_id = c.id ORDER BY c.id, s.position
"""

_AGAIN: Final = (
    "DELETE FROM automation_steps WHERE run_id = %(run)s AND position >= %(position)s",
    f"UPDATE automation_runs SET position = %(position)s, state = '{RunState.RUNNING}', reason = NULL, due_at = now(),"
    " held_since = NULL, ended_at = NULL WHERE id = %(run)s",
)

_PASS_OVER: Final = f"""
UPDATE automation_steps SET state = '{StepState.SKIPPED}', reason = %(reason)s
 WHERE run_id = %(run)s AND position = ANY(%(positions)s)
"""


class _Step(NamedTuple):
    run_id: UUID
    goes_on: bool
    """The run is the person's, and neither cancelled nor failed."""
    position: int
    email_id: UUID | None
    waits: bool
    """Its mail is in the queue, for another address."""


async def follow(connection: Connection, gone: UUID, stays: Contact) -> None:
    """`gone` is the contact that went, or the same one; `joining` has passed its runs on."""
    names = {"gone": gone, "to": stays.id, "address": stays.address}
    rows = [_Step(*row) for row in await (await connection.execute(_STEPS, names)).fetchall()]
    for _, steps in groupby(rows, lambda one: one.run_id):
        await _one(connection, list(steps), stays.application_id)


async def _one(connection: Connection, steps: Sequence[_Step], application_id: UUID) -> None:
    waiting = [one for one in steps if one.waits and one.email_id is not None]
    taken = {one.position for one in waiting if await _taken_back(connection, application_id, one.email_id)}
    first = first_again(steps, taken)
    names: dict[str, object] = {"run": steps[0].run_id, "position": first, "reason": TAKEN_BACK}
    if first is not None:
        for statement in _AGAIN:
            await connection.execute(statement, names)
    names["positions"] = [position for position in taken if first is None or position < first]
    if names["positions"]:
        await connection.execute(_PASS_OVER, names)


def first_again(steps: Iterable[_Step], taken: set[int]) -> int | None:
    """The step that a run goes back to: the first of those at its end of which nothing has left. Pure."""
    first = None
    for one in reversed(list(steps)):
        if not one.goes_on or (one.email_id is not None and one.position not in taken):
            break
        first = one.position if one.position in taken else first
    return first


async def _taken_back(connection: Connection, application_id: UUID, email_id: UUID | None) -> bool:
    assert email_id is not None, "it waits"
    found = await mails.cancel(connection, application_id, email_id, TAKEN_BACK)
    return found is not None and found.moved > 0
