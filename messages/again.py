"""The same mail once more, to one recipient, as a new email: because somebody asks for it, such as "I never got it".

It is accepted as all mail is (`messages/accept.take`): quota, capture rules and sender are asked now, suppression and
choices when it is claimed. Content, sender, headers, tags, topic, stream and pool are those of the old one. Its id,
Message-ID and date are its own, and `to` names the one recipient: nobody else is in it, so that erasing a person finds
all of theirs. Mail of campaigns is not repeated here: what a person got of it is not stored.

Works on the caller's connection and never commits. Raises `core.refusal.Refused`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from accounts import capture_rules, permission
from accounts.capture_rules import CaptureRules
from accounts.directory import SenderDomain
from accounts.quotas import OverQuota, Quota
from audience.topics import default_of
from core.addresses import AddressError, Mailbox, parse_mailbox
from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused, conflict, invalid, not_found
from messages import repository, timeline
from messages.accept import Acceptance, Accepted, Replay, find_answer, take
from messages.capture import marked
from messages.claim import load_content
from messages.erasing import NOBODY
from messages.model import Idempotency, MessageRef, NewEmail, StoredContent, Submission, receivers
from messages.repository import EmailDetail
from messages.states import TERMINAL, State
from messages.timeline import Entry, EventKind
from mta.raw_mail import join_mail, read_mail
from store.database import Connection

_PRESSED: Final = "\x1d"
"""Begins the idempotency keys of presses of a button; no door takes a key with it."""
_OF_ITS_OWN: Final = frozenset({"message-id", "date"})
"""Headers that the old email may have had from its application."""
_NEW_ID: Final = re.compile(r"as ([0-9a-f-]{36}), ")

_FACTS: Final = """
SELECT now(), e.content_id, e.pool_id, e.open_tracking, e.click_tracking, a.messages_per_day, a.messages_per_second,
       d.id, d.name, d.status, e.topic_id IS NULL OR EXISTS (SELECT FROM topics t
          WHERE t.id = e.topic_id AND t.deleted_at IS NULL)
  FROM emails e JOIN applications a ON a.id = e.application_id
  LEFT JOIN domains d ON d.application_id = a.id AND d.name = %(domain)s
 WHERE e.id = %(email)s
"""
# Whoever presses a button twice has two requests under way: the second waits, and hears of the first one's mail.
_ALONE: Final = "SELECT FROM emails WHERE id = %s FOR NO KEY UPDATE"
_NAME: Final = "UPDATE emails SET again_of = %s, again_of_position = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Key:
    """Two requests under one key are one mail."""

    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants what once more."""

    application_id: UUID
    email_id: UUID
    to: int | str | None
    """The recipient by position or address; None: the only one."""
    how: str
    """Ends the sentence of the old one's timeline: `by ada@example.com`."""
    simulated_domain: str
    key: Key | None = None
    tests_only: bool = False
    only_domain: UUID | None = None
    """The only one that whoever asks may send from."""


class Answer(NamedTuple):
    """What became of it."""

    acceptance: Acceptance
    said: bytes
    """`{"id": …}` of the new email, as a send is answered."""


class _Facts(NamedTuple):
    """What is decided anew, and what the detail of an email does not show."""

    now: datetime
    content_id: UUID
    pool_id: UUID | None
    open_tracking: bool | None
    click_tracking: bool | None
    quota: Quota
    domain: SenderDomain | None
    topic_stands: bool


def pressed(ref: MessageRef, times: int) -> Key:
    """The key of a button on a page that shows it as sent again so many times: whoever presses it twice, and whoever
    else sees the same page, sends one mail."""
    return Key(f"{_PRESSED}again {ref} {times}", b"again")


def against(email: EmailDetail, position: int) -> Refused | None:
    """Why this message of an email cannot be sent again, as far as the email itself says; None: it can."""
    one = email.recipients[position]
    if one.state is State.SCHEDULED:
        return conflict("it waits for its time, and was not sent yet", "Move its schedule instead.")
    if one.state not in TERMINAL:
        return conflict("it is still on its way", "Wait until it has ended, or cancel it.")
    if email.campaign_id is not None:
        return conflict(
            "it is mail of a campaign, made for each person as it leaves, and what they got is not stored",
            "Its page sends it to those who missed it, or `postlane campaigns again ID --to missed`.",
        )
    if one.recipient == NOBODY:
        return conflict("its recipient was erased")
    if not email.kept:
        return conflict("its content is no longer stored", "`POSTLANE_CONTENT_DAYS` says how long it is kept.")
    return None


def new_id(detail: str) -> UUID | None:
    """The new email that an entry of the old one's timeline names."""
    found = _NEW_ID.match(detail)
    return UUID(found[1]) if found else None


def settled(answer: Answer) -> tuple[UUID, bool]:
    """The new email, and whether it is one of this very request. Raises Refused when it was not accepted."""
    match answer.acceptance:
        case Accepted():
            return UUID(orjson.loads(answer.said)["id"]), True
        case Replay(response):
            return UUID(orjson.loads(response)["id"]), False
        case OverQuota(code=code, reason=reason):
            raise conflict(reason.rstrip("."), code=code)
        case _:
            raise conflict("it is being sent again right now", "Look again in a moment.")


