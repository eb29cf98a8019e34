"""A stream that a breaker stopped goes on: the breaker ends, and its mail that waits is due at once."""

from typing import Final

from alarms import breakers
from alarms.breakers import Key
from store.database import Connection

# Due a little later: workers read breakers again every two seconds, and one that has not yet would hold the mail anew.
# Reads the lane's queue, which an operator's word may cost; the queue does not know providers, the reason does.
_DUE: Final = """
UPDATE delivery_queue SET due_at = now() + interval '5 seconds', hold = NULL
 WHERE lane = %(lane)s AND application_id = %(application)s AND due_at > now() AND claimed_by IS NULL
   AND hold LIKE %(reason)s
"""


async def let_go(connection: Connection, key: Key, by: str) -> int:
    """End a breaker; returns how many mails had waited for it. Raises Refused."""
    await breakers.finish(connection, key, by)
    application, lane, provider = key
    named = provider.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    reason = f"{lane} mail of % to {named} is stopped: %"
    cursor = await connection.execute(_DUE, {"lane": lane, "application": application, "reason": reason})
    return cursor.rowcount
