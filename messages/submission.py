"""A mail submitted over SMTP → `NewEmail`. Pure: bytes and facts in, values out. Raises `core.refusal.Refused`.

The content stays as the application wrote it, but for what must not leave (Bcc, RFC 5322 section 3.6.3; Return-Path),
for what not every server carries (`mta/seven_bit`), and for From: it is written anew from the mailbox that was read, so
that nobody can read another one out of it. The headers that are meant for us go too:

    X-Postlane-Stream            transactional or marketing; by default its topic's, without one transactional
    X-Postlane-Topic             id or name of the type of mail it is (`/topics`)
    X-Postlane-Pool              name of an IP pool
    X-Postlane-Tag               name=value, or a name; once for each tag
    X-Postlane-Open-Tracking     true or false; by default what the sender's domain says
    X-Postlane-Click-Tracking    the same for clicks
    X-Postlane-Expires-In        seconds after which the mail is worthless, up to 72 hours
    X-Postlane-Idempotency-Key   1 to 256 characters, as the API's header; Resend-Idempotency-Key is the same

Any other X-Postlane- header is refused: a mistyped one would send a campaign as if it were a receipt. Who is written to
is the envelope; recipients that the headers do not name are blind copies.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Final
from uuid import UUID

import orjson

from core.addresses import AddressError, Mailbox, parse_mailbox
from core.queues import Lane
from core.refusal import Refused, invalid
from messages.accept import kept_key
from messages.limits import MAX_EXPIRES, MAX_KEY, MAX_SUBJECT
from messages.model import Idempotency, NewEmail, Recipient, RecipientKind, receivers
from messages.tags import MAX_TAGS, fault
from mta.mime_headers import address_header
from mta.raw_headers import decoded, listed, mailbox_of, text_of
from mta.raw_mail import Field, join_mail, once, read_mail
from mta.seven_bit import seven_bit

LOOP: Final = "mail_loop"
"""Code of a refusal: the mail goes round in circles."""
MAX_HOPS: Final = 50
"""Received headers; more is a loop (RFC 5321 section 6.3)."""
_BOUNDARIES: Final = 20
_BOUNDARIES_WITHIN: Final = 64 * 1024

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_BOUNDARY = re.compile(rb"boundary=\"?([^\"\s;]{1,70})", re.I)
_SECONDS = re.compile(r"[1-9][0-9]{0,8}")
_IDEMPOTENCY_KEY = re.compile(rf"[\x20-\x7e]{{1,{MAX_KEY}}}")
_REMOVED: Final = frozenset({b"bcc", b"resent-bcc", b"return-path", b"resend-idempotency-key"})
_SHOWN: Final = frozenset({b"to", b"cc", b"reply-to", b"subject", b"message-id"})
_OURS: Final = b"x-postlane-"
_TAG: Final = "tag"
_TRACKING: Final = ("open-tracking", "click-tracking")
_DECIDING: Final = ("stream", "topic")
"""An empty one of these would send a newsletter past everybody who left it."""
_OPTIONS: Final = frozenset({"stream", "topic", "pool", "expires-in", "idempotency-key", *_TRACKING, _TAG})
_CHANGES_WITH_EACH_TRY: Final = frozenset({b"date", b"message-id", b"content-type", b"received"})


@dataclass(frozen=True, slots=True)
class SubmittedEmail:
    """A mail that is fit to be sent, as far as can be said without knowing who sends it."""

    sender: Mailbox
    recipients: tuple[Recipient, ...]
    subject: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    reply_to: tuple[str, ...]
    message_id: str
    """As given, "" when it is missing."""
    content: bytes
    """What goes out, but for what `mta/compose` adds."""
    lane: Lane | None
    """None: the topic's, or transactional."""
    topic: str
    """Id or name, "" for none."""
    pool: str
    """Name, "" for the lane's default."""
    tags: tuple[tuple[str, str], ...]
    open_tracking: bool | None
    """None: what the sender's domain says. So too for clicks."""
    click_tracking: bool | None
    expires_in: timedelta | None
    idempotency_key: str
    fingerprint: bytes
    """The same for a second try of the same mail: without its date, Message-ID and MIME boundaries. b"" without key."""