async def send(connection: Connection, wish: Wish) -> Answer:
    """Accept it once more, and say so in both stories."""
    await connection.execute(_ALONE, [wish.email_id])
    if wish.key and (known := await find_answer(connection, wish.application_id, *_named(wish.key))):
        return Answer(known, b"")
    email = await repository.find_email(connection, wish.application_id, wish.email_id, tests_only=wish.tests_only)
    if email is None:
        raise not_found("there is no such email", "`POSTLANE_EVENT_DAYS` says how long mail is known.")
    old = MessageRef(wish.email_id, _position(email, wish.to))
    if refused := against(email, old.position):
        raise refused
    return await _accepted(connection, wish, email, old)


async def _accepted(connection: Connection, wish: Wish, email: EmailDetail, old: MessageRef) -> Answer:
    new, quota = await _new_email(connection, wish, email, old)
    said = b'{"id":"%s"}' % str(new.id).encode()
    kept = Idempotency(*_named(wish.key), said) if wish.key else None
    topics = {}
    if new.lane is Lane.MARKETING and new.topic_id is None:
        topics = {wish.application_id: await default_of(connection, wish.application_id)}
    (acceptance,) = await take(connection, [Submission(wish.application_id, (new,), kept, quota)], topics)
    if isinstance(acceptance, Accepted):
        await connection.execute(_NAME, [*old, new.id])
        told = f"as {new.id}, {wish.how}"
        entry = Entry(*old, new.created_at, EventKind.SENT_AGAIN, detail=told, capture=new.capture)
        await timeline.write(connection, [entry])
    return Answer(acceptance, said)


async def _new_email(
    connection: Connection, wish: Wish, email: EmailDetail, old: MessageRef
) -> tuple[NewEmail, Quota | None]:
    """The email to accept, and the quota that it counts for."""
    summary, identifier = email.summary, uuid7()
    sender, box = _box(summary.sender), _box(email.recipients[old.position].recipient)
    facts = await _facts(connection, old.email_id, sender.domain)
    domain = permission.allowed(facts.domain, sender.domain, test=summary.test, only=wish.only_domain)
    if not facts.topic_stands:
        raise conflict("its topic was deleted, and nothing can be sent under it any more", "Send a new email.")
    content = await load_content(connection, facts.content_id)
    if content is None:
        raise conflict("its content is no longer stored", "`POSTLANE_CONTENT_DAYS` says how long it is kept.")
    rules = CaptureRules.of(await capture_rules.patterns(connection, wish.application_id))
    new = NewEmail(
        id=identifier,
        application_id=wish.application_id,
        domain_id=domain.id,
        lane=Lane(summary.lane),
        created_at=facts.now,
        message_id=f"<{identifier.hex}@{sender.domain}>",
        sender=summary.sender,
        subject=summary.subject,
        recipients=marked(receivers([("to", box)]), rules, wish.simulated_domain),
        to=(_as_written(box, [*summary.to, *summary.cc, *summary.bcc]),),
        reply_to=tuple(summary.reply_to),
        html=content.html,
        text=content.text,
        headers=tuple((name, value) for name, value in content.headers if name.lower() not in _OF_ITS_OWN),
        attachments=content.attachments,
        raw=_raw(content),
        tags=email.tags,
        pool_id=facts.pool_id,
        expires_at=_expiry(email, facts.now),
        topic_id=email.topic_id,
        open_tracking=facts.open_tracking,
        click_tracking=facts.click_tracking,
        capture=summary.test,
        template_id=email.template_id,
    )
    return new, None if summary.test else facts.quota or None


async def _facts(connection: Connection, email_id: UUID, domain: str) -> _Facts:
    row = await (await connection.execute(_FACTS, {"email": email_id, "domain": domain})).fetchone()
    if row is None:
        raise conflict("its application was deleted")
    now, content, pool, opens, clicks, day, second, domain_id, name, status, stands = row
    found = SenderDomain(domain_id, name, status) if domain_id else None
    return _Facts(now, content, pool, opens, clicks, Quota(day, second), found, stands)


def _position(email: EmailDetail, wanted: int | str | None) -> int:
    """Which of the recipients is meant."""
    people = [one.recipient for one in email.recipients]
    if wanted is None:
        if len(people) > 1:
            raise invalid("recipient", f"the email has {len(people)} recipients: name the one that is to get it again")
        return 0
    if isinstance(wanted, int):
        if wanted >= len(people):
            raise not_found("this email has no such recipient")
        return wanted
    box = _box(wanted, "recipient")
    for position, one in enumerate(people):
        if one != NOBODY and _box(one).key == box.key:
            return position
    raise invalid("recipient", "it is no recipient of this email")


def _box(text: str, field: str = "") -> Mailbox:
    try:
        return parse_mailbox(text)
    except AddressError as error:
        raise (invalid(field, error.reason) if field else conflict(f"{text} is no address: {error.reason}")) from None


def _as_written(box: Mailbox, texts: Sequence[str]) -> str:
    """The recipient with the name that the old email gave them."""
    for text in texts:
        try:
            if parse_mailbox(text).key == box.key:
                return text
        except AddressError:
            continue
    return box.wire


def _raw(content: StoredContent) -> bytes | None:
    """A submitted mail without the Message-ID and the date that it came with."""
    if content.raw is None:
        return None
    fields, body = read_mail(content.raw)
    return join_mail([field for field in fields if field[0].decode("ascii") not in _OF_ITS_OWN], body)


def _expiry(email: EmailDetail, now: datetime) -> datetime | None:
    """It is worth sending for as long as the old one was."""
    begun = email.summary.scheduled_at or email.summary.created_at
    return now + (email.expires_at - begun) if email.expires_at else None


def _named(key: Key) -> tuple[str, bytes]:
    return key.key, key.request_hash
