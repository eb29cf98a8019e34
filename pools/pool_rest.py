"""How many IPs of an email's pool rest at its provider, for whoever asks why it waits. Reads only.

The pool is chosen as `pools/repository.Pools.choose` does, from what is stored: no secret is needed for the question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pools.model import EVERYWHERE
from store.database import Connection

_STANDS: Final = """
WITH chosen AS (
  SELECT p.id, p.name FROM emails e JOIN pools p ON p.lane = e.lane
    LEFT JOIN pool_assignments d ON d.subject_id = e.domain_id AND d.lane = e.lane
    LEFT JOIN pool_assignments a ON a.subject_id = e.application_id AND a.lane = e.lane
   WHERE e.id = %(email)s AND (p.id IN (e.pool_id, d.pool_id, a.pool_id) OR p.is_default)
   ORDER BY p.id = e.pool_id DESC NULLS LAST, p.id = d.pool_id DESC NULLS LAST, p.id = a.pool_id DESC NULLS LAST
   LIMIT 1)
SELECT c.name, count(*), count(r.until), min(r.until)
  FROM chosen c JOIN pool_ips m ON m.pool_id = c.id AND m.weight > 0
  JOIN egress_ips i ON i.id = m.egress_ip_id AND i.active AND coalesce(i.paused_reason, '') = ''
  LEFT JOIN LATERAL (SELECT max(t.rest_until) AS until FROM throttles t
                      WHERE t.kind = 'ip' AND t.subject = i.address AND t.site = ANY(%(sites)s)
                        AND t.state = 'throttled' AND t.rest_until > now()) r ON true
 GROUP BY c.name
"""


@dataclass(frozen=True, slots=True)
class PoolRest:
    """How a pool stands at a site."""

    pool: str
    ips: int
    """Those that are active."""
    resting: int
    back_at: datetime | None
    """When the first that rests returns; None when none does."""


async def pool_rest(connection: Connection, email_id: UUID, sites: Sequence[str]) -> PoolRest | None:
    """Of the pool of a stored email; None when it has no pool with an active IP."""
    names = {"email": email_id, "sites": [*sites, EVERYWHERE]}
    row = await (await connection.execute(_STANDS, names)).fetchone()
    return PoolRest(*row) if row else None
