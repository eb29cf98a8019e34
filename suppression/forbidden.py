"""Which of many addresses may get no mail of an application: asked before anything is written to them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from core.queues import Lane
from store.database import Connection
from suppression.predicate import forbidding

_FORBIDDEN: Final = f"""
SELECT r.address FROM unnest(%(addresses)s::text[]) AS u(address),
  LATERAL (SELECT u.address AS address, '{Lane.MARKETING}' AS lane, %(application)s::uuid AS application_id,
                  NULL::uuid AS topic_id) r
 WHERE EXISTS (SELECT {forbidding("r")})
"""


async def marketing_forbidden(connection: Connection, application_id: UUID, addresses: Sequence[str]) -> set[str]:
    """Those of these (folded) addresses that marketing mail of the application may not go to."""
    names = {"addresses": list(addresses), "application": application_id}
    return {row[0] for row in await (await connection.execute(_FORBIDDEN, names)).fetchall()}
