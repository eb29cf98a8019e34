"""Which rules rested our IPs at a provider, each with what the provider last said. Reads only.

Found by IP and site, as the history of an IP is: the index of `throttle_changes` begins with them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mta.providers import OTHER
from store.database import Connection

_FIRED: Final = """
SELECT c.rule, count(*), count(DISTINCT c.subject), max(c.at), (array_agg(c.reply ORDER BY c.id DESC))[1]
  FROM egress_ips i JOIN throttle_changes c ON c.kind = 'ip' AND c.subject = i.address
   AND (c.site = %(site)s OR (%(other)s AND c.site LIKE 'mx:%%'))
 WHERE c.became = 'throttled' AND c.rule NOT IN ('', 'operator') AND c.at > now() - make_interval(days => %(days)s)
 GROUP BY c.rule ORDER BY max(c.at) DESC
"""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that rested an IP of ours."""

    rule: str
    times: int
    ips: int
    at: datetime
    """The last time."""
    reply: str
    """What was said then."""


async def fired(connection: Connection, site: str, days: int) -> list[Fired]:
    """Those of the last days at a site (`other`: at any small one), the last one first."""
    cursor = await connection.execute(_FIRED, {"site": site, "other": site == OTHER, "days": days})
    return [Fired(*row) for row in await cursor.fetchall()]
