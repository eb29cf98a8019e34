"""Two contacts are one: the runs of the one that goes are the other's, with the events that began them.

Of two runs of the same entry (both were welcomed) the other's own stands, and what the one that goes had before it is
over. Works on the caller's connection and never commits; the caller holds both contacts, so that none of them enters.
"""

from typing import Final
from uuid import UUID

from store.database import Connection

# In one order, and behind whoever does their steps at this moment.
_PASS_ON: Final = """
WITH chosen AS (
  SELECT r.id FROM automation_runs r WHERE r.contact_id = %(gone)s AND NOT EXISTS (
    SELECT FROM automation_runs o
     WHERE o.automation_id = r.automation_id AND o.contact_id = %(to)s AND o.entry = r.entry)
   ORDER BY r.id FOR UPDATE)
UPDATE automation_runs r SET contact_id = %(to)s FROM chosen WHERE r.id = chosen.id
"""

_END: Final = """
UPDATE automation_runs SET state = 'cancelled', reason = %(reason)s, due_at = NULL, ended_at = now()
 WHERE contact_id = %(gone)s AND state = 'running'
"""

_EVENTS: Final = "UPDATE application_events SET contact_id = %(to)s WHERE contact_id = %(gone)s"


async def pass_on(connection: Connection, gone: UUID, to: UUID) -> None:
    """The other goes on with them."""
    names = {"gone": gone, "to": to, "reason": f"the same person as contact {to}"}
    for statement in (_PASS_ON, _END, _EVENTS):
        await connection.execute(statement, names)
