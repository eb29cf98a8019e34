"""From the body of a request to emails that may be accepted, or the reason why not, naming the field.

Owns every rule about what an email may hold, but for the types (`api/schemas/emails`) and for what addresses,
headers and schedules are (`core/addresses`, `mta/compose`, `messages/schedule_text`). Who may send from where is
`accounts/permission`, who is captured `messages/capture`. Stores nothing.

Rules go cheap first, the sender's domain last: a 403 means that the email itself was in order.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import ValidationError

from accounts import permission
from accounts.capture_rules import CaptureRules
from accounts.directory import Caller, Directory
from api.attachments import read_attachments
from api.errors import ApiError, invalid_field, refused
from api.headers import message_id_in, read_headers
from api.packing import in_bounds
from api.schemas.emails import MoveEmail, SendEmail, Tag
from api.templating import written
from api.validation import api_error, missing
from audience.topics import Topic, TopicBook, of_mail
from core.addresses import AddressError, Mailbox, parse_mailbox
from core.queues import Lane
from core.refusal import Refused
from core.tracing import Caller as CallersTrace
from core.tracing import mail_id
from messages import tags
from messages.capture import marked
from messages.limits import MAX_RECIPIENTS, MAX_SUBJECT
from messages.model import NewEmail, Recipient, RecipientKind, receivers
from messages.schedule_text import ScheduleError, parse_schedule
from templates.book import TemplateReading

_LINE_BREAK = re.compile(r"[\r\n\0]")


class Sender(NamedTuple):
    """Who a request may send from, once it is known."""

    mailbox: Mailbox
    text: str
    """As the application wrote it."""
    domain_id: UUID
    rules: CaptureRules


@dataclass(frozen=True, slots=True)
class Intake:
    """What is the same for all emails of a request."""

    caller: Caller
    directory: Directory
    now: datetime
    max_bytes: int
    """Largest email: texts, headers and decoded attachments."""
    simulated_domain: str
    """Where recipients are only simulated."""
    topics: TopicBook
    templates: TemplateReading
    tracks: bool
    """This server has public pages, which tracked links lead to."""
    trace: CallersTrace | None = None
    """The caller's own, which says whether this mail is traced, too."""
    senders: dict[str, Sender] = field(default_factory=dict)
    """By what stands in `from`: the emails of a batch have few, and ask once."""


def read_email(raw: bytes) -> SendEmail:
    """The body of `POST /emails` by its types. Raises ApiError."""
    try:
        return SendEmail.model_validate_json(in_bounds(raw))
    except ValidationError as error:
        raise api_error(error.errors(include_url=False)) from None


def read_move(raw: bytes, now: datetime) -> datetime:
    """The body of `PATCH /emails/{id}`: the new moment, not before now. Raises ApiError."""
    try:
        text = MoveEmail.model_validate_json(raw).scheduled_at
    except ValidationError as error:
        raise api_error(error.errors(include_url=False)) from None
    return _schedule(text, now) or now


async def to_email(sent: SendEmail, intake: Intake) -> NewEmail:
    """The email to accept, with a new id. Raises ApiError, and DatabaseUnavailableError from the directory."""
    try:
        return await _email(sent, intake)
    except Refused as error:
        raise refused(error) from None


async def _email(sent: SendEmail, intake: Intake) -> NewEmail:
    if sent.template is not None:
        sent = await written(sent, intake.templates)
    if sent.sender is None:
        raise missing("from")
    known = intake.senders.get(sent.sender)
    mailbox = known.mailbox if known else _mailbox("from", sent.sender)
    to, cc, bcc = _addresses("to", sent.to), _addresses("cc", sent.cc), _addresses("bcc", sent.bcc)
    recipients = _recipients(to, cc, bcc)
    reply_to = _addresses("reply_to", sent.reply_to)
    subject = _subject(sent.subject)
    _check_bodies(sent)
    _check_tracking(sent, intake)
    headers = read_headers(sent.headers)
    attachments = read_attachments(sent.attachments)
    scheduled_at = _schedule(sent.scheduled_at, intake.now) if sent.scheduled_at else None
    topic = await _topic(sent, intake)
    stream = sent.stream or (topic.lane if topic else Lane.TRANSACTIONAL)
    sender = known or await _sender(mailbox, sent.sender, intake)
    email_id = mail_id(intake.trace)
    email = NewEmail(
        id=email_id,
        application_id=intake.caller.application_id,
        domain_id=sender.domain_id,
        lane=stream,
        created_at=intake.now,
        message_id=message_id_in(headers) or f"<{email_id.hex}@{mailbox.domain}>",
        sender=sender.text,
        subject=subject,
        recipients=marked(recipients, sender.rules, intake.simulated_domain),
        to=_texts(sent.to),
        cc=_texts(sent.cc),
        bcc=_texts(sent.bcc),
        reply_to=tuple(box.header for box in reply_to),
        html=sent.html or None,
        text=sent.text or None,
        headers=headers,
        attachments=attachments,
        tags=_tags(sent.tags) if sent.tags else (),
        pool_id=await permission.pool(intake.directory, sent.pool, stream) if sent.pool else None,
        scheduled_at=scheduled_at,
        expires_at=_expiry(sent.expires_in, scheduled_at or intake.now),
        topic_id=topic.id if topic else None,
        open_tracking=sent.open_tracking,
        click_tracking=sent.click_tracking,
        capture=intake.caller.test,
        template_id=UUID(sent.template.id) if sent.template else None,
    )
    if email.size > intake.max_bytes:
        raise ApiError("payload_too_large", f"The email is larger than {intake.max_bytes:,} bytes.")
    return email


