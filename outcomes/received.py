"""Applications are told of mail that people and their programs send back to their mail: answers, vacation notes.

Only of what came for a message of theirs; what it says is not read. The shape is Resend's `email.received`.
"""

from collections.abc import Sequence
from typing import Final

from mta.report_model import ReportKind
from outcomes.late import KnownMessage
from outcomes.reading import Reading
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

ANSWERS: Final = frozenset({None, ReportKind.AUTO_REPLY, ReportKind.RECEIPT, ReportKind.CHALLENGE})
"""What is no report of a mail system."""


async def tell_received(connection: Connection, mails: Sequence[tuple[Reading, KnownMessage]]) -> None:
    """Tell of those of these that are answers, within the transaction that finishes them."""
    answers = [_event(reading, message) for reading, message in mails if reading.kind in ANSWERS]
    await outbox.append(connection, answers)


def _event(reading: Reading, message: KnownMessage) -> OutboxEvent:
    mail = reading.mail
    data = {
        "email_id": mail.id,
        "created_at": mail.received_at,
        "from": reading.author,
        "to": [mail.envelope_to],
        "cc": [],
        "bcc": [],
        "message_id": "".join(char for char in reading.whole.first("message-id")[:998] if char.isprintable()).strip(),
        "subject": reading.subject,
        "attachments": [],
        "kind": reading.kind.value if reading.kind else "mail",
        "about": {"email_id": message.ref.email_id, "recipient": message.address},
    }
    key = str(message.ref.email_id)
    return OutboxEvent(EventType.EMAIL_RECEIVED, message.application_id, mail.received_at, data, key)