@dataclass(frozen=True, slots=True)
class SubmissionFacts:
    """What is decided about a submitted mail by those who know accounts and time."""

    id: UUID
    application_id: UUID
    domain_id: UUID
    lane: Lane
    topic_id: UUID | None
    pool_id: UUID | None
    created_at: datetime
    hostname: str
    """This server, for Message-ID and Received."""
    recipients: tuple[Recipient, ...]
    """The mail's, marked where nothing may leave."""
    test: bool = False
    """A test key sends it."""


def read_submission(content: bytes, recipients: Sequence[str]) -> SubmittedEmail:
    """The mail with its options. `recipients` are those of the envelope, each a valid address; the same address twice
    counts once. Raises Refused, for the first reason."""
    try:
        fields, body = read_mail(content)
        if sum(name == b"received" for name, _ in fields) > MAX_HOPS:
            raise Refused("invalid", "the mail has too many Received headers: it goes round in circles", code=LOOP)
        kept = once(field for field in fields if field[0] not in _REMOVED and not field[0].startswith(_OURS))
        sender = _sender(kept)
        clean, clean_body = seven_bit(_leaving(kept, sender), body)
    except ValueError as error:
        raise Refused("invalid", str(error)) from None
    options = _options(fields)
    texts = {name: text_of(field) for name, field in reversed(clean) if name in _SHOWN}
    to, cc = listed(texts.get(b"to", "")), listed(texts.get(b"cc", ""))
    receivers = _recipients(recipients, {box.key for box in to}, {box.key for box in cc})
    message_id = _MESSAGE_ID.search(texts.get(b"message-id", ""))
    return SubmittedEmail(
        sender=sender,
        recipients=receivers,
        subject=decoded(texts.get(b"subject", ""))[:MAX_SUBJECT],
        to=tuple(box.header for box in to),
        cc=tuple(box.header for box in cc),
        reply_to=tuple(box.header for box in listed(texts.get(b"reply-to", ""))),
        message_id=message_id[0] if message_id else "",
        content=join_mail(clean, clean_body),
        lane=Lane(options["stream"]) if options["stream"] else None,
        topic=options["topic"],
        pool=options["pool"],
        tags=_tags(fields),
        open_tracking=_switch(options["open-tracking"]),
        click_tracking=_switch(options["click-tracking"]),
        expires_in=timedelta(seconds=int(options["expires-in"])) if options["expires-in"] else None,
        idempotency_key=options["idempotency-key"],
        fingerprint=_fingerprint(kept, body, receivers, options),
    )


def new_email(mail: SubmittedEmail, facts: SubmissionFacts) -> NewEmail:
    """The email to accept. A Received line without the client's name or address is put in front: loops are found by
    it (RFC 5321 section 4.4), and recipients need not know the application's network."""
    at = facts.created_at
    received = f"Received: by {facts.hostname} with ESMTPA id {facts.id};\r\n {format_datetime(at)}\r\n"
    return NewEmail(
        id=facts.id,
        application_id=facts.application_id,
        domain_id=facts.domain_id,
        lane=facts.lane,
        created_at=at,
        message_id=mail.message_id or f"<{facts.id}@{facts.hostname}>",
        sender=mail.sender.header,
        subject=mail.subject,
        recipients=facts.recipients,
        to=mail.to,
        cc=mail.cc,
        bcc=tuple(r.recipient for r in mail.recipients if r.kind == "bcc"),
        reply_to=mail.reply_to,
        raw=received.encode("ascii") + mail.content,
        pool_id=facts.pool_id,
        tags=mail.tags,
        topic_id=facts.topic_id,
        open_tracking=mail.open_tracking,
        click_tracking=mail.click_tracking,
        capture=facts.test,
        expires_at=at + mail.expires_in if mail.expires_in else None,
    )


def idempotency_of(mail: SubmittedEmail, facts: SubmissionFacts) -> Idempotency | None:
    """What to keep for the mail's key, if it has one. The answer is the API's for a single send."""
    if not mail.idempotency_key:
        return None
    key = kept_key(mail.idempotency_key, facts.test)
    return Idempotency(key, mail.fingerprint, orjson.dumps({"id": str(facts.id)}))


def _sender(fields: Iterable[Field]) -> Mailbox:
    """The one address of From. Read strictly: the domain checked must be the one that recipients see. Raises
    ValueError."""
    given = [field for name, field in fields if name == b"from"]
    if len(given) != 1:
        raise ValueError("a message has exactly one From header (RFC 5322 section 3.6)")
    try:
        return mailbox_of(text_of(given[0]))
    except AddressError as error:
        raise ValueError(f"The From header must hold one address: {error.reason}") from None


