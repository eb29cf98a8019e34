"""How much mail of a domain is still to be sent: what somebody should know before the domain goes."""

from typing import Final
from uuid import UUID

from store.database import Connection

MOST: Final = 10_000
"""Messages are counted up to this: nobody decides otherwise because there are more."""
_LOOKED_AT: Final = 200_000

# Bounded twice: an application may have millions waiting, and none of them from this domain.
_OF_DOMAIN: Final = """
SELECT count(*) FROM (
  SELECT FROM (SELECT email_id FROM delivery_queue WHERE application_id = %(application)s LIMIT %(looked)s) q
    JOIN emails e ON e.id = q.email_id
   WHERE e.domain_id = %(domain)s LIMIT %(most)s) found
"""


async def of_domain(connection: Connection, application_id: UUID, domain_id: UUID) -> int:
    """Messages in the queue, counted up to `MOST` + 1 among the first 200,000 of the application."""
    names = {"application": application_id, "domain": domain_id, "looked": _LOOKED_AT, "most": MOST + 1}
    row = await (await connection.execute(_OF_DOMAIN, names)).fetchone()
    return row[0] if row else 0
