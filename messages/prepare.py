"""Stored email → envelope with the very bytes that go out: compose, sign, return path.

Pure work for a thread: no database, no loop. An email with several recipients is composed and signed once.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.senders import Sender
from core.addresses import AddressError
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.model import Claimed, StoredContent, StoredEmail
from mta import return_path
from mta.compose import compose, compose_raw, needs_smtputf8
from mta.mime_headers import ComposeError
from mta.model import Draft, Envelope
from mta.sign import sign

Work = tuple[Claimed, StoredEmail, StoredContent | None, Sender]


def prepare_many(work: Sequence[Work], lane: Lane, secret: InstanceSecret, now: datetime) -> list[Envelope | str]:
    """An envelope for each message, or the reason why there is none."""
    composed: dict[UUID, tuple[bytes, bool] | str] = {}
    prepared: list[Envelope | str] = []
    for claimed, email, content, sender in work:
        if email.id not in composed:
            composed[email.id] = _compose_and_sign(email, content, sender, lane, now)
        mail = composed[email.id]
        if isinstance(mail, str):
            prepared.append(mail)
            continue
        data, smtputf8 = mail
        sender_path = return_path.make(secret, claimed.ref.email_id, claimed.ref.position, sender.return_path_domain)
        prepared.append(Envelope(sender_path, claimed.recipient, data, smtputf8 or not claimed.recipient.isascii()))
    return prepared


def _compose_and_sign(
    email: StoredEmail, content: StoredContent | None, sender: Sender, lane: Lane, now: datetime
) -> tuple[bytes, bool] | str:
    if content is None:
        return "its content is no longer stored"
    feedback_id = f"{lane.value}:{sender.name}:{email.application_id.hex[:12]}:postlane"
    try:
        if content.raw is not None:
            data = compose_raw(content.raw, email.message_id, _date(email), feedback_id)
            smtputf8 = not data.partition(b"\r\n\r\n")[0].isascii()  # an 8-bit body needs 8BITMIME only
        else:
            draft = _draft(email, content, feedback_id)
            data, smtputf8 = compose(draft), needs_smtputf8(draft)
    except (ComposeError, AddressError) as error:
        return f"it cannot be composed: {error}"
    return sign(data, sender.keys, now) + data, smtputf8


def _date(email: StoredEmail) -> datetime:
    """When its application sent it, or wanted it sent: one date for all recipients, on every attempt."""
    return email.scheduled_at or email.created_at


def _draft(email: StoredEmail, content: StoredContent, feedback_id: str) -> Draft:
    return Draft(
        sender=email.sender,
        to=email.to,
        cc=email.cc,
        reply_to=email.reply_to,
        subject=email.subject,
        message_id=email.message_id,
        date=_date(email),
        html=content.html or None,  # stored as "" by versions before
        text=content.text or None,
        headers=content.headers,
        feedback_id=feedback_id,
        attachments=content.attachments,
    )