def _leaving(fields: Iterable[Field], sender: Mailbox) -> list[Field]:
    """From written anew; Sender only if it is of the same domain, which is the one that will be checked."""
    leaving = []
    for name, field in fields:
        if name == b"from":
            field = address_header("From", [sender]).removesuffix("\r\n").encode()
        elif name == b"sender":
            box = next(iter(listed(text_of(field))), None)
            if box is None or box.domain != sender.domain:
                continue
            field = address_header("Sender", [box]).removesuffix("\r\n").encode()
        leaving.append((name, field))
    return leaving


def _options(fields: Iterable[Field]) -> dict[str, str]:
    """The headers that are meant for us and stand once, with the defaults of those that are missing or empty."""
    names = ("stream", "topic", "pool", "expires-in", "idempotency-key", *_TRACKING)
    options = dict.fromkeys(names, "")
    for option, field in _ours(fields):
        if option not in _OPTIONS:
            raise Refused("invalid", f"there is no header X-Postlane-{option.title()}")
        if option in _DECIDING and not text_of(field).strip():
            raise invalid(option, "it is empty: give a value, or leave the header out")
        if option != _TAG:
            options[option] = " ".join(text_of(field).split()) or options[option]
    if options["stream"] not in ("", *Lane):
        raise invalid("stream", "it must be transactional or marketing")
    for option in _TRACKING:
        if options[option].lower() not in ("", "true", "false"):
            raise invalid(option, "it must be true or false")
    expires = options["expires-in"]
    if expires and not (_SECONDS.fullmatch(expires) and int(expires) <= MAX_EXPIRES):
        raise invalid("expires-in", f"it must be seconds, 1 to {MAX_EXPIRES}")
    key = options["idempotency-key"]
    if key and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise invalid("idempotency-key", f"it must have 1 to {MAX_KEY} characters of ASCII")
    return options


def _switch(text: str) -> bool | None:
    return text.lower() == "true" if text else None


def _ours(fields: Iterable[Field]) -> Iterator[tuple[str, bytes]]:
    """Option and field of each header that is meant for us."""
    for name, field in fields:
        if name == b"resend-idempotency-key":
            yield "idempotency-key", field
        elif name.startswith(_OURS):
            yield name.removeprefix(_OURS).decode("ascii"), field


def _tags(fields: Iterable[Field]) -> tuple[tuple[str, str], ...]:
    """One for each header; `name=value`, or a name alone."""
    texts = [text for option, field in _ours(fields) if option == _TAG and (text := text_of(field))]
    if len(texts) > MAX_TAGS:
        raise invalid(_TAG, f"a mail has at most {MAX_TAGS}")
    found = []
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if wrong := fault(name, value):
            raise invalid(_TAG, f"its {wrong[0]} cannot be: {wrong[1]}")
        found.append((name, value))
    return tuple(found)


def _recipients(given: Sequence[str], to: set[str], cc: set[str]) -> tuple[Recipient, ...]:
    boxes = [parse_mailbox(text) for text in given]
    return receivers((_kind(box.key, to, cc), box) for box in boxes)


def _kind(key: str, to: set[str], cc: set[str]) -> RecipientKind:
    if key in to:
        return "to"
    return "cc" if key in cc else "bcc"


def _fingerprint(
    fields: Iterable[Field], body: bytes, recipients: Sequence[Recipient], options: dict[str, str]
) -> bytes:
    """Programs that try again make a new date, Message-ID and boundaries; the mail is still the same."""
    if not options["idempotency-key"]:
        return b""
    fields = list(fields)
    digest = hashlib.sha256()
    for name, field in fields:
        if name not in _CHANGES_WITH_EACH_TRY:
            digest.update(field + b"\n")
    types = b"\n".join(field for name, field in fields if name == b"content-type")
    boundaries = {*_BOUNDARY.findall(types), *_BOUNDARY.findall(body, 0, _BOUNDARIES_WITHIN)}
    for boundary in sorted(boundaries, key=len, reverse=True)[:_BOUNDARIES]:
        body = body.replace(boundary, b"")
    digest.update(body)
    known = sorted(recipient.address for recipient in recipients)
    # What is not said of tracking leaves no trace: a mail accepted before that could be said is still the same.
    said = {k: v for k, v in options.items() if k != "idempotency-key" and (v or k not in _TRACKING)}
    digest.update(orjson.dumps([known, said]))
    return digest.digest()
