"""Stored email → envelope with the very bytes that go out: compose, sign, return path.

Pure work: no database, no loop; `prepare_each` for whoever has other things to do between two mails. An email with
several recipients is composed once, and its body hashed once; each recipient has headers of their own, by which
whatever comes back is placed and by which they unsubscribe, and so a signature of their own. Mail with a recipient's
own links in its text is composed for each of them; mail of a campaign is rendered for its person first
(`messages/personal`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

from accounts.senders import Sender
from core.addresses import AddressError
from core.queues import Lane
from core.secrets import InstanceSecret
from flags import declared
from messages.feedback_id import feedback_id
from messages.model import Claimed, StoredContent, StoredEmail
from messages.personal import Personal, fault_of
from messages.tracking import Tracker, tracker_of
from messages.unsubscribe_headers import Unsubscribing, has_own, is_personal, names_own, unsubscribing_of
from mta import return_path
from mta.compose import compose_parts, compose_raw
from mta.mime_headers import ComposeError
from mta.model import Draft, Envelope
from mta.sign import hash_of, sign_head
from templates.render import RenderError

Work = tuple[Claimed, StoredEmail, StoredContent | Personal | None, Sender]


class _Mail(NamedTuple):
    """An email composed, and what each recipient's signature needs of it."""

    data: bytes
    head: bytes
    """Without the blank line behind it."""
    body_hash: bytes
    smtputf8: bool
    leavable: bool
    """Each recipient's mail says how to unsubscribe: it is marketing mail whose application does not say so itself."""


@dataclass(frozen=True, slots=True)
class Press:
    """What mail of one lane is made with."""

    lane: Lane
    secret: InstanceSecret
    unsubscribing: Unsubscribing
    tracker: Tracker
    now: datetime


@dataclass(slots=True)
class Spent:
    """When the work was done, by `time.perf_counter`, and what it took, in seconds."""

    began: float = 0.0
    ended: float = 0.0
    composing: float = 0.0
    signing: float = 0.0
    """Together with the headers that are each recipient's own."""


def prepare_many(
    work: Iterable[Work], lane: Lane, secret: InstanceSecret, now: datetime, public_url: str = "",
    spent: Spent | None = None,
) -> list[Envelope | str]:  # fmt: skip
    """An envelope for each message, or the reason why there is none."""
    return list(prepare_each(work, lane, secret, now, public_url, spent))


def prepare_each(
    work: Iterable[Work], lane: Lane, secret: InstanceSecret, now: datetime, public_url: str = "",
    spent: Spent | None = None,
) -> Iterator[Envelope | str]:  # fmt: skip
    """The same, one after the other."""
    spent = spent or Spent()
    spent.began = spent.ended = perf_counter()
    press = Press(lane, secret, unsubscribing_of(secret, public_url), tracker_of(secret, public_url), now)
    composed: dict[UUID, _Mail | str] = {}
    for whose in work:
        begun = perf_counter()
        token = return_path.make_token(secret, *whose[0].ref)
        mail = _mail(whose, token, press, composed)
        composed_at = perf_counter()
        envelope = mail if isinstance(mail, str) else _addressed(mail, whose, token, press)
        spent.ended = perf_counter()
        spent.composing += composed_at - begun
        spent.signing += spent.ended - composed_at
        yield envelope


def _mail(whose: Work, token: str, press: Press, composed: dict[UUID, _Mail | str]) -> _Mail | str:
    claimed, email, content, sender = whose
    if isinstance(content, Personal):
        return _personal(content, whose, token, press)
    mail = composed.get(email.id)
    if mail is None:
        own = content
        if own is not None:  # links first: they are found once for what is the same for all recipients
            own = press.tracker.tracked(own, claimed, email, sender)
            if is_personal(own):
                own = press.unsubscribing.filled(own, claimed, email, token, sender.return_path_domain)
        mail = _compose(email, own, sender, press.lane)
        if own is content:
            composed[email.id] = mail
    return mail


def _personal(content: Personal, whose: Work, token: str, press: Press) -> _Mail | str:
    """Mail of a campaign: nobody else's is the same."""
    claimed, email, _, sender = whose
    try:
        own = press.tracker.rendered(content, claimed, email, sender)
    except RenderError as error:
        return fault_of(error)
    # Nearly every campaign has the link, so nobody looks for it first.
    own = press.unsubscribing.filled(own, claimed, email, token, sender.return_path_domain)
    return _compose(email, own, sender, press.lane)


def _addressed(mail: _Mail, whose: Work, token: str, press: Press) -> Envelope:
    """The mail of one recipient: the token in return path and header, how they unsubscribe, and the signature over it.
    The rest is shared: fifty recipients of a large mail hold it in memory once."""
    claimed, email, _, sender = whose
    own = f"{return_path.HEADER}: {token}\r\n"
    if mail.leavable:
        own += press.unsubscribing.headers(claimed, email, token, sender.return_path_domain)
    head = own.encode("ascii")
    front = sign_head(head + mail.head, mail.body_hash, sender.keys, press.now) + head
    smtputf8 = mail.smtputf8 or not claimed.recipient.isascii()
    sender_path = return_path.address_of(token, sender.return_path_domain)
    chunked = declared.CHUNKING.on(email.application_id, email.id)
    return Envelope(sender_path, claimed.recipient, mail.data, smtputf8, front, chunked)


def _compose(email: StoredEmail, content: StoredContent | None, sender: Sender, lane: Lane) -> _Mail | str:
    if content is None:
        return "its content is no longer stored"
    feedback = feedback_id(email, lane, sender.name)
    try:
        if content.raw is None:
            return _drafted(email, content, feedback, lane)
        return _raw(email, content.raw, feedback, lane)
    except (ComposeError, AddressError) as error:
        return f"it cannot be composed: {error}"


def _raw(email: StoredEmail, raw: bytes, feedback: str, lane: Lane) -> _Mail:
    data = compose_raw(raw, email.message_id, _date(email), feedback)
    end = data.index(b"\r\n\r\n")
    head = data[:end]
    leavable = lane is Lane.MARKETING and not has_own(head)
    return _Mail(data, head, hash_of(data[end + 4 :]), not head.isascii(), leavable)  # 8-bit bodies: 8BITMIME only


def _drafted(email: StoredEmail, content: StoredContent, feedback: str, lane: Lane) -> _Mail:
    head, body = parts = compose_parts(_draft(email, content, feedback))
    leavable = lane is Lane.MARKETING and not names_own(content.headers)
    return _Mail(b"\r\n\r\n".join(parts), head, hash_of(body), not head.isascii(), leavable)


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
