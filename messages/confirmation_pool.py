"""The pool that is kept for asking people of foreign lists, named by `POSTLANE_CONFIRMATION_POOL`.

A foreign list holds spamtraps and dead addresses, whatever its owner says. What is written to it leaves through IPs of
its own, at a pace of its own, and so can harm no other mail. So the pool has to be reserved (nothing else leaves
through it) and without an overflow (nothing of it leaves through another).
"""

from typing import Final
from uuid import UUID

from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from store.database import Connection

_POOL: Final = """
SELECT p.id, p.lane, p.reserved, o.name,
       EXISTS (SELECT FROM pool_ips i WHERE i.pool_id = p.id)
  FROM pools p LEFT JOIN pools o ON o.id = p.overflow_pool_id WHERE p.name = %s
"""
_WITHOUT: Final = (
    "Or import without mails, by the form field `confirm=false`, `--no-mail`, or in the console: then these"
    " people are stored, and get nothing before they sign up."
)
CODE: Final = "no_confirmation_pool"


async def refuse_unless_asked(connection: Connection, pool: str, public_url: str) -> None:
    """Raises Refused where people of a foreign list cannot be asked: no pool for it, or nothing that a link could lead
    to."""
    await reserved_pool(connection, pool)
    if not public_url:
        raise invalid("confirm", "this server has no public pages that a confirmation could lead to")


async def reserved_pool(connection: Connection, name: str) -> UUID:
    """The pool of that name. Raises Refused, saying what is missing and what to do."""
    if not name:
        raise _refused(
            "no pool is kept for confirmations of imported people",
            "Make one (`postlane pools create confirmations --lane transactional --reserved`), give it IPs, and set"
            " POSTLANE_CONFIRMATION_POOL to its name.",
        )
    row = await (await connection.execute(_POOL, [name])).fetchone()
    if row is None:
        raise _refused(
            f"there is no pool {name!r}, which POSTLANE_CONFIRMATION_POOL names", "Make it, or name another."
        )
    identifier, lane, reserved, overflow, sends = row
    if lane != Lane.TRANSACTIONAL:
        raise _refused(
            f"pool {name} serves the {lane} lane", "Confirmations are transactional mail: name a pool of it."
        )
    if not reserved:
        raise _refused(
            f"pool {name} is not reserved: other mail leaves through it too",
            f"`postlane pools update {name} --reserved`",
        )
    if overflow:
        raise _refused(f"pool {name} overflows to {overflow}", f'`postlane pools update {name} --overflow ""`')
    if not sends:
        raise _refused(f"pool {name} has no IP", f"`postlane pools attach {name} IP`")
    found: UUID = identifier
    return found


def _refused(reason: str, hint: str) -> Refused:
    return conflict(reason, f"{hint} {_WITHOUT}", CODE)