async def _sender(mailbox: Mailbox, text: str, intake: Intake) -> Sender:
    rules = await intake.directory.capture_rules(intake.caller.application_id)
    domain = await permission.sender_domain(intake.directory, intake.caller, mailbox.domain)
    found = intake.senders[text] = Sender(mailbox, text.strip(" \t"), domain.id, rules)
    return found


async def _topic(sent: SendEmail, intake: Intake) -> Topic | None:
    if sent.topic_id is None:
        return None
    return await of_mail(intake.topics, intake.caller.application_id, sent.topic_id, sent.stream)


def _mailbox(field: str, text: str) -> Mailbox:
    try:
        return parse_mailbox(text)
    except AddressError as error:
        raise invalid_field(f"The `{field}` field is not valid: {error.reason}") from None


def _addresses(field: str, given: str | list[str] | None) -> list[Mailbox]:
    if not given:
        return []
    if isinstance(given, str):
        return [_mailbox(field, given)]
    return [_mailbox(f"{field}[{n}]", text) for n, text in enumerate(given) if text]


def _texts(given: str | list[str] | None) -> tuple[str, ...]:
    """Addresses as the application wrote them, which is how it gets them back."""
    if not given:
        return ()
    return tuple(text.strip(" \t") for text in ([given] if isinstance(given, str) else given) if text)


def _recipients(to: list[Mailbox], cc: list[Mailbox], bcc: list[Mailbox]) -> tuple[Recipient, ...]:
    """One per mailbox: who stands in two fields, or twice in one, gets the mail once, as the first of them."""
    if not to:
        raise missing("to")
    if len(to) == 1 and not cc and not bcc:
        box = to[0]
        return (Recipient(box.wire, box.key, box.domain, "to"),)
    groups: Iterable[tuple[RecipientKind, list[Mailbox]]] = (("to", to), ("cc", cc), ("bcc", bcc))
    found = receivers((kind, box) for kind, boxes in groups for box in boxes)
    if len(found) > MAX_RECIPIENTS:
        raise invalid_field(
            f"The `to`, `cc` and `bcc` fields hold {len(found)} addresses together; {MAX_RECIPIENTS} are allowed."
        )
    return found


def _subject(text: str | None) -> str:
    if text is None:
        raise missing("subject")
    if _LINE_BREAK.search(text):
        raise invalid_field("The `subject` field is not valid: it holds a line break or NUL.")
    if len(text) > MAX_SUBJECT:
        raise invalid_field(f"The `subject` field is not valid: it is longer than {MAX_SUBJECT:,} characters.")
    return text


def _check_bodies(sent: SendEmail) -> None:
    if not sent.html and not sent.text:
        raise ApiError("missing_required_field", "Missing `html` or `text` field: an email needs one of them at least.")
    for name, text in (("html", sent.html), ("text", sent.text)):
        if text and "\0" in text:
            raise invalid_field(f"The `{name}` field is not valid: it holds a NUL.")


def _check_tracking(sent: SendEmail, intake: Intake) -> None:
    if intake.tracks:
        return
    for name, wanted in (("open_tracking", sent.open_tracking), ("click_tracking", sent.click_tracking)):
        if wanted:
            raise invalid_field(
                f"The `{name}` field cannot be true: this server has no public pages that a tracked link could lead "
                "to (the operator sets POSTLANE_PUBLIC_URL)."
            )


def _tags(given: list[Tag]) -> tuple[tuple[str, str], ...]:
    for n, tag in enumerate(given):
        if wrong := tags.fault(tag.name, tag.value):
            raise invalid_field(f"The `tags[{n}].{wrong[0]}` field is not valid: {wrong[1]}.")
    return tuple((tag.name, tag.value) for tag in given)


def _schedule(text: str, now: datetime) -> datetime | None:
    try:
        return parse_schedule(text, now)
    except ScheduleError as error:
        raise invalid_field(f"The `scheduled_at` field is not valid: {error}.") from None


def _expiry(seconds: int | None, start: datetime) -> datetime | None:
    return start + timedelta(seconds=seconds) if seconds else None
