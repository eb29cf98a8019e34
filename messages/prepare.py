"""Stored email → envelope with the very bytes that go out: compose, sign, return path.

Pure work for a thread: no database, no loop. An email with several recipients is composed once, and its body hashed
once; each recipient has a header of their own, by which whatever comes back is placed, and so a signature of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.senders import Sender
from core.addresses import AddressError
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.feedback_id import feedback_id
from messages.model import Claimed, StoredContent, StoredEmail
from mta import return_path
from mta.compose import compose, compose_raw, needs_smtputf8
from mta.mime_headers import ComposeError
from mta.model import Draft, Envelope
from mta.sign import hash_of, sign_head

Work = tuple[Claimed, StoredEmail, StoredContent | None, Sender]


@dataclass(frozen=True, slots=True)
class _Mail:
    """An email composed, and what each recipient's signature needs of it."""

    data: bytes
    head: bytes
    """Without the blank line behind it."""
    body_hash: bytes
    smtputf8: bool


def prepare_many(work: Sequence[Work], lane: Lane, secret: InstanceSecret, now: datetime) -> list[Envelope | str]:
    """An envelope for each message, or the reason why there is none."""
    composed: dict[UUID, _Mail | str] = {}
    prepared: list[Envelope | str] = []
    for claimed, email, content, sender in work:
        if email.id not in composed:
            composed[email.id] = _compose(email, content, sender, lane)
        mail = composed[email.id]
        prepared.append(mail if isinstance(mail, str) else _addressed(mail, claimed, sender, secret, now))
    return prepared


def _addressed(mail: _Mail, claimed: Claimed, sender: Sender, secret: InstanceSecret, now: datetime) -> Envelope:
    """The mail of one recipient: the token in return path and header, and the signature over it. The rest is shared:
    fifty recipients of a large mail hold it in memory once."""
    token = return_path.make_token(secret, *claimed.ref)
    own = f"{return_path.HEADER}: {token}\r\n".encode("ascii")
    front = sign_head(own + mail.head, mail.body_hash, sender.keys, now) + own
    smtputf8 = mail.smtputf8 or not claimed.recipient.isascii()
    sender_path = return_path.address_of(token, sender.return_path_domain)
    return Envelope(sender_path, claimed.recipient, mail.data, smtputf8, front)


def _compose(email: StoredEmail, content: StoredContent | None, sender: Sender, lane: Lane) -> _Mail | str:
    if content is None:
        return "its content is no longer stored"
    feedback = feedback_id(email.tags, email.application_id, lane, sender.name)
    try:
        if content.raw is not None:
            data = compose_raw(content.raw, email.message_id, _date(email), feedback)
            smtputf8 = not data[: data.index(b"\r\n\r\n")].isascii()  # an 8-bit body needs 8BITMIME only
        else:
            draft = _draft(email, content, feedback)
            data, smtputf8 = compose(draft), needs_smtputf8(draft)
    except (ComposeError, AddressError) as error:
        return f"it cannot be composed: {error}"
    end = data.index(b"\r\n\r\n")
    return _Mail(data, data[:end], hash_of(data[end + 4 :]), smtputf8)


def _date(email: StoredEmail) -> datetime:
    """When its application sent it, or wanted it sent: one date for all recipients, on every attempt."""
    return email.scheduled_at or email.created_at


def _draft(email: StoredEmail, content: StoredContent, feedback: str) -> Draft:
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
        feedback_id=feedback,
        attachments=content.attachments,
    )
