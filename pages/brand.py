"""Who writes to the person: the name they know it by, and the address it writes from.

The sender of the mail that the link stood in, as long as that is stored; then its application's newest verified domain.
Never the application's own name: that is between its operator and us, and may say anything.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.addresses import AddressError, parse_mailbox
from store.database import Connection

_OF_MAIL: Final = """
SELECT e.sender, d.id FROM emails e
  LEFT JOIN domains d ON d.id = e.domain_id AND d.application_id = e.application_id AND d.status = 'verified'
 WHERE e.id = %s AND e.application_id = %s
"""
_OF_APPLICATION: Final = """
SELECT id, name, status = 'verified' FROM domains WHERE application_id = %s
 ORDER BY status = 'verified' DESC, id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Brand:
    """An application as its recipients see it."""

    name: str
    sender: str = ""
    """`Name <address>` for mail of ours about their choices; "" when it has no domain to send from."""
    domain_id: UUID | None = None


def brand_by(sender: str) -> Brand:
    """Who writes with this sender."""
    return _of_sender(sender, None) or Brand("Postlane")


async def brand_of(connection: Connection, application_id: UUID, email_id: UUID) -> Brand:
    """Who sent this mail of this application."""
    found = await (await connection.execute(_OF_MAIL, [email_id, application_id])).fetchone()
    if found is not None and (brand := _of_sender(*found)) is not None:
        return brand
    row = await (await connection.execute(_OF_APPLICATION, [application_id])).fetchone()
    if row is None:
        return Brand("Postlane")
    domain_id, domain, verified = row
    return Brand(domain, f"no-reply@{domain}", domain_id) if verified else Brand(domain)


def _of_sender(sender: str, domain_id: UUID | None) -> Brand | None:
    try:
        box = parse_mailbox(sender)
    except AddressError:
        return None
    return Brand(box.name or box.domain, sender if domain_id else "", domain_id)
