"""Mail that Postlane itself sends, such as news of alarms, probes to seed accounts, and confirmations of sign-ups:
through the same door as all.

The sender's domain says whose mail it is: one that an application has verified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.addresses import AddressError, Mailbox, parse_mailbox
from core.errors import PostlaneError
from core.ids import uuid7
from core.queues import Lane
from messages.accept import write_emails
from messages.model import NewEmail, receivers
from store.database import Connection

_DOMAIN: Final = """
SELECT application_id, id FROM domains
 WHERE name = %(name)s AND status = 'verified' AND (%(owner)s::uuid IS NULL OR application_id = %(owner)s)
 ORDER BY created_at LIMIT 1
"""


class NoSenderError(PostlaneError):
    """There is nobody to send as. The text says what is missing."""


@dataclass(frozen=True, slots=True)
class OwnMail:
    """A mail of ours."""

    sender: str
    recipients: Sequence[str]
    subject: str
    text: str
    lane: Lane = Lane.TRANSACTIONAL
    headers: tuple[tuple[str, str], ...] = ()
    html: str | None = None
    application_id: UUID | None = None
    """In whose name: the domain has to be its own. None: whoever's the domain is."""
    pool_id: UUID | None = None
    """The only pool it may leave through; None: the lane's."""


async def write(connection: Connection, mail: OwnMail, now: datetime) -> NewEmail:
    """Accept it within the caller's transaction; the scan for due mail finds it. Raises NoSenderError."""
    email = await written(connection, mail, now)
    await write_emails(connection, [email])
    return email


async def written(connection: Connection, mail: OwnMail, now: datetime) -> NewEmail:
    """As it is accepted, for a caller that accepts many at once. Raises NoSenderError."""
    try:
        sender = parse_mailbox(mail.sender)
        boxes = [parse_mailbox(one) for one in mail.recipients]
    except AddressError as error:
        raise NoSenderError(error.reason) from None
    application_id, domain_id = await _owner(connection, sender, mail.application_id)
    identifier = uuid7()
    return NewEmail(
        id=identifier,
        application_id=application_id,
        domain_id=domain_id,
        lane=mail.lane,
        created_at=now,
        message_id=f"<{identifier.hex}@{sender.domain}>",
        sender=mail.sender,
        subject=mail.subject,
        recipients=receivers(("to", box) for box in boxes),
        to=tuple(mail.recipients),
        text=mail.text,
        html=mail.html,
        headers=mail.headers,
        pool_id=mail.pool_id,
    )


async def own_sender(connection: Connection, application_id: UUID) -> str | None:
    """What an application that has no say in it sends as: a name at its first verified domain. None: it has none."""
    cursor = await connection.execute(
        "SELECT name FROM domains WHERE application_id = %s AND status = 'verified' ORDER BY created_at LIMIT 1",
        [application_id],
    )
    row = await cursor.fetchone()
    return f"Postlane <postlane@{row[0]}>" if row else None


async def check_sender(connection: Connection, sender: str) -> None:
    """Whether mail could leave as this sender now. Raises NoSenderError."""
    try:
        await _owner(connection, parse_mailbox(sender))
    except AddressError as error:
        raise NoSenderError(error.reason) from None


async def _owner(connection: Connection, sender: Mailbox, application_id: UUID | None = None) -> tuple[UUID, UUID]:
    """Application and domain."""
    names = {"name": sender.domain, "owner": application_id}
    row = await (await connection.execute(_DOMAIN, names)).fetchone()
    if row is None:
        raise NoSenderError(f"{sender.domain} is no verified domain of this server: mail cannot leave as {sender.wire}")
    return row[0], row[1]
